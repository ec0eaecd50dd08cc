"""Selection of an epoch: rules by which the training of a policy keeps one of its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, get_args

import torch

from irecgan_gym.agents.returns import Objective, Returns, ReturnsData
from irecgan_gym.models.fitting import LogT
from irecgan_gym.models.slate_policy import CataloguePolicy, SlatePolicy
from irecgan_gym.ope.off_policy_selection import CRITERIA, LOWER, CriterionName, judged_sessions, selection_criterion
from irecgan_gym.sessions import Sessions

SelectionRule = Literal["last", "objective", "off_policy", CriterionName]
SELECTION_RULES: tuple[SelectionRule, ...] = get_args(SelectionRule)
WEIGHT_CLIP = 10.0
"""Largest importance weight of the off-policy estimate."""


class Criterion(Protocol):
    """Number by which epochs of a training are compared."""

    def loss(self, policy: SlatePolicy) -> float:
        """Return the loss of the policy as it is; the epoch with the least is kept."""


def criterion(rule: SelectionRule, objective: Objective, held_out: Returns, batch_size: int) -> Criterion:
    """Return the criterion of a rule.

    Args:
        rule: ``"last"`` keeps the last epoch, ``"objective"`` that with the least held-out loss of the method itself,
            ``"off_policy"`` that with the greatest estimate of returns after clicks (:class:`OffPolicyReturn`), the
            others that with the greatest estimate of a session's reward (:class:`EstimatedReward`).
        objective: the method's own.
        held_out: sessions that the policy does not learn from, with their returns.
        batch_size: sessions a batch.

    Raises:
        ValueError: an unknown rule, ``"off_policy"`` with sessions whose propensities are not known, too few
            sessions to estimate from, or sessions on disk with a rule that needs them in memory.
    """
    if rule == "last":
        return LastEpoch()
    if rule == "objective":
        return HeldOutObjective(objective, held_out, batch_size)
    if rule == "off_policy":
        return OffPolicyReturn(held_out, batch_size)
    if rule in CRITERIA:
        if not isinstance(held_out, ReturnsData):
            raise ValueError(
                f"selection={rule!r} judges by whole sessions in memory: use 'last', 'objective' or 'off_policy'"
            )
        return EstimatedReward(rule, held_out.sessions.sessions)
    raise ValueError(f"selection must be one of {SELECTION_RULES}, got {rule!r}")


class LastEpoch:
    """Criterion that takes every epoch for better than the one before: training has a fixed length."""

    def __init__(self) -> None:
        self._epochs = 0

    def loss(self, policy: SlatePolicy) -> float:
        """Return a number that falls by one a call."""
        self._epochs += 1
        return -float(self._epochs - 1)

    def state_dict(self) -> dict[str, int]:
        """Return the number of calls so far."""
        return {"epochs": self._epochs}

    def load_state_dict(self, state: Mapping[str, int], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self._epochs = state["epochs"]


class HeldOutObjective:
    """Criterion by a method's own loss, as a mean over the steps of held-out sessions.

    Args:
        objective: of the method.
        held_out: sessions with their returns.
        batch_size: sessions a batch.
    """

    def __init__(self, objective: Objective, held_out: Returns, batch_size: int) -> None:
        self._objective = objective
        self._held_out = held_out
        self._batch_size = batch_size

    @torch.no_grad()
    def loss(self, policy: SlatePolicy) -> float:
        """Return the mean loss a step."""
        batches = self._held_out.all(self._batch_size)
        total = sum(float(self._objective.held_out_losses(policy, part, batch).sum()) for part, batch in batches)
        return total / self._held_out.num_steps


class OffPolicyReturn:
    """Criterion by an off-policy estimate: the mean return after clicks that the policy would bring about.

    Clicks are weighted by w_t = min((1 - (1 - pi(c_t | s_t))^k) / propensity_t, clip), about the ratio of the chances
    that the two policies show the clicked item, and the estimate is self-normalized, sum w_t R_t / sum w_t. States are
    those of the logging policy, as in PG's own gradient; the estimate is biased where slates depend on what the policy
    cannot see.

    Args:
        held_out: sessions with their returns and propensities.
        batch_size: sessions a batch.
        weight_clip: largest weight.

    Raises:
        ValueError: propensities are not known.
    """

    def __init__(self, held_out: Returns, batch_size: int, *, weight_clip: float = WEIGHT_CLIP) -> None:
        if not held_out.propensities_known:
            raise ValueError(
                "selection='off_policy' needs sessions whose propensities are all known: use 'last' or 'objective'"
            )
        self._held_out = held_out
        self._batch_size = batch_size
        self._clip = weight_clip

    @torch.no_grad()
    def loss(self, policy: SlatePolicy) -> float:
        """Return minus the estimate, in the unit of the agent's rewards."""
        earned = weight = 0.0
        for part, batch in self._held_out.all(self._batch_size):
            assert part.propensities is not None
            size = batch.slate_mask.sum(1)
            shown = 1 - (1 - policy.click_log_probabilities(batch).exp()) ** size
            weights = (shown / part.propensities[batch.steps]).clamp(max=self._clip)
            weights = weights.where(batch.clicks < policy.num_items, 0.0)
            earned += float((weights * part.returns(batch)).sum())
            weight += float(weights.sum())
        return -earned / max(weight, 1e-12)


class EstimatedReward:
    """Criterion by an off-policy estimate of what a session earns: :func:`~irecgan_gym.ope.selection_criterion`.

    The policy is judged as it draws slates, by whole slates and undiscounted rewards.

    Args:
        name: of the estimate; with ``-lower`` behind it the lower end of its interval is compared.
        held_out: sessions that the policy does not learn from, with the probabilities of their slates (see
            :func:`judged`).

    Raises:
        ValueError: a single session, which has neither folds nor a spread.
    """

    def __init__(self, name: CriterionName, held_out: Sessions) -> None:
        if len(held_out) < 2 and (name.startswith("sndr") or name.endswith(LOWER)):
            raise ValueError(f"selection={name!r} needs two held-out sessions at least: hold out a larger share")
        self._criterion = selection_criterion(name)
        self._held_out = held_out

    @torch.no_grad()
    def loss(self, policy: CataloguePolicy) -> float:
        """Return minus the estimate, in the unit of the log's rewards."""
        return -self._criterion(policy, self._held_out)


def judged(rule: str, training: LogT, held_out: LogT) -> LogT:
    """Return held-out sessions with what a rule needs of them: the probabilities of their slates, or nothing more.

    Args:
        rule: of selection.
        training: the rest of the log, by which probabilities are estimated where the log does not hold them.
        held_out: sessions that choose.

    Raises:
        ValueError: an estimate is the rule, and the sessions are on disk.
    """
    if rule not in CRITERIA:
        return held_out
    if not (isinstance(training, Sessions) and isinstance(held_out, Sessions)):
        raise ValueError(f"selection={rule!r} judges by whole sessions in memory: load() those on disk")
    return judged_sessions(training, held_out)
