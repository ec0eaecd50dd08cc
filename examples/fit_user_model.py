"""A user model learnt from logs, in a file: the world of UserModel-v0, for the other examples.

python examples/fit_user_model.py --out user_model.safetensors
python examples/sb3_ppo.py --user-model user_model.safetensors
"""

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import tyro

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig


@dataclass
class Args:
    """Settings."""

    out: Path
    """File of the user model."""
    sessions: int = 1000
    """Logged sessions to learn from."""
    seed: int = 0
    """Of everything that is random."""


def main(args: Args) -> None:
    """Log sessions, learn a user model from them, say how good it is, and save it."""
    log = gym.make("RecSim-v0", logging_policy="mix").unwrapped.collect(args.sessions, seed=args.seed)
    training, validation, test = log.split((0.8, 0.1, 0.1), seed=args.seed)
    model = UserModel.create(UserModelConfig(log.num_items, log.slate_size), seed=args.seed)
    fit_user_model(training, validation, model, FitConfig(), seed=args.seed)
    print(fidelity(model, test, seed=args.seed))
    model.save(args.out)


if __name__ == "__main__":
    main(tyro.cli(Args))
