"""PGIS: policy gradient with importance weights (Chen et al., WSDM 2019, the paper's [2])."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from irecgan_gym.agents.logging_policy_model import estimated_propensities, fit_logging_policy
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGConfig, fit_policy
from irecgan_gym.agents.returns import ReturnsData
from irecgan_gym.agents.streamed_returns import Propensities, propensities_are_known, returns_of
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog
from irecgan_gym.settings import Positive


@dataclass(frozen=True)
class PGISConfig(PGConfig):
    """Settings of PGIS, beside those of PG.

    Attributes:
        propensities: ``"logged"``: those of the sessions; ``"estimated"``: those of a model of the logging policy,
            fitted to the slates shown; ``"auto"``: logged where all are known.
        logging_policy_fit: training of that model, stopped by its held-out likelihood.
        weight_clip: largest importance weight.
        top_k_correction: whether the gradient has the factor k (1 - pi)^(k-1) of Chen et al., which stops raising an
            item's probability once it is nearly certain to be in a slate of k.
    """

    propensities: Literal["auto", "logged", "estimated"] = "auto"
    logging_policy_fit: FitConfig = field(default_factory=FitConfig)
    weight_clip: Positive = 10.0
    top_k_correction: bool = False


class ImportanceWeighted:
    """-w_t R_t^a log pi(c_t in a_t | s_t), with w_t the ratio of the two policies' chances of the clicked item.

    A softmax over items is the chance of an item at one place of the slate, a propensity that of being anywhere in it;
    k times the first is compared with the second: w_t = min(k pi(c_t | s_t) / propensity_t, clip). No gradient flows
    through w_t.

    Args:
        weight_clip: largest weight.
        top_k_correction: see :class:`PGISConfig`.
    """

    def __init__(self, *, weight_clip: float, top_k_correction: bool) -> None:
        self._clip = weight_clip
        self._top_k_correction = top_k_correction
        self._weights: list[Tensor] = []

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """See :meth:`irecgan_gym.agents.returns.Objective.losses`."""
        chosen = policy.click_log_probabilities(batch)
        weights, size = self._importance_weights(chosen.detach().exp(), data, batch)
        self._weights.append(weights[batch.clicks < policy.num_items])
        if self._top_k_correction:
            weights = weights * size * (1 - chosen.detach().exp()) ** (size - 1)
        return -weights * data.returns(batch) * chosen

    def held_out_losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return -w_t R_t^a: their gradient is that of the loss, but where a weight is clipped."""
        weights, _ = self._importance_weights(policy.click_log_probabilities(batch).exp(), data, batch)
        return -weights * data.returns(batch)

    def _importance_weights(self, chance: Tensor, data: ReturnsData, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """Return w_t, 0 where the user left, and the sizes of the slates; both [M]."""
        if data.propensities is None:
            raise ValueError("importance weights need sessions whose propensities are all known")
        size = batch.slate_mask.sum(1)
        weights = (size * chance / data.propensities[batch.steps]).clamp(max=self._clip)
        return weights.where(batch.clicks < data.sessions.sessions.num_items, 0.0), size

    def metrics(self) -> Mapping[str, float]:
        """Effective sample size, as a share of the steps, and the share of weights that were clipped."""
        if not self._weights:
            return {}
        weights, self._weights = torch.cat(self._weights), []
        return {
            "importance/effective_sample_share": effective_sample_size(weights) / len(weights),
            "importance/clipped_share": float((weights >= self._clip).float().mean()),
            "importance/mean_weight": float(weights.mean()),
        }


def effective_sample_size(weights: Tensor) -> float:
    """(sum w)^2 / sum w^2 (Kish)."""
    return float(weights.sum() ** 2 / weights.square().sum().clamp(min=1e-30))


class PGIS(PolicyAgent[PGISConfig]):
    """PG with importance weights for the mismatch of agent and logging policy (baseline 1 of §7.2)."""

    kind = "pgis"
    config_type = PGISConfig
    streams = True
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module("policy", lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        config = self.config
        offline, validating = self._hold_out(sessions, validation, config.validation_fraction)
        propensities = self._propensities(offline, validating, recorder)
        data, held_out = (returns_of(part, config, self.device, propensities) for part in (offline, validating))
        objective = ImportanceWeighted(weight_clip=config.weight_clip, top_k_correction=config.top_k_correction)
        rng = self._rng("policy_pre_training")
        dose = fit_policy(
            self.policy,
            data,
            held_out,
            config,
            generator=rng,
            objective=objective,
            recorder=recorder,
            schedule=self._schedule,
        )
        self._treated(dose.as_metrics(), recorder)

    def _propensities(self, training: SessionLog, held_out: SessionLog, recorder: Recorder) -> Propensities | None:
        """Return what tells how probable it was that a clicked item was shown; None where the log does."""
        config = self.config
        if config.propensities != "estimated" and propensities_are_known(training) and propensities_are_known(held_out):
            return None
        if config.propensities == "logged":
            first = training.first_part() if isinstance(training, SessionDataset) else training
            which = "have none" if first.propensities is None else "do not have them for all clicks"
            raise ValueError(f"propensities='logged', but the sessions {which}: use 'estimated'")
        encoder = replace(config.encoder, events=False, recall=False)
        model = self._module("logging_policy", lambda: SlatePolicy(self.num_items, self.slate_size, encoder))
        rng = self._rng("logging_policy_training")
        fit_logging_policy(
            model,
            training,
            held_out,
            config.logging_policy_fit,
            generator=rng,
            recorder=recorder,
            schedule=self._schedule,
        )
        size = config.fit.batch_size * 4
        return partial(estimated_propensities, model, batch_size=size)
