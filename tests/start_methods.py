"""``python -m tests.start_methods``: every env and wrapper in worker processes, by every start method.

Each plays in Gymnasium's asynchronous vector env and in Stable-Baselines3's subprocess env, started by fork, spawn and
forkserver, and must give what the same env gives in the process itself.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.storage.files import write_atomically
from irecgan_gym.wrappers import (
    AdversarialReward,
    ClickHistory,
    OneHotHistory,
    SequentialSlate,
    SingleItem,
    SlateScores,
)

METHODS = ("fork", "spawn", "forkserver")
LIBRARIES = ("gymnasium", "stable-baselines3")
WORLDS = ("RecSim-v0", "RecSim-Observable-v0", "RecSim-Planning-v0", "UserModel-v0")
WRAPPERS = ("none", "history", "one-hot", "scores", "single item", "sequential", "adversarial")
# The catalogue of RecSim-Planning-v0 has a size of its own.
N, K = int(gym.spec("RecSim-Planning-v0").make().action_space.nvec[0]), 3
STEPS = 12


@lru_cache
def score() -> SequenceScore:
    """The models of an adversarial reward; sent to worker processes, not made in them."""
    shape = EncoderConfig(hidden_size=4, embedding_size=3)
    model = UserModel.create(UserModelConfig(N, K, "leave", shape), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(N, K, shape), torch.Generator().manual_seed(1))
    discriminator = Discriminator.create(DiscriminatorConfig(N, shape), seed=0, device="cpu")
    return SequenceScore(model, policy, discriminator, num_rollouts=2, max_session_steps=5)


@dataclass(frozen=True)
class Make:
    """Makes an env in a wrapper; survives pickling, with the models that the env needs.

    Attributes:
        world: id of the env.
        wrapper: one of :data:`WRAPPERS`.
        models: of the user and of the adversarial reward.
    """

    world: str
    wrapper: str
    models: SequenceScore

    def __call__(self) -> gym.Env[Any, Any]:
        torch.set_num_threads(1)
        sizes = {"slate_size": K} if self.world == "RecSim-Planning-v0" else {"num_items": N, "slate_size": K}
        arguments = {"user_model": self.models.user_model} if self.world == "UserModel-v0" else sizes
        env = gym.make(self.world, max_episode_steps=5, **arguments)
        wraps = {
            "none": lambda: env,
            "history": lambda: ClickHistory(env, 3),
            "one-hot": lambda: OneHotHistory(ClickHistory(env, 3)),
            "scores": lambda: SlateScores(env),
            "single item": lambda: SingleItem(env, range(K)),
            "sequential": lambda: SequentialSlate(env),
            "adversarial": lambda: AdversarialReward(env, score=self.models),
        }
        return wraps[self.wrapper]()


def everything() -> list[Make]:
    """All envs in all wrappers."""
    return [Make(world, wrapper, score()) for world, wrapper in product(WORLDS, WRAPPERS)]


def vector_play(envs: Any, steps: int) -> list[Any]:
    """What a vector env of Gymnasium gives, from a seed."""
    envs.action_space.seed(0)
    results: list[Any] = [envs.reset(seed=0)]
    results += [envs.step(envs.action_space.sample()) for _ in range(steps)]
    envs.close()
    return results


def sb3_play(envs: Any, steps: int) -> list[Any]:
    """What a vector env of Stable-Baselines3 gives, from a seed."""
    envs.seed(0)
    envs.action_space.seed(0)
    results: list[Any] = [(_plain(envs.reset()),)]
    for _ in range(steps):
        observation, rewards, ended, infos = envs.step(np.array([envs.action_space.sample()]))
        # The envs of one process keep rewards in 32 bits, those of several in 64.
        results.append((_plain(observation), rewards.astype(np.float32), ended, list(infos)))
    envs.close()
    return results


def _plain(observation: Any) -> Any:
    return dict(observation) if isinstance(observation, dict) else observation


def play(make: Any, library: str, method: str | None, steps: int = STEPS) -> list[Any]:
    """Play an env in a process that was started in some way; in this one when None."""
    if library == "gymnasium":
        return vector_play(SyncVectorEnv([make]) if method is None else AsyncVectorEnv([make], context=method), steps)
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    return sb3_play(DummyVecEnv([make]) if method is None else SubprocVecEnv([make], start_method=method), steps)


def agrees(make: Any, library: str, method: str) -> bool:
    """Tell whether an env gives the same in another process as in this one."""
    here, there = play(make, library, None), play(make, library, method)
    try:
        np.testing.assert_equal(there, here)
    except AssertionError:
        return False
    return True


class Everything(gym.Env[Any, int]):
    """All envs in all wrappers behind one: a step plays them, and is seen as the SHA-256 of what they gave.

    One process then stands for all, where starting it takes seconds.

    Args:
        makes: those to play.
    """

    def __init__(self, makes: Sequence[Make]) -> None:
        self.observation_space = Box(0, 255, (32,), np.uint8)
        self.action_space = Discrete(2)
        self._makes = makes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(32, dtype=np.uint8), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        digest = hashlib.sha256()
        for make in self._makes:
            env = make()
            env.action_space.seed(0)
            digest.update(repr(env.reset(seed=0)).encode())
            for _ in range(STEPS):
                result = env.step(env.action_space.sample())
                digest.update(repr(result).encode())
                if result[2] or result[3]:
                    digest.update(repr(env.reset()).encode())
        return np.frombuffer(digest.digest(), dtype=np.uint8), 0.0, False, False, {}


def matrix() -> Iterator[tuple[Make, str, str, str]]:
    """Try everything everywhere; the last is how it ended."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.start_methods"])
    for make, library, method in product(everything(), LIBRARIES, METHODS):
        try:
            ending = "same" if agrees(make, library, method) else "different"
        except Exception as error:
            ending = f"{type(error).__name__}: {str(error)[:100]}"
        yield make, library, method, ending


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.start_methods", description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown page of how each ended")
    options = parser.parse_args(arguments)
    columns = list(product(LIBRARIES, METHODS))
    began, ends = time.perf_counter(), {}
    for make, library, method, ending in matrix():
        ends[make.world, make.wrapper, library, method] = ending
        print(make.world, make.wrapper, library, method, ending, flush=True)
    same = sum(ending == "same" for ending in ends.values())
    lines = [
        f"# {same} of {len(ends)} as in the process itself; {time.perf_counter() - began:.0f} seconds",
        "",
        "| Env | Wrapper | " + " | ".join(f"{library}, {method}" for library, method in columns) + " |",
        "| --- |" * (len(columns) + 2),
        *(
            f"| {world} | {wrapper} | " + " | ".join(ends[(world, wrapper, *column)] for column in columns) + " |"
            for world, wrapper in product(WORLDS, WRAPPERS)
        ),
    ]
    if options.out is not None:
        write_atomically(options.out, ("\n".join(lines) + "\n").encode())
    print(lines[0])
    return int(same < len(ends))


if __name__ == "__main__":
    sys.exit(main())
