"""Kinds of slates that a logger shows, and which of them belong to one state of the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from irecgan_gym.planning.hidden_states import sums_by
from irecgan_gym.planning.logged_steps import LoggedSteps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]

# Kinds whose items overlap by more (cosine) are one kind that was found twice.
_SAME_KIND = 0.8
# A kind that has less of the first steps than this share of the commonest is not one of the start's.
_START_SHARE = 0.2
_MAX_LOOKED_AT = 4000
_MAX_ROUNDS = 50
# Nats a step: EM ends where a round gains less.
_TOLERANCE = 1e-4


def distinct_slates(steps: LoggedSteps, number: int, rng: np.random.Generator) -> IntArray:
    """Steps whose slates have little in common: the first of the log, then always the one farthest from those chosen.

    Args:
        steps: the log.
        number: how many are wanted.
        rng: breaks ties, and picks what is looked at in large logs.

    Returns:
        Numbers of steps, at most ``number``.
    """
    looked_at = rng.permutation(steps.num_steps)[:_MAX_LOOKED_AT]
    looked_at[0] = steps.rounds[0][0]
    slates = steps.shown[looked_at]
    sizes = np.diff(slates.indptr)
    chosen = [0]
    nearest = np.zeros(len(looked_at))
    while len(chosen) < min(number, len(looked_at)):
        last = slates[chosen[-1]]
        overlap = np.asarray((slates @ last.T).todense()).ravel() / np.minimum(sizes, last.nnz)
        nearest = np.maximum(nearest, overlap)
        chosen.append(int(np.argmin(nearest + 0.05 * rng.random(len(nearest)))))
    return np.asarray(looked_at[np.array(chosen)])


@dataclass(frozen=True, eq=False)
class SlateMixture:
    """A mixture of C kinds of slates, in each of which every item has a chance of its own to be shown.

    Attributes:
        chance: that a slate of each kind holds each item, [C, n].
        share: of each kind among slates, [C].
    """

    chance: FloatArray
    share: FloatArray

    @classmethod
    def fit(cls, steps: LoggedSteps, number: int, rng: np.random.Generator) -> SlateMixture:
        """Fit by EM, which begins at slates that have little in common.

        Args:
            steps: the log.
            number: C, the most kinds that are looked for.
            rng: see :func:`distinct_slates`.
        """
        seeds = distinct_slates(steps, number, rng)
        held = np.asarray(steps.shown[seeds].todense())
        base = np.asarray(steps.shown.mean(axis=0)).ravel()
        mixture = cls(np.where(held > 0, 0.8, np.maximum(0.2 * base, 1e-4)), np.full(len(seeds), 1 / len(seeds)))
        reached = -np.inf
        for _ in range(_MAX_ROUNDS):
            scores = mixture._scores(steps)
            likelihood = float(logsumexp(scores, axis=1).sum())
            if likelihood - reached < _TOLERANCE * steps.num_steps:
                break
            reached = likelihood
            members = softmax(scores, axis=1)
            count = members.sum(axis=0)
            # A tenth of a slate of the log's mean is added to every kind, so that no chance is 0 or 1.
            chance = (np.asarray(steps.shown.T @ members).T + 0.1 * base) / (count + 0.1)[:, None]
            mixture = cls(np.clip(chance, 1e-4, 1 - 1e-4), (count + 0.01) / (count + 0.01).sum())
        return mixture

    def members(self, steps: LoggedSteps) -> FloatArray:
        """Probability that each step's slate is of each kind, [T, C]."""
        return np.asarray(softmax(self._scores(steps), axis=1))

    def _scores(self, steps: LoggedSteps) -> FloatArray:
        log_odds = np.log(self.chance / (1 - self.chance))
        return np.asarray(steps.shown @ log_odds.T + np.log1p(-self.chance).sum(axis=1) + np.log(self.share))


def logger_sees(mixture: SlateMixture, training: LoggedSteps, held_out: LoggedSteps) -> bool:
    """Tell whether a logger shows what it shows for the user's sake: kinds of slates depend on what users did before.

    A logger that is blind to the state shows each kind as often after one click as after another, and at the start of
    a session as later. Whether a log's does is told by held-out steps: if the last click, or that there is none, makes
    the kinds of their slates more likely, by more than noise (two standard errors).

    Args:
        mixture: the kinds, fitted to ``training``.
        training: steps from which is learned which kind follows which click.
        held_out: other steps.
    """
    members = mixture.members(training)
    share = members.mean(axis=0)
    by_place, by_click = (
        _conditional_shares(contexts, members, share, number)
        for contexts, number in (
            ((training.previous < training.num_items).astype(np.int64), 2),
            (training.previous, training.num_items + 1),
        )
    )
    seen = mixture.members(held_out)
    gains = (
        (seen * np.log(table[context] / share)).sum(axis=1)
        for table, context in (
            (by_place, (held_out.previous < held_out.num_items).astype(np.int64)),
            (by_click, held_out.previous),
        )
    )
    return any(float(gain.mean()) > 2 * float(gain.std()) / np.sqrt(len(gain)) for gain in gains)


def _conditional_shares(contexts: IntArray, members: FloatArray, share: FloatArray, number: int) -> FloatArray:
    counts = sums_by(contexts, members, number) + 5 * share
    shares: FloatArray = counts / counts.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, eq=False)
class SlateKinds:
    """Kinds of slates, and the steps that show them.

    Attributes:
        members: probability that a step's slate is of each kind, [T, C].
        shown: share of a kind's slates that hold each item, [C, n].
    """

    members: FloatArray
    shown: FloatArray

    @classmethod
    def of(cls, steps: LoggedSteps, members: FloatArray) -> SlateKinds:
        """Kinds from the members found; kinds without members are left out, those found twice are joined."""
        members = members[:, members.sum(axis=0) > 1]
        while True:
            shown = np.asarray(steps.shown.T @ members).T / members.sum(axis=0)[:, None]
            length = np.linalg.norm(shown, axis=1)
            likeness = shown @ shown.T / np.outer(length, length)
            np.fill_diagonal(likeness, 0)
            first, second = np.unravel_index(likeness.argmax(), likeness.shape)
            if likeness[first, second] < _SAME_KIND:
                return cls(members, shown)
            members[:, first] += members[:, second]
            members = np.delete(members, second, axis=1)

    def start_kinds(self, steps: LoggedSteps) -> IntArray:
        """The kinds shown at the start of sessions, the commonest first."""
        counts = self.members[steps.rounds[0]].sum(axis=0)
        order = np.argsort(-counts)
        return np.asarray(order[counts[order] >= _START_SHARE * counts.max()])

    def groups(self, steps: LoggedSteps) -> list[IntArray]:
        """Kinds by the state in which they are shown, the start's first.

        Sessions begin in one state: a logger has as many modes as kinds that it shows there, and so in each state.
        Kinds of one state follow the same clicks, whatever mode the logger draws: those are put together whose clicks
        before are most alike.
        """
        start = self.start_kinds(steps)
        number = self.members.shape[1]
        rest = [kind for kind in range(number) if kind not in set(start.tolist())]
        if len(start) == 1:
            return [start, *(np.array([kind]) for kind in rest)]
        later = np.flatnonzero(steps.previous < steps.num_items)
        follows = np.zeros((number, steps.num_items))
        for kind in range(number):
            follows[kind] = np.bincount(steps.previous[later], self.members[later, kind], steps.num_items)
        loss = _merging_losses(follows)
        groups = [start]
        while rest:
            pairs = [(loss[a, b], a, b) for place, a in enumerate(rest) for b in rest[place + 1 :]]
            if not pairs:
                groups.append(np.array(rest))
                break
            _, first, second = min(pairs)
            group = [first, second]
            rest = [kind for kind in rest if kind not in group]
            while len(group) < len(start) and rest:
                nearest = min(rest, key=lambda kind: max(loss[kind, other] for other in group))
                group.append(nearest)
                rest.remove(nearest)
            groups.append(np.array(group))
        return groups


def _merging_losses(counts: FloatArray) -> FloatArray:
    """Log-likelihood a count that is lost where two kinds share one distribution over the clicks before, [C, C]."""
    smooth = counts + 0.1
    totals = smooth.sum(axis=1)
    own = (smooth * np.log(smooth)).sum(axis=1) - totals * np.log(totals)
    number = len(counts)
    losses = np.zeros((number, number))
    for first in range(number):
        both = smooth[first] + smooth
        total = both.sum(axis=1)
        together = (both * np.log(both)).sum(axis=1) - total * np.log(total)
        losses[first] = (own[first] + own - together) / np.sqrt(np.minimum(totals[first], totals))
    return losses
