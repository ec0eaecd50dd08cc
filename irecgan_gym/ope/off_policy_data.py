"""A log beside the policy that made it and the policy that is to be judged by it: what estimators are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irecgan_gym.ope.policies import EvaluationPolicy
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.ragged import gather
from irecgan_gym.sessions.slate_propensities import SlatePropensities

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OffPolicyData:
    """Logged sessions, with what two policies say of their slates. Build with :meth:`create`.

    S sessions of T steps and L slate entries. What is estimated is the evaluation policy's expected discounted reward
    of a session, cut where the log's sessions are cut.

    Attributes:
        sessions: the log.
        logging: probabilities of the slates under the policy that showed them.
        target: the same under the policy to be judged, OBP's and SCOPE-RL's evaluation policy.
        gamma: discount factor of a step.
        slot_rewards: reward of each entry of a slate, float64 [L]; of a click, all of the step's reward is its item's.
        logging_policy: the policy itself, where it is at hand.
        target_policy: the same for the policy to be judged.
    """

    sessions: Sessions
    logging: SlatePropensities
    target: SlatePropensities
    gamma: float
    slot_rewards: FloatArray
    logging_policy: EvaluationPolicy | None = None
    target_policy: EvaluationPolicy | None = None

    @classmethod
    def create(
        cls,
        sessions: Sessions,
        logging: EvaluationPolicy | SlatePropensities,
        target: EvaluationPolicy | SlatePropensities,
        *,
        gamma: float = 1.0,
        slot_rewards: ArrayLike | None = None,
    ) -> OffPolicyData:
        """Work out the probabilities of both policies and check that the log can be theirs.

        Args:
            sessions: the log.
            logging: who showed the slates, or the probabilities with which they were shown.
            target: the policy to be judged, or its probabilities.
            gamma: discount factor, from 0 to 1.
            slot_rewards: rewards of the single entries, [L]; the step's reward at the clicked item when left out.

        Raises:
            ValueError: a slate that the logging policy never shows, a reward without a click and without
                ``slot_rewards``, or an argument out of its range.
        """
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma must be from 0 to 1, got {gamma!r}")
        logged = logging if isinstance(logging, SlatePropensities) else logging.propensities(sessions)
        wanted = target if isinstance(target, SlatePropensities) else target.propensities(sessions)
        for name, part in (("logging", logged), ("target", wanted)):
            if len(part.prefixes) != len(sessions.slate_items) or len(part.slate_offsets) != sessions.num_steps + 1:
                raise ValueError(f"the {name} propensities are not those of these sessions: they differ in length")
        impossible = np.flatnonzero(np.isneginf(logged.slates))
        if len(impossible):
            raise ValueError(
                f"the logging policy never shows the slate of step {impossible[0]}: "
                "these propensities are not those of the policy that made the log"
            )
        if slot_rewards is None:
            rewards = _rewards_of_clicks(sessions)
        else:
            rewards = np.asarray(slot_rewards, dtype=np.float64)
            if rewards.shape != sessions.slate_items.shape or not np.isfinite(rewards).all():
                raise ValueError(f"slot_rewards must be finite numbers, shape {sessions.slate_items.shape}")
        return cls(
            sessions,
            logged,
            wanted,
            float(gamma),
            rewards,
            None if isinstance(logging, SlatePropensities) else logging,
            None if isinstance(target, SlatePropensities) else target,
        )

    def select(self, numbers: IntArray) -> OffPolicyData:
        """Some of the sessions, in the order given, repeats allowed."""
        steps, _ = gather(self.sessions.offsets, numbers)
        entries, _ = gather(self.sessions.slate_offsets, steps)
        return replace(
            self,
            sessions=self.sessions.select(numbers),
            logging=self.logging.of_steps(steps),
            target=self.target.of_steps(steps),
            slot_rewards=self.slot_rewards[entries],
        )

    @property
    def num_sessions(self) -> int:
        """S."""
        return len(self.sessions)

    @cached_property
    def rewards(self) -> FloatArray:
        """Reward of each step, [T]."""
        return self.sum_of_entries(self.slot_rewards)

    @cached_property
    def step_in_session(self) -> IntArray:
        """Number of each step in its session, from 0; [T]."""
        offsets = self.sessions.offsets
        return np.arange(self.sessions.num_steps) - np.repeat(offsets[:-1], self.sessions.lengths)

    @cached_property
    def discounts(self) -> FloatArray:
        """Gamma to the power of the step's number, [T]."""
        powers: FloatArray = self.gamma ** self.step_in_session.astype(np.float64)
        return powers

    @cached_property
    def clicked_entries(self) -> IntArray:
        """The entry that was clicked at each step, -1 where none was; [T]."""
        entries = np.full(self.sessions.num_steps, -1)
        steps = self.sessions.step_of_entry
        clicked = np.flatnonzero(self.sessions.slate_items == self.sessions.clicks[steps])
        entries[steps[clicked]] = clicked
        return entries

    def sum_of_entries(self, values: FloatArray) -> FloatArray:
        """Sum over the entries of each step's slate, [L] to [T]."""
        if not self.sessions.num_steps:
            return np.zeros(0)
        sums: FloatArray = np.add.reduceat(values, self.sessions.slate_offsets[:-1])
        return sums

    def sum_of_steps(self, values: FloatArray) -> FloatArray:
        """Sum over the steps of each session, [T] to [S]."""
        if not len(self.sessions):
            return np.zeros(0)
        sums: FloatArray = np.add.reduceat(values, self.sessions.offsets[:-1])
        return sums

    def by_time(self, values: FloatArray, fill: float) -> FloatArray:
        """A row a session, [S, longest]; ``fill`` behind a session's end."""
        table = np.full((len(self.sessions), int(self.sessions.lengths.max(initial=0))), fill)
        table[self.sessions.session_of_step, self.step_in_session] = values
        return table

    def of_steps(self, table: FloatArray) -> FloatArray:
        """Undo :meth:`by_time`, [T]."""
        values: FloatArray = table[self.sessions.session_of_step, self.step_in_session]
        return values

    def running_products(self, values: FloatArray) -> FloatArray:
        """Product over each session's steps up to and with this one, [T]."""
        table = self.by_time(values, 1.0)
        return self.of_steps(np.cumprod(table, axis=1, out=table))

    def shifted(self, values: FloatArray, first: float) -> FloatArray:
        """The value of the step before, ``first`` at a session's start; [T]."""
        before = np.empty_like(values)
        before[1:] = values[:-1]
        before[self.sessions.offsets[:-1]] = first
        return before


def _rewards_of_clicks(sessions: Sessions) -> FloatArray:
    steps = sessions.step_of_entry
    clicked = sessions.slate_items == sessions.clicks[steps]
    unearned = np.flatnonzero((sessions.clicks == sessions.num_items) & (sessions.rewards != 0))
    if len(unearned):
        raise ValueError(
            f"step {unearned[0]} has a reward of {sessions.rewards[unearned[0]]} without a click: say which entries "
            "earned it (slot_rewards)"
        )
    return np.where(clicked, sessions.rewards[steps], 0.0).astype(np.float64)
