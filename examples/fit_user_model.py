"""A user model learned from the log of a small shop, in a file: the world of UserModel-v0, for the other examples.

python examples/fit_user_model.py --out user_model.safetensors
python examples/sb3_ppo.py --user-model user_model.safetensors
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

import irecgan_gym as ig

SHOP_LOG = Path(__file__).with_name("shop_log.csv")


@dataclass
class Args:
    """Settings."""

    out: Path
    """File of the user model."""
    log: Path = SHOP_LOG
    """Logged sessions to learn from: a table as of `examples/shop_log.py`."""
    seed: int = 0
    """Seed of everything that is random."""


def main(args: Args) -> None:
    """Read the log, learn a user model from it, say how good it is, and save it."""
    columns = ig.TableColumns(reward="purchase", user="user")
    sessions, report = ig.read(args.log, "table", columns=columns)
    print(report)
    training, validation, test = sessions.split((0.8, 0.1, 0.1), seed=args.seed, by="user")
    config = ig.UserModelConfig(sessions.num_items, sessions.slate_size, ending="leave")
    model = ig.fit_user_model(training, validation, config, seed=args.seed)
    print(ig.fidelity(model, test, seed=args.seed))
    model.save(args.out)


if __name__ == "__main__":
    main(tyro.cli(Args))
