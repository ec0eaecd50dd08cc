"""Policy gradients: one pass over sessions, training from logged ones, and updates in rounds (Eq 10)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Any, overload

import numpy as np
import torch

from irecgan_gym.agents.policy_agent import NetworkConfig
from irecgan_gym.agents.returns import Objective, Reinforce, Returns, ReturnsData, ReturnSettings
from irecgan_gym.agents.selection import SelectionRule, criterion
from irecgan_gym.agents.streamed_returns import returns_of
from irecgan_gym.agents.treatment import Dose, policy_shift
from irecgan_gym.kernels.low_precision import Precision, matrix_precision
from irecgan_gym.models.building import copy_of
from irecgan_gym.models.fitting import ClippedAdamW, EarlyStopping, FitConfig
from irecgan_gym.models.ranks import current_ranks
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.settings import Count, CountFrom0, Positive
from irecgan_gym.storage.schedule import Schedule
from irecgan_gym.storage.states import Stateful, Things, put_back, state_of


@dataclass(frozen=True)
class PGConfig(ReturnSettings, NetworkConfig):
    """Settings of agents that learn a policy by gradient from offline data.

    Attributes:
        fit: training of the policy on logged sessions; where ``selection`` is ``"last"``, ``max_epochs`` is its length
            and ``patience`` does nothing.
        selection: rule by which one of the epochs, and of the rounds, is kept
            (see :func:`~irecgan_gym.agents.selection.criterion`).
    """

    fit: FitConfig = field(default_factory=lambda: FitConfig(max_epochs=20))
    selection: SelectionRule = "last"


@dataclass(frozen=True)
class PGCConfig(PGConfig):
    """Settings of agents that go on learning in rounds after pre-training, beside those of PG.

    Attributes:
        agent_learning_rate: step size of the policy's updates in the rounds.
        rounds: rounds, the epochs of Algorithm 1; the most where ``selection`` is not ``"last"``.
        patience: rounds without a better one after which learning stops where ``selection`` is not ``"last"``; None
            never stops early.
        r_steps: policy updates a round, each one pass over its data.
        generated_share: sessions that join the offline ones in an r-step, m, as a share of them (paper: 1:10).
        max_generated: most of them.
    """

    agent_learning_rate: Positive = 5e-4
    rounds: CountFrom0 = 12
    patience: CountFrom0 | None = 5
    r_steps: Count = 1
    generated_share: Positive = 1.0
    max_generated: Count = 1000

    def num_generated(self, offline: SessionLog) -> int:
        """Return the number of sessions that join the offline ones in an r-step, m."""
        return min(max(1, round(self.generated_share * len(offline))), self.max_generated)


def policy_gradient_epoch(
    policy: SlatePolicy,
    data: Returns,
    optimizer: ClippedAdamW,
    batch_size: int,
    generator: np.random.Generator,
    *,
    objective: Objective | None = None,
    precision: Precision = "float32",
) -> float:
    """Train a policy in one pass over the data (Eq 10) and return the mean loss a step.

    Args:
        policy: trained in place.
        data: sessions with their returns.
        optimizer: updates the policy.
        batch_size: sessions a batch.
        generator: of the order of batches.
        objective: the loss; :class:`~irecgan_gym.agents.returns.Reinforce` when None.
        precision: of matrix products.
    """
    objective = Reinforce() if objective is None else objective
    mean_steps = data.mean_steps(batch_size)
    # Added up on the device: a number would have to be waited for after every batch.
    total = torch.zeros((), dtype=torch.float64, device=policy.device)
    for part, batch in data.shuffled(batch_size, generator, optimizer.ranks):
        with matrix_precision(precision, policy.device):
            losses = objective.losses(policy, part, batch)
        loss = losses.sum() / mean_steps * batch.share
        optimizer.step(loss)
        total += loss.detach().double() * mean_steps
    return float(optimizer.ranks.total(total)) / data.num_steps


@torch.no_grad()
def held_out_loss(policy: SlatePolicy, data: Returns, batch_size: int) -> float:
    """Return -sum R_t log pi(c_t) / sum R_t on held-out sessions, in nats: PG's own loss, told of every method."""
    total = weight = 0.0
    for part, batch in data.all(batch_size):
        returns = part.returns(batch)
        total -= float((returns * policy.click_log_probabilities(batch)).sum())
        weight += float(returns.sum())
    return total / max(weight, 1e-12)


class PolicyTraining:
    """A policy in training: its passes over data, what they add up to, and the pass that is kept.

    Args:
        policy: trained in place.
        held_out: sessions that choose the pass, with their returns.
        config: settings of the training.
        fit: step size, batches and precision.
        patience: passes without a better one after which training should stop.
        generator: of the order of batches.
        objective: the loss.
        phase: component of training under which recorders receive the loss.

    Attributes:
        dose: updates and sessions so far.
        kept_dose: those of the pass that is kept.
    """

    def __init__(
        self,
        policy: SlatePolicy,
        held_out: Returns,
        config: PGConfig,
        fit: FitConfig,
        patience: int | None,
        generator: np.random.Generator,
        objective: Objective,
        phase: str = "train",
    ) -> None:
        self._phase = phase
        self._policy, self._fit, self._generator, self._objective = policy, fit, generator, objective
        self._held_out = held_out
        self._criterion = criterion(config.selection, objective, held_out, fit.batch_size * 4)
        self._optimizer = ClippedAdamW(policy, fit, f"{phase}/policy_loss", current_ranks())
        self._best = EarlyStopping(policy, patience)
        self.dose = self.kept_dose = Dose(0, 0)

    def epoch(self, data: Returns) -> dict[str, float]:
        """Make one pass over the data, and return the loss and the objective's measurements."""
        fit = self._fit
        loss = policy_gradient_epoch(
            self._policy,
            data,
            self._optimizer,
            fit.batch_size,
            self._generator,
            objective=self._objective,
            precision=fit.precision,
        )
        self.dose = self.dose.after_pass(data.num_sessions, fit.batch_size)
        return {"policy_loss": loss, "policy_grad_norm": self._optimizer.mean_norm(), **self._objective.metrics()}

    def validate(self) -> dict[str, float]:
        """Compare the policy with the best so far, and return its held-out losses."""
        loss = held_out_loss(self._policy, self._held_out, self._fit.batch_size * 4)
        # A policy that has diverged is never the best, by no rule.
        chosen_by = self._criterion.loss(self._policy) if isfinite(loss) else nan
        if self._best.update(chosen_by):
            self.kept_dose = self.dose
        return {"validation_loss": loss, "selection_loss": chosen_by}

    @property
    def should_stop(self) -> bool:
        """True once the patience is used up."""
        return self._best.should_stop

    def restore(self) -> None:
        """Put the parameters of the pass that is kept back."""
        self._best.restore(f"{self._phase}/policy_loss")

    def diverging_kept(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Return the context of passes that end where training diverges; see :class:`EarlyStopping`."""
        return self._best.diverging_kept(recorder)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all that passes change."""
        return {"things": state_of(self._things()), "dose": list(self.dose), "kept_dose": list(self.kept_dose)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        put_back(self._things(), state["things"])
        self.dose, self.kept_dose = Dose(*state["dose"]), Dose(*state["kept_dose"])

    def _things(self) -> Things:
        things: dict[str, Stateful | np.random.Generator] = {
            "policy": self._policy,
            "optimizer": self._optimizer,
            "best": self._best,
            "generator": self._generator,
        }
        return things | ({"criterion": self._criterion} if isinstance(self._criterion, Stateful) else {})


@torch.inference_mode(False)
@torch.enable_grad()
def fit_policy(
    policy: SlatePolicy,
    training: Returns,
    held_out: Returns,
    config: PGConfig,
    *,
    generator: np.random.Generator,
    objective: Objective | None = None,
    recorder: Recorder = silent,
    schedule: Schedule = Schedule(),  # noqa: B008 (has no state)
) -> Dose:
    """Train a policy from logged sessions alone, and leave it at the epoch that the config's rule selects.

    Args:
        policy: trained in place.
        training: sessions to learn from, with their returns.
        held_out: sessions that choose the epoch, with their returns.
        config: selection, and in ``fit`` the training.
        generator: of the order of batches.
        objective: the loss; :class:`~irecgan_gym.agents.returns.Reinforce` when None.
        recorder: receives ``train/*`` once an epoch.
        schedule: gives the epochs, phase ``policy``.

    Returns:
        What the policy has learned from at the epoch that is kept.
    """
    fit, objective = config.fit, Reinforce() if objective is None else objective
    trained = PolicyTraining(policy, held_out, config, fit, fit.patience, generator, objective)
    with trained.diverging_kept(recorder):
        for epoch in schedule.steps("policy", fit.max_epochs, {"policy": trained}, until=lambda: trained.should_stop):
            measured = trained.epoch(training) | trained.validate()
            named = {name if "/" in name else f"train/{name}": value for name, value in measured.items()}
            recorder.record(named, epoch)
    trained.restore()
    return trained.kept_dose


@overload
def offline_and_held_out(
    sessions: Sessions, validation: Sessions, config: PGConfig, device: torch.device
) -> tuple[ReturnsData, ReturnsData]: ...


@overload
def offline_and_held_out(
    sessions: SessionLog, validation: Sessions, config: PGConfig, device: torch.device
) -> tuple[Returns, ReturnsData]: ...


@overload
def offline_and_held_out(
    sessions: SessionLog, validation: SessionLog, config: PGConfig, device: torch.device
) -> tuple[Returns, Returns]: ...


def offline_and_held_out(
    sessions: SessionLog, validation: SessionLog, config: PGConfig, device: torch.device
) -> tuple[Returns, Returns]:
    """Return logged sessions to learn from and those held out, with the returns of Eq 10."""
    return returns_of(sessions, config, device), returns_of(validation, config, device)


class PolicyUpdates:
    """Updates of a pre-trained policy in rounds (Eq 10), and the policy of the round that is kept.

    Unless rounds are of a fixed number, the pre-trained policy is round 0, and may be the one that is kept.

    Args:
        policy: trained in place.
        held_out: sessions that choose the round, with their returns.
        config: settings of the rounds.
        generator: of the order of batches.
        pre_training: what the policy has learned from before.
        objective: the loss; :class:`~irecgan_gym.agents.returns.Reinforce` when None.
    """

    def __init__(
        self,
        policy: SlatePolicy,
        held_out: ReturnsData,
        config: PGCConfig,
        generator: np.random.Generator,
        pre_training: Dose,
        objective: Objective | None = None,
    ) -> None:
        self._policy, self._start, self._held_out = policy, copy_of(policy), held_out
        objective = Reinforce() if objective is None else objective
        fit = replace(config.fit, learning_rate=config.agent_learning_rate)
        self._training = PolicyTraining(
            policy, held_out, config, fit, config.patience, generator, objective, "adversarial"
        )
        self._pre_training = pre_training
        self._round = self._kept_round = 0
        self.validate()

    def update(self, data: Returns) -> dict[str, float]:
        """Make one pass over the data of an r-step, and return the loss and the objective's measurements."""
        measured = self._training.epoch(data)
        return {name if "/" in name else f"adversarial/{name}": value for name, value in measured.items()}

    def validate(self) -> dict[str, float]:
        """Compare the policy of a round with the best so far, and return its held-out losses."""
        measured = self._training.validate()
        if self._training.kept_dose == self._training.dose:
            self._kept_round = self._round
        self._round += 1
        return {f"adversarial/{name}": value for name, value in measured.items()}

    @property
    def should_stop(self) -> bool:
        """True once the patience is used up."""
        return self._training.should_stop

    def diverging_kept(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Return the context of rounds that end where training diverges; the best policy before that is kept."""
        return self._training.diverging_kept(recorder)

    def finish(self) -> dict[str, float]:
        """Put the policy of the round that is kept back, and return the treatment that it has had."""
        self._training.restore()
        dose = self._pre_training + self._training.kept_dose
        shift = policy_shift(self._start, self._policy, self._held_out.sessions)
        rounds = {"kept_round": float(self._kept_round), "rounds": float(self._round - 1), "policy_moved": shift}
        return dose.as_metrics() | {f"treatment/{name}": value for name, value in rounds.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all that rounds change."""
        return {"training": self._training.state_dict(), "rounds": [self._round, self._kept_round]}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self._training.load_state_dict(state["training"])
        self._round, self._kept_round = state["rounds"]
