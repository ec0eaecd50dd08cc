"""The whole loop: serve a policy, log what users do, read the log, judge a new policy by it, learn, serve again.

python examples/serve_and_learn.py --folder loop

The users are those of RecSim-v0; the server is a real one, over HTTP on this machine. The first policy draws slates at
random; each round learns a policy from the rounds before, estimates from the last round's log alone what it will earn,
and serves it. The estimate stands beside what was then earned.
"""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro
import uvicorn

import irecgan_gym as ig
from irecgan_gym import ope, serving
from irecgan_gym.ope.agent_policies import as_evaluation_policy

NUM_ITEMS, SLATE_SIZE = 12, 3


@dataclass
class Args:
    """Settings."""

    folder: Path
    """Folder of the logs, one a round."""
    rounds: int = 3
    """Policies that are served one after the other."""
    sessions: int = 300
    """Sessions of a round."""
    epochs: int = 40
    """Passes over the log in learning; logs this small need many, for a pass over them is few updates."""
    seed: int = 0
    """Seed of everything that is random."""


def main(args: Args) -> list[float]:
    """Run the loop; return what a session earned in each round."""
    policy: ig.Agent = ig.RandomPolicy(NUM_ITEMS, SLATE_SIZE, seed=args.seed)
    learned_from: list[ig.Sessions] = []
    earned: list[float] = []
    expected = "nothing is known before the first log"
    for number in range(args.rounds):
        folder = args.folder / f"round-{number}"
        service = serving.open_service(policy, folder, policy_digest=f"round {number}", seed=args.seed + number)
        with served(service) as port:
            play_users(port, args.sessions, args.seed + number)
        log = serving.read_served_log(folder)
        earned.append(float(log.sessions.rewards.sum() / len(log.sessions)))
        print(f"round {number}: a session earns {earned[-1]:.3f}; {expected}", flush=True)
        # What a policy has learned from would flatter it: one half teaches, the other judges.
        halves = np.arange(len(log.sessions)) % 2
        learned_from.append(log.sessions.select(np.flatnonzero(halves == 0)))
        agent = ig.PG(NUM_ITEMS, SLATE_SIZE, ig.PGConfig(fit=ig.FitConfig(max_epochs=args.epochs)), seed=args.seed)
        policy = agent.learn(ig.concatenate(learned_from))
        data = ope.OffPolicyData.create(log.sessions, log.propensities, as_evaluation_policy(agent))
        found = ope.PerDecisionImportanceSampling().evaluate(data.select(np.flatnonzero(halves == 1)))
        interval = found.interval("bootstrap")
        expected = (
            f"expected {interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f}) "
            f"by {found.effective_sample_size:.0f} effective sessions"
        )
    return earned


@contextmanager
def served(service: serving.RecommendationService) -> Iterator[int]:
    """Serve over HTTP for a while, on a free port."""
    server = uvicorn.Server(uvicorn.Config(serving.create_app(service), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def play_users(port: int, sessions: int, seed: int) -> None:
    """Let users of RecSim-v0 click on the slates of the server; a click without a reward ends a session."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(path: str, **body: object) -> dict[str, object]:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, object] = json.loads(response.read())
        assert response.status == 200, answer
        return answer

    env = gym.make("RecSim-v0", num_items=NUM_ITEMS, slate_size=SLATE_SIZE, mdp_seed=0)
    for number in range(sessions):
        env.reset(seed=seed * 1_000_003 + number)
        answer = ask("/sessions", user=f"user-{number}")
        while answer["ended"] is None:
            _, reward, terminated, truncated, info = env.step(np.array(answer["slate"]))
            body = {"step": answer["step"], "click": int(info["click"]), "reward": float(reward)}
            answer = ask(f"/sessions/{answer['session']}/clicks", last=terminated or truncated, **body)
    connection.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
