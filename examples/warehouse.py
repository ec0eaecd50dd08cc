"""Write what the warehouse of a made-up shop holds: lists shown, clicks, purchases that came later, and the products.

python examples/warehouse.py --out warehouse --sessions 20000

Three files, as a shop would export them: ``impressions.csv`` (one row for each item shown), ``purchases.csv`` (one row
for each item bought, hours or days after the click) and ``products.csv``. Lists hold 4 to 24 products; about a quarter
of them has no click and two fifths have several. Which lists are shown depends on the popularity of products and on
chance.

Users look for one kind of product at a time. The shop's own lists do not heed that; a policy that reads the session
can. As the truth is known here, :meth:`Shop.truth` tells what any policy would have earned.

Policies fill one place of at most six lists a session. With two places and up to twelve lists, weights multiply over
the lists until few logged sessions have nearly all of the weight: ``irecgan-gym decide`` was wrong there once. Its page
shows mean weights and effective sessions by step, and it answers "not known" where the mean weights fall too far.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

KINDS = ("tea", "coffee", "honey", "cups", "books", "lamps")
PLACES = 1
"""The first places of a list that policies fill; the shop fills the others."""
MOST_LISTS = 6
"""Lists of a session at most."""
WEEK = 7 * 86_400
START = 1_700_000_000


class Products(NamedTuple):
    """Products of the shop, one entry each.

    Attributes:
        sku: names.
        kind: number of each one's kind.
        price: of each.
        appeal: of each, to everybody.
    """

    sku: list[str]
    kind: np.ndarray
    price: np.ndarray
    appeal: np.ndarray


class Shop:
    """A shop whose users are known.

    Args:
        products_a_kind: how many there are of each kind.
        seed: of the products.
        new: further products of each kind, which come a week later.
    """

    def __init__(self, products_a_kind: int = 6, seed: int = 0, new: int = 0) -> None:
        rng = np.random.default_rng(seed)
        kind = np.tile(np.arange(len(KINDS)), products_a_kind + new)
        number = len(kind)
        sku = [f"SKU-{KINDS[each][:2].upper()}{1000 + place}" for place, each in enumerate(kind)]
        price = np.round(np.exp(rng.normal(3.0, 0.6, number)), 2)
        self.products = Products(sku, kind, price, rng.normal(scale=0.4, size=number))
        # Lists of the shop: by popularity, drawn item by item.
        self.logits = 0.8 * self.products.appeal

    def play(self, policy, num_sessions: int, rng: np.random.Generator) -> tuple[float, list[dict]]:
        """Play sessions, and return the clicks on the first places a session, and all rows of the log.

        Args:
            policy: called with the clicks on first places so far; gives the first items, or None for the shop's own.
            num_sessions: how many; a user has three of them on average.
            rng: of everything.
        """
        favorites = rng.integers(len(KINDS), size=max(1, num_sessions // 3))
        rows, clicks = [], 0
        for session in range(num_sessions):
            user = int(rng.integers(len(favorites)))
            wanted = favorites[user] if rng.random() < 0.7 else int(rng.integers(len(KINDS)))
            time, history, step = START + int(rng.integers(WEEK)), [], 0
            while True:
                shown = self._list(None if policy is None else policy(history), rng)
                clicked = self._clicks(shown, wanted, rng)
                time += int(rng.integers(5, 120))
                rows.append(
                    {"session": session, "user": user, "step": step, "time": time, "items": shown, "clicked": clicked}
                )
                clicks += int(clicked[:PLACES].sum())
                history += [int(item) for item in shown[:PLACES][clicked[:PLACES]]] or [-1]
                step += 1
                if rng.random() < (0.25 if clicked.any() else 0.45) or step == MOST_LISTS:
                    break
        return clicks / num_sessions, rows

    def truth(self, agent, num_sessions: int, rng: np.random.Generator) -> tuple[float, float]:
        """Play sessions with an agent, and return its clicks on first places a session and half of their 95% interval.

        Args:
            agent: learned from the shop's log cut to the first place of each list; None for the shop's own lists.
            num_sessions: how many, all at once.
            rng: of the users.
        """
        sku = self.products.sku
        products = np.array([] if agent is None else [sku.index(name) for name in agent.catalogue.names], dtype=int)
        numbers = np.full(len(sku), -1)
        numbers[products] = np.arange(len(products))
        wanted = rng.integers(len(KINDS), size=num_sessions)
        earned, here = np.zeros(num_sessions), np.ones(num_sessions, dtype=bool)
        clicks, state = np.full(num_sessions, len(products)), None
        for _ in range(MOST_LISTS):
            slates = None
            if agent is not None:
                slates, state = agent.predict(clicks, state)
            for session in np.flatnonzero(here):
                shown = self._list(None if slates is None else products[slates[session]], rng)
                clicked = self._clicks(shown, wanted[session], rng)
                earned[session] += clicked[:PLACES].sum()
                clicks[session] = numbers[shown[0]] if clicked[0] else len(products)
                here[session] = rng.random() >= (0.25 if clicked.any() else 0.45)
        return float(earned.mean()), float(1.96 * earned.std() / np.sqrt(num_sessions))

    def _list(self, first: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        length = int(rng.integers(4, min(24, len(self.logits)) + 1))
        order = np.argsort(-(self.logits + rng.gumbel(size=len(self.logits))))
        if first is not None:
            order = np.append(first, order[~np.isin(order, first)])
        return order[:length]

    def _clicks(self, shown: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
        """Which items of a list are clicked; users look at first places more, and dislike high prices a little."""
        goods = self.products
        liking = goods.appeal[shown] + 2.2 * (goods.kind[shown] == wanted) - 0.1 * np.log(goods.price[shown]) - 2.6
        seen = rng.random(len(shown)) < 1 / (1 + 0.03 * np.arange(len(shown)))
        return seen & (rng.random(len(shown)) < 1 / (1 + np.exp(-liking)))

    def write(self, folder: Path, rows: list[dict], rng: np.random.Generator) -> None:
        """Write the three files."""
        folder.mkdir(parents=True, exist_ok=True)
        goods = self.products
        with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["sku", "category", "price"])
            table.writerows((sku, KINDS[kind], price) for sku, kind, price, _ in zip(*goods, strict=True))
        with (
            (folder / "impressions.csv").open("w", newline="", encoding="utf-8") as lists,
            (folder / "purchases.csv").open("w", newline="", encoding="utf-8") as later,
        ):
            table, bought = (csv.writer(file, lineterminator="\n") for file in (lists, later))
            table.writerow(["session", "user", "time", "list", "position", "sku", "category", "price", "clicked"])
            bought.writerow(["user", "sku", "time", "paid"])
            for row in rows:
                user = f"user-{row['user']}" if row["user"] % 10 else ""
                for place, (item, clicked) in enumerate(zip(row["items"], row["clicked"], strict=True)):
                    sku, price = goods.sku[item], goods.price[item]
                    about = [f"s{row['session']:06d}", user, row["time"], row["step"], place, sku]
                    table.writerow([*about, KINDS[goods.kind[item]], price, int(clicked)])
                    if clicked and rng.random() < 0.15:
                        bought.writerow([user, sku, row["time"] + int(rng.exponential(40_000)), price])


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("warehouse"), help="the folder to write")
    parser.add_argument("--sessions", type=int, default=20_000, help="how many sessions")
    parser.add_argument("--new", type=int, default=0, help="products of each kind that came in the meantime")
    parser.add_argument("--seed", type=int, default=0, help="of the users and their clicks")
    arguments = parser.parse_args()
    shop, rng = Shop(new=arguments.new), np.random.default_rng(arguments.seed)
    _, rows = shop.play(None, arguments.sessions, rng)
    shop.write(arguments.out, rows, rng)


if __name__ == "__main__":
    main()
