"""The tables of the synthetic recommendation MDP (§7.1), drawn from a seed or given by the user."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.settings import shown

FloatTable = NDArray[np.float64]

TRANSITIONS = ("softmax", "dirichlet", "item")
MOST_NUMBERS = 2**31
"""Of tables that are drawn, 16 GB of them: a mistaken size is refused before it fills all memory."""
START_STATE = 0
"""State s_0, in which every session begins."""


@dataclass(frozen=True, eq=False)
class RecommendationMDP:
    """Rewards and transitions of m user states and n items, checked and read-only.

    Attributes:
        rewards: r(s, a) in (0, 1]: how strongly item a draws clicks in state s, and the probability that a click on
            it succeeds; float64 [m, n].
        transitions: P(s' | s, a), the next state after a successful click; float64 [m, n, m], rows add up to 1.

    Raises:
        ValueError: tables of the wrong shape, or with an entry out of range, named with its place.
    """

    rewards: FloatTable
    transitions: FloatTable

    def __post_init__(self) -> None:
        rewards = _table("rewards", self.rewards)
        if rewards.ndim != 2 or rewards.size == 0:
            raise ValueError(f"rewards must have shape [num_states, num_items], got {list(rewards.shape)}")
        _refuse("rewards", rewards, ~((rewards > 0) & (rewards <= 1)), "a number in (0, 1]")
        num_states, num_items = rewards.shape
        transitions = _table("transitions", self.transitions)
        shape = (num_states, num_items, num_states)
        if transitions.shape != shape:
            raise ValueError(
                f"transitions must have shape [num_states, num_items, num_states] = {list(shape)} to go with rewards "
                f"of shape {list(rewards.shape)}, got {list(transitions.shape)}"
            )
        _refuse("transitions", transitions, ~((transitions >= 0) & (transitions <= 1)), "a probability")
        sums = transitions.sum(axis=2)
        wrong = np.argwhere(np.abs(sums - 1) > 1e-6)
        if len(wrong):
            state, item = wrong[0]
            raise ValueError(
                f"transitions[{state}, {item}] must add up to 1 over the next states, got {sums[state, item]}"
            )
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "transitions", transitions)

    @property
    def num_states(self) -> int:
        """Number of user states, m."""
        return len(self.rewards)

    @property
    def num_items(self) -> int:
        """Number of items, n."""
        return len(self.rewards[0])

    def ranked_items(self) -> NDArray[np.int64]:
        """Items of every state from the highest reward to the lowest, equal ones by id; [m, n]."""
        return np.argsort(-self.rewards, axis=1, kind="stable")

    def digest(self) -> str:
        """SHA-256 of both tables: equal digests, equal worlds."""
        content = hashlib.sha256(repr(self.rewards.shape).encode())
        content.update(self.rewards.astype("<f8").tobytes())
        content.update(self.transitions.astype("<f8").tobytes())
        return content.hexdigest()

    def __reduce__(self) -> tuple[type[RecommendationMDP], tuple[FloatTable, FloatTable]]:
        # Copies and pickles go through the constructor, so that their arrays are read-only too.
        return RecommendationMDP, (self.rewards, self.transitions)

    def __repr__(self) -> str:
        return f"RecommendationMDP(num_states={self.num_states}, num_items={self.num_items})"


def as_mdp(tables: RecommendationMDP | tuple[ArrayLike, ArrayLike]) -> RecommendationMDP:
    """Return tables in the one form that the suite works with, checked.

    Args:
        tables: an MDP, which is returned as it is, or the pair of its tables: rewards [m, n], transitions [m, n, m].

    Raises:
        ValueError: neither, or tables of a wrong shape or with an entry out of range, named with its place.
    """
    if isinstance(tables, RecommendationMDP):
        return tables
    if not isinstance(tables, (tuple, list)) or len(tables) != 2:
        raise ValueError(
            "mdp must be a RecommendationMDP or the pair (rewards [m, n], transitions [m, n, m]), got "
            f"{type(tables).__name__}{f' of {len(tables)}' if isinstance(tables, (tuple, list)) else ''}"
        )
    rewards, transitions = tables
    return RecommendationMDP(rewards, transitions)  # type: ignore[arg-type]


def draw_mdp(
    num_states: int = 10,
    num_items: int = 50,
    mdp_seed: int = 0,
    transitions: str = "softmax",
    *,
    concentration: float = 0.1,
    epsilon: float = 0.05,
    reward_scale: float = 1.0,
) -> RecommendationMDP:
    """Draw the tables of an MDP.

    Rewards are r(s, a) ~ U(0, 1], times a factor of the state (see ``reward_scale``). They depend on the seed and the
    sizes only, so that MDPs of one seed that differ in their transitions have the same items.

    Args:
        num_states: m.
        num_items: n.
        mdp_seed: of everything that is drawn here.
        transitions: ``"softmax"``: each row P(. | s, a) is a softmax of m draws from U(0, 1), no entry more than e
            times another, so that the next state hardly depends on item or state. ``"dirichlet"``: each row is drawn
            from a symmetric Dirichlet distribution. ``"item"``: every item leads to one state (drawn uniformly for
            each item), whatever the state in which it is clicked, but for some noise.
        concentration: of the Dirichlet distribution; the smaller, the nearer are transitions to certainty.
        epsilon: with ``"item"``, the probability that the next state is drawn uniformly instead.
        reward_scale: the smallest factor of a state. The factors fall in equal steps from 1 to it: s_1 has the factor
            1, the start s_0 comes second, s_2 third and so on to the last state. So a session begins near the top,
            most moves lead down, and one state is better still. 1 scales nothing.

    Raises:
        ValueError: an argument out of its range.
    """
    num_states = check_count("num_states", num_states, 1)
    num_items = check_count("num_items", num_items, 1)
    mdp_seed = check_count("mdp_seed", mdp_seed, 0)
    if not isinstance(transitions, str) or transitions not in TRANSITIONS:
        raise ValueError(f"transitions must be one of {', '.join(map(repr, TRANSITIONS))}, got {shown(transitions)}")
    if num_states * num_items * num_states > MOST_NUMBERS:
        raise ValueError(
            f"num_states {num_states} and num_items {num_items} make tables of more than {MOST_NUMBERS:,} numbers, the "
            "most that are drawn"
        )
    if not (_is_number(concentration) and concentration > 0):
        raise ValueError(f"concentration must be a positive number, got {shown(concentration)}")
    if not (_is_number(epsilon) and 0 <= epsilon <= 1):
        raise ValueError(f"epsilon must be a probability from 0 to 1, got {shown(epsilon)}")
    if not (_is_number(reward_scale) and 0 < reward_scale <= 1):
        raise ValueError(f"reward_scale must be a factor in (0, 1], got {shown(reward_scale)}")

    rng = np.random.default_rng(mdp_seed)
    # random() is in [0, 1): the rewards must be in (0, 1], as a slate of rewards 0 would have no click to draw.
    rewards = (1.0 - rng.random((num_states, num_items))) * _state_factors(num_states, reward_scale)[:, None]
    shape = (num_states, num_items, num_states)
    if transitions == "softmax":
        rows = np.exp(rng.random(shape))
        rows /= rows.sum(axis=2, keepdims=True)
    elif transitions == "dirichlet":
        rows = rng.dirichlet(np.full(num_states, concentration), size=(num_states, num_items))
    else:
        destinations = rng.integers(num_states, size=num_items)
        rows = np.full(shape, epsilon / num_states)
        rows[:, np.arange(num_items), destinations] += 1 - epsilon
    return RecommendationMDP(rewards, rows)


def check_count(name: str, value: Any, minimum: int) -> int:
    """The value as an int, or a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {shown(value)}")
    return int(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) <= sys.float_info.max  # NumPy knows no larger ones.
    return isinstance(value, (float, np.integer, np.floating)) and bool(np.isfinite(value))


def _state_factors(num_states: int, reward_scale: float) -> FloatTable:
    factors = np.linspace(1.0, reward_scale, num_states)
    factors[:2] = factors[:2][::-1].copy()
    return factors


def _table(name: str, values: ArrayLike) -> FloatTable:
    """A read-only copy as float64."""
    try:
        table = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, got {shown(values)}") from error
    table.flags.writeable = False
    return table


def _refuse(name: str, table: FloatTable, wrong: NDArray[np.bool_], expected: str) -> None:
    places = np.argwhere(wrong)
    if len(places):
        place = tuple(int(i) for i in places[0])
        raise ValueError(f"{name}[{', '.join(map(str, place))}] must be {expected}, got {table[place]}")
