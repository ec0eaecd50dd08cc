"""Everything that a decision page tells, worked out from a log and two policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents import Agent
from irecgan_gym.collection import collect
from irecgan_gym.evaluation import Fidelity, fidelity
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.ope import (
    Exposure,
    LoggedSlates,
    LuceFidelity,
    OffPolicyData,
    calibration_p_value,
    confounding_p_value,
    decide,
    logged_value,
    luce_fidelity,
    same_first,
    shared_items,
)
from irecgan_gym.ope.decision import Decision
from irecgan_gym.ope.estimate import OffPolicyEstimate
from irecgan_gym.ope.policies import EvaluationPolicy
from irecgan_gym.ope.slate_weights import whole_slate_ratios

FloatArray = NDArray[np.float64]

_LOGITS_DRAWN = 2**27
"""Of the slates that exposures are counted in: more steps than that allows are left out."""
_SIMULATED = 2000
_MAX_SIMULATED_STEPS = 40


class Side(NamedTuple):
    """Side of the comparison: the current policy or the new one.

    Attributes:
        name: ``"current"`` or ``"new"``.
        description: for the page.
        policy: as it is deployed; None for whatever made the log.
        agent: the same as it acts; None for whatever made the log.
        deterministic: whether it shows its best slates.
    """

    name: str
    description: str
    policy: EvaluationPolicy | None
    agent: Agent | None
    deterministic: bool = False


@dataclass(frozen=True)
class ItemChange:
    """An item that a policy shows more or less often.

    Attributes:
        name: the catalogue's own, or its number.
        now: share of the current policy's slates that hold it.
        then: the same of the new policy's.
    """

    name: str
    now: float
    then: float


@dataclass(frozen=True, eq=False)
class Changes:
    """Differences that users see.

    Attributes:
        current: what the current policy shows.
        new: what the new one shows.
        gained: items shown more often, the largest change first.
        lost: items shown less often, the largest change first.
        appeared: items shown by the new policy alone.
        vanished: items shown by the current policy alone.
        shared: share of a slate's items that are in the other policy's slate at the same moment.
        same_first: how often both put the same item first.
        steps: moments of the log at which slates were drawn.
    """

    current: Exposure
    new: Exposure
    gained: tuple[ItemChange, ...]
    lost: tuple[ItemChange, ...]
    appeared: int
    vanished: int
    shared: float
    same_first: float
    steps: int


@dataclass(frozen=True)
class Simulation:
    """Both policies in a user model.

    Attributes:
        fidelity: of the user model to the log.
        current: mean reward of a session; None for whatever made the log.
        new: the same.
        gap: the new policy's less the current one's, or less the logged mean.
        sessions: played with each policy.
    """

    fidelity: Fidelity
    current: Interval | None
    new: Interval
    gap: Interval
    sessions: int


@dataclass(frozen=True, eq=False)
class Account:
    """All that a page tells.

    Attributes:
        sessions: number of logged sessions.
        steps: number of logged steps.
        num_items: size of the catalogue.
        slate_size: items shown at a time.
        current: the current policy.
        new: the new one.
        source: where the probabilities of the logged slates are known from.
        logged: what logged sessions earn.
        decision: the verdict and all estimates.
        weights: of the sessions' first slates under the new policy, [S].
        calibration: p-value of the logged slates if the propensities are right; NaN where it cannot be told.
        confounding: p-value of slates that go with what the propensities do not know; NaN likewise.
        changes: what is different for users; None where slates cannot be drawn.
        luce: fit of the small user model; None where there are too few sessions.
        simulation: both policies in a user model, where one was given.
    """

    sessions: int
    steps: int
    num_items: int
    slate_size: int
    current: Side
    new: Side
    source: str
    logged: OffPolicyEstimate
    decision: Decision
    weights: FloatArray
    calibration: float
    confounding: float
    changes: Changes
    luce: LuceFidelity | None
    simulation: Simulation | None


def account_of(
    log: LoggedSlates,
    new: Side,
    current: Side,
    *,
    source: str,
    gamma: float = 1.0,
    margin: float = 0.0,
    user_model: UserModel | None = None,
    seed: int = 0,
) -> Account:
    """Work out everything that a page tells.

    Args:
        log: sessions, and who showed their slates.
        new: the policy that may be deployed.
        current: the policy to be replaced.
        source: where the probabilities of the logged slates are known from, in words.
        gamma: discount factor.
        margin: smallest difference that counts.
        user_model: in which both policies are played too.
        seed: of slates drawn and sessions played.

    Raises:
        ValueError: policies and a log that do not fit.
    """
    assert new.policy is not None
    sessions = log.sessions
    decision = decide(log, new.policy, current.policy, gamma=gamma, margin=margin)
    data = OffPolicyData.create(sessions, log.logging, new.policy, gamma=gamma)
    return Account(
        sessions=len(sessions),
        steps=sessions.num_steps,
        num_items=sessions.num_items,
        slate_size=new.policy.slate_size,
        current=current,
        new=new,
        source=source,
        logged=logged_value(sessions, gamma),
        decision=decision,
        weights=whole_slate_ratios(data)[sessions.offsets[:-1]],
        calibration=calibration_p_value(data),
        confounding=confounding_p_value(data) if data.logging.given != "state" else float("nan"),
        changes=_changes(log, new.policy, current.policy, seed),
        luce=luce_fidelity(sessions, seed=seed) if len(sessions) > 1 else None,
        simulation=None if user_model is None else _simulate(log, new, current, user_model, seed),
    )


def _changes(
    log: LoggedSlates,
    new: EvaluationPolicy,
    current: EvaluationPolicy | None,
    seed: int,
    *,
    draws: int = 4,
    top: int = 8,
) -> Changes:
    sessions = log.sessions
    affordable = _LOGITS_DRAWN // (draws * sessions.num_items)
    mean_length = sessions.num_steps / len(sessions)
    if sessions.num_steps > affordable:
        chosen = np.random.default_rng(seed).permutation(len(sessions))[: max(1, int(affordable / mean_length))]
        sessions = sessions.select(np.sort(chosen))
    then = Exposure.of(new, sessions, draws=draws, seed=seed)
    now = Exposure.logged(sessions) if current is None else Exposure.of(current, sessions, draws=draws, seed=seed + 1)
    change = then.shares - now.shares
    order = np.argsort(-change, kind="stable")

    def items(numbers: NDArray[np.int64]) -> tuple[ItemChange, ...]:
        names = sessions.item_names
        return tuple(
            ItemChange(str(item) if names is None else names[item], float(now.shares[item]), float(then.shares[item]))
            for item in numbers
        )

    return Changes(
        now,
        then,
        items(order[:top][change[order[:top]] > 0]),
        items(order[::-1][:top][change[order[::-1][:top]] < 0]),
        int(((now.shares == 0) & (then.shares > 0)).sum()),
        int(((now.shares > 0) & (then.shares == 0)).sum()),
        shared_items(now, then),
        same_first(now, then),
        sessions.num_steps,
    )


def _simulate(log: LoggedSlates, new: Side, current: Side, user_model: UserModel, seed: int) -> Simulation:
    played = {side.name: _played(side, user_model, seed) for side in (current, new) if side.agent is not None}
    then = played["new"]
    now = played.get("current")
    alone = logged_value(log.sessions) if now is None else now
    error = float(np.hypot(then.standard_error(), alone.standard_error()))
    gap = then.estimate - alone.estimate
    return Simulation(
        fidelity(user_model, log.sessions, seed=seed),
        None if now is None else now.interval("ttest"),
        then.interval("ttest"),
        Interval(gap, gap - 1.96 * error, gap + 1.96 * error),
        _SIMULATED,
    )


def _played(side: Side, user_model: UserModel, seed: int) -> OffPolicyEstimate:
    assert side.agent is not None
    sessions = collect(
        side.agent,
        "UserModel-v0",
        _SIMULATED,
        seed,
        deterministic=side.deterministic,
        max_session_steps=_MAX_SIMULATED_STEPS,
        env_kwargs={"user_model": user_model},
    )
    value = logged_value(sessions)
    return OffPolicyEstimate("user model", value.statistic, value.weights, unweighted=True)
