"""Environment steps a second while Stable-Baselines3's PPO collects roll-outs."""

from __future__ import annotations

import time
from dataclasses import dataclass

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from irecgan_gym.benchmarks.throughput.environments import RECSIM
from irecgan_gym.sb3 import ItemHistoryExtractor, NativeVecEnv
from irecgan_gym.wrappers import ClickHistory, SlateScores, VectorClickHistory, VectorSlateScores

_HISTORY, _STEPS = 5, 16


@dataclass(frozen=True)
class RolloutTask:
    """PPO on one kind of vector env.

    Attributes:
        native: whether its users are those of the env's own vector twin, or as many single envs.
        num_envs: number of users.
        seconds: least time of the measurement.
    """

    native: bool
    num_envs: int
    seconds: float


def measure_rollouts(task: RolloutTask) -> float:
    """Steps a second, those of the agent included, its updates not; the first roll-out warms up."""
    clock = _RolloutClock(task.seconds)
    agent = PPO(
        "MlpPolicy",
        _native_envs(task.num_envs) if task.native else _single_envs(task.num_envs),
        n_steps=_STEPS,
        batch_size=_STEPS * task.num_envs,
        n_epochs=1,
        policy_kwargs={"features_extractor_class": ItemHistoryExtractor},
        seed=0,
        device="cpu",
    )
    agent.learn(10**9, callback=clock)
    return clock.steps / clock.spent


def _native_envs(num_envs: int) -> VecEnv:
    envs = gym.make_vec(RECSIM, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    return NativeVecEnv(VectorSlateScores(VectorClickHistory(envs, _HISTORY)))


def _single_envs(num_envs: int) -> VecEnv:
    return DummyVecEnv([lambda: SlateScores(ClickHistory(gym.make(RECSIM), _HISTORY))] * num_envs)


class _RolloutClock(BaseCallback):
    """Adds up roll-outs' times and steps after the first one, and stops when enough time is spent on them.

    Args:
        at_least: seconds.
    """

    def __init__(self, at_least: float) -> None:
        super().__init__()
        self.spent, self.steps = 0.0, 0
        self._at_least = at_least
        self._start = 0.0

    def _on_rollout_start(self) -> None:
        self._start = time.perf_counter()

    def _on_rollout_end(self) -> None:
        if self.num_timesteps > _STEPS * self.training_env.num_envs:
            self.spent += time.perf_counter() - self._start
            self.steps += _STEPS * self.training_env.num_envs

    def _on_step(self) -> bool:
        return self.spent < self._at_least
