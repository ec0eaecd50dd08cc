"""Whole trainings of every agent on two small logs, and all that they report: what a change of form must not change.

``python -m tests.golden.record`` writes the file that the test compares with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import AGENT_NAMES, make_agent, preset, with_ending
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.sessions import Sessions

LOGS = ("simulated", "real")
FILE = Path(__file__).with_name("golden.json")


class Tape:
    """A recorder that keeps everything, in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float]] = []

    def record(self, values: Mapping[str, float], step: int) -> None:
        self.rows += [(step, name, float(value)) for name, value in values.items()]


def log(name: str) -> Sessions:
    """A small log: of RecSim-v0's ``max`` policy, or of a kind that shops have."""
    if name == "simulated":
        env = gym.make("RecSim-v0", logging_policy="max", num_items=20, slate_size=5)
        return env.unwrapped.collect(150, seed=3)
    return shop_log(np.random.default_rng(5))


def shop_log(rng: np.random.Generator, num_items: int = 40, num_sessions: int = 150) -> Sessions:
    """Lists of different lengths, users who leave, events between clicks, and clicks that follow a taste."""
    appeal = rng.normal(0, 1.5, num_items)
    lengths = 1 + rng.geometric(0.4, num_sessions).clip(max=6)
    total = int(lengths.sum())
    sizes = rng.integers(4, 13, total)
    slates, clicks = [], []
    for size in sizes:
        slate = rng.choice(num_items, size, replace=False)
        chances = np.exp(appeal[slate] - 0.15 * np.arange(size))
        slates.append(slate)
        clicks.append(rng.choice(slate, p=chances / chances.sum()))
    events = [rng.integers(0, num_items, rng.poisson(1.0)) for _ in range(total)]
    truncated = np.zeros(num_sessions, dtype=bool)
    truncated[::7] = True
    return Sessions.from_columns(
        num_items=num_items,
        lengths=lengths,
        slates=np.concatenate(slates),
        slate_lengths=sizes,
        clicks=np.array(clicks),
        rewards=(rng.random(total) < 0.3).astype(float),
        truncated=truncated,
        users=np.arange(num_sessions) // 2,
        event_items=np.concatenate(events),
        event_lengths=np.array([len(some) for some in events]),
    )


def config(agent: str, log_name: str) -> Any:
    """The preset ``fast`` on a smaller network, with fewer rounds and more than one step in each."""
    encoder = EncoderConfig(hidden_size=12, embedding_size=8)
    fit = FitConfig(batch_size=16, max_epochs=6, patience=2, learning_rate=5e-3)
    settings = preset(agent, "fast")

    def small(settings: Any) -> Any:
        changes: dict[str, Any] = {"encoder": encoder, "fit": fit}
        if hasattr(settings, "user_model_fit"):
            changes["user_model_fit"] = fit
        if hasattr(settings, "rounds"):
            changes |= {"rounds": 4, "patience": 2, "r_steps": 2, "agent_learning_rate": 2e-3}
        if hasattr(settings, "num_rollouts"):
            changes |= {"num_rollouts": 3, "d_steps": 2, "discriminator_sessions": 60, "user_model_learning_rate": 2e-3}
            changes["pre_training_d_steps"] = 3
        if log_name == "real" and hasattr(settings, "encoder"):
            changes["encoder"] = replace(encoder, events=True, recall=True)
            if hasattr(settings, "position_term"):
                changes["position_term"] = True
        return replace(settings, **changes)

    settings = replace(settings, irecgan=small(settings.irecgan)) if hasattr(settings, "irecgan") else small(settings)
    return with_ending(settings, "leave" if log_name == "real" else "reward")


def run(agent_name: str, log_name: str) -> dict[str, Any]:
    """Train an agent; what it reported, what its networks came to, and what it shows and scores."""
    sessions, tape = log(log_name), Tape()
    agent = make_agent(
        agent_name,
        num_items=sessions.num_items,
        slate_size=5,
        config=config(agent_name, log_name),
        seed=11,
        device="cpu",
    )
    training, validation = sessions.split((0.8, 0.2), seed=1)
    agent.learn(training, validation, recorder=tape)
    weights = {
        f"{module}.{name}": value.detach().double().numpy()
        for module, network in agent.networks().items()
        for name, value in network.state_dict().items()
    }
    observations = np.full(4, sessions.num_items)
    agent.set_random_seed(0)
    top, state = agent.predict(observations, deterministic=True)
    drawn, _ = agent.predict(top[:, 0], state, np.zeros(4, dtype=bool))
    scores = agent.slate_scores(validation)
    digest = hashlib.sha256()
    for value in (*weights.values(), top, drawn, scores):
        digest.update(np.ascontiguousarray(value).tobytes())
    digest.update(json.dumps(tape.rows).encode())
    return {
        "reported": tape.rows,
        "weights": {name: [float(value.sum()), float(np.abs(value).sum())] for name, value in weights.items()},
        "top": top[0].tolist(),
        "scores": float(scores.sum()),
        "digest": digest.hexdigest(),
    }


def run_all() -> dict[str, dict[str, Any]]:
    """All runs, by ``agent/log``."""
    return {f"{agent}/{name}": run(agent, name) for name in LOGS for agent in AGENT_NAMES}
