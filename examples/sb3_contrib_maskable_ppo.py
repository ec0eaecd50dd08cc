"""MaskablePPO of sb3-contrib builds slates item by item, on RecSim-v0, or on UserModel-v0 with a fitted user model.

python examples/sb3_contrib_maskable_ppo.py
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from stable_baselines3.common.env_util import make_vec_env

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.wrappers import SequentialSlate


@dataclass
class Args:
    """Settings."""

    timesteps: int = 100_000
    """Picks to learn from; ten make a slate of RecSim-v0."""
    user_model: Path | None = None
    """File of a fitted user model: train in UserModel-v0. RecSim-v0 if left out."""
    seed: int = 0
    """Of everything that is random."""


def main(args: Args) -> float:
    """Train, and return the mean reward of a session."""
    env_id, options = (
        ("RecSim-v0", {}) if args.user_model is None else ("UserModel-v0", {"user_model": args.user_model})
    )
    # The env tells which items are still free by its method `action_masks`.
    env = make_vec_env(env_id, n_envs=16, seed=args.seed, env_kwargs=options, wrapper_class=SequentialSlate)
    model = MaskablePPO(
        "MultiInputPolicy", env, n_steps=160, batch_size=512, n_epochs=4, gamma=0.99, seed=args.seed, device="cpu"
    )
    before, _ = evaluate_policy(model, env, n_eval_episodes=100, deterministic=False)
    model.learn(args.timesteps)
    reward, _ = evaluate_policy(model, env, n_eval_episodes=100)
    print(f"{env_id}: a session earns {reward:.2f}; before training, {before:.2f}")
    return float(reward)


if __name__ == "__main__":
    main(tyro.cli(Args))
