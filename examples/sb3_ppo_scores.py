"""Stable-Baselines3's PPO on RecSim-v0: it scores items, and the ten with the highest scores are shown.

python examples/sb3_ppo_scores.py --timesteps 100000
"""

from dataclasses import dataclass

import gymnasium as gym
import tyro
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.sb3 import ItemHistoryExtractor, NativeVecEnv
from irecgan_gym.wrappers import VectorClickHistory, VectorSlateScores


@dataclass
class Args:
    """Settings."""

    timesteps: int = 100_000
    """Slates to learn from."""
    seed: int = 0
    """Of everything that is random."""


def make_envs(num_envs: int, seed: int) -> NativeVecEnv:
    """Many users in one native vector env: the agent sees their last 5 clicks and scores all items.

    Args:
        num_envs: number of users.
        seed: of their choices.
    """
    envs = gym.make_vec("RecSim-v0", num_envs=num_envs, max_episode_steps=40, autoreset_mode=AutoresetMode.SAME_STEP)
    vec_env = NativeVecEnv(VectorSlateScores(VectorClickHistory(envs, 5), bound=10.0))
    vec_env.seed(seed)
    return vec_env


def make_agent(envs: NativeVecEnv, seed: int) -> PPO:
    """PPO that embeds the clicked items.

    In RecSim-v0 a slate has next to no influence on the state that follows, so that the agent looks at the reward of
    the slate alone (``gamma=0``); in RecSim-Planning-v0, for one, it must not. The learning rate falls to 0.
    """
    return PPO(
        "MlpPolicy",
        envs,
        learning_rate=lambda remaining: 3e-3 * remaining,
        n_steps=16,
        batch_size=256,
        n_epochs=5,
        gamma=0.0,
        policy_kwargs={
            "features_extractor_class": ItemHistoryExtractor,
            "features_extractor_kwargs": {"embedding_size": 8, "features_dim": 8, "encoder": "mean"},
            "net_arch": [],
            "log_std_init": -1.0,
        },
        seed=seed,
        device="cpu",
    )


def mean_reward(agent: PPO) -> float:
    """Return the mean reward of the agent in 1,000 sessions of new users."""
    mean, _ = evaluate_policy(agent, make_envs(200, seed=1), 1000, warn=False)
    return float(mean)


def main(args: Args) -> tuple[float, float]:
    """Train and deploy; the mean reward of a session before and after."""
    agent = make_agent(make_envs(64, args.seed), args.seed)
    before = mean_reward(agent)
    agent.learn(args.timesteps)
    after = mean_reward(agent)
    print(f"a session earns {before:.2f} before training, {after:.2f} after {agent.num_timesteps} steps")
    return before, after


if __name__ == "__main__":
    main(tyro.cli(Args))
