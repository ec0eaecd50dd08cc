"""Synthetic logs with the shape of real ones: popular and rare items, short sessions, ragged slates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions import Sessions

IntArray = NDArray[np.int64]
_REWARD_RATE = 0.1


@dataclass(frozen=True)
class LogShape:
    """Sizes of a synthetic log; the defaults are those of the paper's CIKM Cup 2016 data.

    Attributes:
        num_items: size of the catalogue, n.
        mean_length: mean of the geometric session lengths, in steps.
        longest: length at which sessions are cut, in steps.
        slate_sizes: fewest and most items of a slate, both included; sizes are uniform between them.
    """

    num_items: int = 40_000
    mean_length: float = 2.8
    longest: int = 40
    slate_sizes: tuple[int, int] = (15, 35)


CIKM = LogShape()
CIKM_SESSIONS = 65_284


def log_of_shape(shape: LogShape, num_sessions: int, rng: np.random.Generator) -> Sessions:
    """A log of the given shape, see :func:`synthetic_log`."""
    lengths = np.minimum(rng.geometric(1 / shape.mean_length, num_sessions), shape.longest)
    low, high = shape.slate_sizes
    return synthetic_log(shape.num_items, lengths, (low, min(high, shape.num_items)), rng)


def synthetic_log(
    num_items: int, lengths: IntArray, slate_sizes: tuple[int, int], rng: np.random.Generator
) -> Sessions:
    """Sessions whose users click a uniformly random place of slates of Zipf-distributed items.

    Args:
        num_items: size of the catalogue, n.
        lengths: steps of each session, [S].
        slate_sizes: fewest and most items of a slate.
        rng: of everything that is drawn.
    """
    num_steps = int(lengths.sum())
    sizes = rng.integers(slate_sizes[0], slate_sizes[1] + 1, num_steps)
    items = distinct_zipf_items(num_items, sizes, rng)
    first = np.cumsum(sizes) - sizes
    return Sessions.from_columns(
        num_items=num_items,
        lengths=lengths,
        slates=items,
        slate_lengths=sizes,
        clicks=items[first + rng.integers(sizes)],
        rewards=(rng.random(num_steps) < _REWARD_RATE).astype(np.float32),
        provenance={"source": "synthetic log"},
    )


def distinct_zipf_items(num_items: int, sizes: IntArray, rng: np.random.Generator) -> IntArray:
    """Items with probability in proportion to 1 / rank, all different within a slate.

    Places that repeat an item of their slate are drawn again until none is left; rounds go over all slates at once.

    Args:
        num_items: size of the catalogue, n; item i has rank i + 1.
        sizes: items of each slate, at most n; [T].
        rng: of the draws.

    Returns:
        The slates one after the other, [sum of sizes].
    """
    if int(sizes.max(initial=0)) > num_items:
        raise ValueError(f"slates hold at most num_items={num_items} different items, got {int(sizes.max())}")
    cumulative = np.cumsum(1 / np.arange(1, num_items + 1))

    def draw(count: int) -> IntArray:
        found: IntArray = np.searchsorted(cumulative[:-1], rng.random(count) * cumulative[-1], side="right")
        return found

    slate_of_place = np.repeat(np.arange(len(sizes)), sizes)
    items = draw(len(slate_of_place))
    places = np.arange(len(items))
    while len(places):
        keys = slate_of_place[places] * num_items + items[places]
        order = np.argsort(keys, kind="stable")
        repeats = places[order[1:][keys[order[1:]] == keys[order[:-1]]]]
        items[repeats] = draw(len(repeats))
        # Only slates in which something was drawn again can hold a repeat now.
        touched = np.zeros(len(sizes), dtype=bool)
        touched[slate_of_place[repeats]] = True
        places = places[touched[slate_of_place[places]]]
    return items
