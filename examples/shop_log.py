"""Write the log of a small shop, ``shop_log.csv``: what was shown, clicked and bought, one row a list.

python examples/shop_log.py

The shop is made up. Its users like one of five kinds of products, look at the first places of a list more than at the
last, return to what they have clicked, buy what they like, and leave when little pleases them: a model that reads the
session predicts clicks better than one that knows the products' popularity alone.
"""

import argparse
import csv
from pathlib import Path
from typing import TextIO

import numpy as np

KINDS = ("tea", "coffee", "honey", "cups", "books")
PRODUCTS = tuple(f"{kind}-{number}" for kind in KINDS for number in range(1, 6))
PLACES = 5


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("shop_log.csv"), help="the file to write")
    parser.add_argument("--sessions", type=int, default=800, help="how many sessions")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    arguments = parser.parse_args()
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        write_log(file, arguments.sessions, np.random.default_rng(arguments.seed))


def write_log(file: TextIO, num_sessions: int, rng: np.random.Generator) -> None:
    """Play sessions and write a row a list; the last row of a session, without a click, is where the user left.

    Args:
        file: what the rows are written to.
        num_sessions: number of sessions; a user has 4 on average.
        rng: generator of all choices.
    """
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["session", "user", "slate", "click", "purchase"])
    favorite = rng.integers(len(KINDS), size=max(1, num_sessions // 4))
    appeal = rng.normal(scale=0.2, size=len(PRODUCTS))
    kind = np.arange(len(PRODUCTS)) // (len(PRODUCTS) // len(KINDS))
    for session in range(num_sessions):
        user = rng.integers(len(favorite))
        liking = appeal + 2.5 * (kind == favorite[user])
        clicked = np.zeros(len(PRODUCTS))
        while True:
            slate = rng.permutation(len(PRODUCTS))[:PLACES]
            utility = liking[slate] + 0.8 * clicked[slate] - 0.1 * np.arange(PLACES)
            # Leaving is the alternative to every click of the list.
            choices = np.exp(np.append(utility, 0.7))
            choice = rng.choice(PLACES + 1, p=choices / choices.sum())
            shown = "|".join(PRODUCTS[item] for item in slate)
            if choice == PLACES:
                table.writerow([session, user, shown, "", ""])
                break
            item = slate[choice]
            clicked[item] = 1
            purchase = int(rng.random() < 1 / (1 + np.exp(1.5 - liking[item])))
            table.writerow([session, user, shown, PRODUCTS[item], purchase])


if __name__ == "__main__":
    main()
