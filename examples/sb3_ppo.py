"""Stable-Baselines3's PPO on RecSim-v0, or on UserModel-v0 with a fitted user model.

python examples/sb3_ppo.py
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import irecgan_gym  # noqa: F401 (registers the envs)


@dataclass
class Args:
    """Settings."""

    timesteps: int = 50_000
    """Slates to learn from."""
    user_model: Path | None = None
    """File of a fitted user model: train in UserModel-v0. RecSim-v0 if left out."""
    seed: int = 0
    """Of everything that is random."""


def main(args: Args) -> float:
    """Train, and return the mean reward of a session."""
    env_id, options = (
        ("RecSim-v0", {}) if args.user_model is None else ("UserModel-v0", {"user_model": args.user_model})
    )
    env = make_vec_env(env_id, n_envs=16, seed=args.seed, env_kwargs=options)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=256, learning_rate=1e-3, seed=args.seed, device="cpu")
    random_reward, _ = evaluate_policy(model, env, n_eval_episodes=200, deterministic=False)
    model.learn(args.timesteps)
    reward, _ = evaluate_policy(model, env, n_eval_episodes=200)
    print(f"{env_id}: a session earns {reward:.2f}; before training, {random_reward:.2f}")
    return float(reward)


if __name__ == "__main__":
    main(tyro.cli(Args))
