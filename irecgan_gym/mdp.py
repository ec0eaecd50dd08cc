"""The tables of the synthetic recommendation MDP (§7.1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TransitionKind = Literal["softmax", "dirichlet", "item"]


@dataclass(frozen=True, eq=False)
class RecommendationMDP:
    """Rewards and transitions of m user states and n items; every session starts in state 0.

    Attributes:
        rewards: r(s, a) in [0, 1], the chance that a click on item a in state s succeeds; float64 [m, n]. In every
            state the items of a slate are clicked in proportion to it.
        transitions: P(s' | s, a) after a success; rows add up to 1; float64 [m, n, m].
    """

    rewards: NDArray[np.float64]
    transitions: NDArray[np.float64]

    def __post_init__(self) -> None:
        rewards = np.array(self.rewards, dtype=np.float64)
        transitions = np.array(self.transitions, dtype=np.float64)
        if rewards.ndim != 2 or 0 in rewards.shape:
            raise ValueError(f"rewards must have shape [m, n], got {rewards.shape}")
        m, n = rewards.shape
        if transitions.shape != (m, n, m):
            raise ValueError(f"transitions must have shape {(m, n, m)} for rewards {(m, n)}, got {transitions.shape}")
        if not ((rewards > 0) & (rewards <= 1)).all():
            s, a = (int(i) for i in np.argwhere(~((rewards > 0) & (rewards <= 1)))[0])
            raise ValueError(f"rewards[{s}, {a}] is {rewards[s, a]}, expected a number in (0, 1]")
        totals = transitions.sum(-1)
        wrong = ~np.isclose(totals, 1.0) | (transitions < 0).any(-1)
        if wrong.any():
            s, a = (int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(f"transitions[{s}, {a}] is {transitions[s, a]}, expected probabilities that add up to 1")
        rewards.flags.writeable = transitions.flags.writeable = False
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "transitions", transitions)

    @property
    def num_states(self) -> int:
        """Number of user states, m."""
        return len(self.rewards)

    @property
    def num_items(self) -> int:
        """Size of the catalogue, n."""
        return len(self.rewards[0])


def draw_mdp(
    *,
    num_states: int = 10,
    num_items: int = 50,
    mdp_seed: int = 0,
    transitions: TransitionKind = "softmax",
    concentration: float = 0.1,
    epsilon: float = 0.05,
    reward_scale: float = 1.0,
) -> RecommendationMDP:
    """Draw the tables of an MDP.

    Args:
        num_states: m.
        num_items: n.
        mdp_seed: of the tables; the same seed gives the same rewards whatever the transitions.
        transitions: ``"softmax"``: each row is a softmax of m draws of U(0, 1), as in the authors' code, so that the
            next state is almost independent of everything; ``"dirichlet"``: rows from a Dirichlet distribution;
            ``"item"``: each item leads to one state, the same from everywhere, but for noise.
        concentration: of ``"dirichlet"``; small numbers make rows peaked.
        epsilon: of ``"item"``: the chance that the next state is uniformly random instead.
        reward_scale: rewards are multiplied state by state by numbers that fall evenly from 1 to ``reward_scale``.
            The start state has the second largest: users can be led up one state, and down many.

    Raises:
        ValueError: a number out of its range, or an unknown kind of transitions.
    """
    for name, count in (("num_states", num_states), ("num_items", num_items)):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {count!r}")
    if not 0 < reward_scale <= 1:
        raise ValueError(f"reward_scale must be in (0, 1], got {reward_scale}")
    # A stream each, so that the kind of transitions does not change the rewards.
    reward_rng, transition_rng = (np.random.default_rng(child) for child in np.random.SeedSequence(mdp_seed).spawn(2))
    rewards = 1.0 - reward_rng.random((num_states, num_items))
    rewards *= _state_scales(num_states, reward_scale)[:, None]
    shape = (num_states, num_items, num_states)
    if transitions == "softmax":
        table = _softmax_rows(transition_rng, shape)
    elif transitions == "dirichlet":
        table = _dirichlet_rows(transition_rng, shape, concentration)
    elif transitions == "item":
        table = _item_rows(transition_rng, shape, epsilon)
    else:
        raise ValueError(f"transitions must be 'softmax', 'dirichlet' or 'item', got {transitions!r}")
    return RecommendationMDP(rewards, table)


def _state_scales(num_states: int, lowest: float) -> NDArray[np.float64]:
    scales = np.linspace(1.0, lowest, num_states)
    scales[:2] = scales[:2][::-1].copy()
    return scales


def _softmax_rows(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    odds = np.exp(rng.random(shape))
    rows: NDArray[np.float64] = odds / odds.sum(-1, keepdims=True)
    return rows


def _dirichlet_rows(rng: np.random.Generator, shape: tuple[int, int, int], concentration: float) -> NDArray[np.float64]:
    if not concentration > 0:
        raise ValueError(f"concentration must be positive, got {concentration}")
    return rng.dirichlet(np.full(shape[-1], concentration), size=shape[:2])


def _item_rows(rng: np.random.Generator, shape: tuple[int, int, int], epsilon: float) -> NDArray[np.float64]:
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must be from 0 to 1, got {epsilon}")
    num_states, num_items, _ = shape
    leads_to = rng.integers(num_states, size=num_items)
    row = np.full((num_items, num_states), epsilon / num_states)
    row[np.arange(num_items), leads_to] += 1 - epsilon
    return np.broadcast_to(row, shape)
