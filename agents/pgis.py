"""PGIS: policy gradient with importance weights (Chen et al., WSDM 2019, the paper's [2])."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.agents.logging_policy_model import estimated_propensities, fit_logging_policy
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGConfig, ReturnsData, fit_policy
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import Positive


@dataclass(frozen=True)
class PGISConfig(PGConfig):
    """Settings of PGIS, beside those of PG.

    Attributes:
        propensities: ``"logged"``: those of the sessions; ``"estimated"``: those of a model of the logging policy,
            fitted to the slates shown with the settings of ``fit``; ``"auto"``: logged where all are known.
        weight_clip: largest importance weight.
        top_k_correction: whether the gradient has the factor k (1 - pi)^(k-1) of Chen et al., which stops raising an
            item's probability once it is nearly certain to be in a slate of k.
    """

    propensities: Literal["auto", "logged", "estimated"] = "auto"
    weight_clip: Positive = 10.0
    top_k_correction: bool = False


class ImportanceWeighted:
    """-w_t R_t^a log pi(c_t in a_t | s_t), with w_t the ratio of the two policies' chances of the clicked item.

    A softmax over items is the chance of an item at one place of the slate, a propensity that of being anywhere in it;
    k times the first is compared with the second: w_t = min(k pi(c_t | s_t) / propensity_t, clip). No gradient flows
    through w_t.

    Args:
        propensities: probability that the clicked item was shown, [T]; any number where the user left.
        slate_sizes: items shown at each step, [T].
        weight_clip: largest weight.
        top_k_correction: see :class:`PGISConfig`.
    """

    def __init__(
        self, propensities: Tensor, slate_sizes: Tensor, *, weight_clip: float, top_k_correction: bool
    ) -> None:
        self._propensities = propensities
        self._slate_sizes = slate_sizes
        self._clip = weight_clip
        self._top_k_correction = top_k_correction
        self._weights: list[Tensor] = []

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """See :meth:`irecgan_gym.agents.policy_gradient.Objective.losses`."""
        chosen = policy.click_log_probabilities(batch)
        size, chance = self._slate_sizes[batch.steps], chosen.detach().exp()
        clicked = batch.clicks < policy.num_items
        weights = (size * chance / self._propensities[batch.steps]).clamp(max=self._clip).where(clicked, 0.0)
        self._weights.append(weights[clicked])
        if self._top_k_correction:
            weights = weights * size * (1 - chance) ** (size - 1)
        return -weights * data.returns(batch) * chosen

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
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module(lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        config = self.config
        offline, held_out = self._hold_out(sessions, validation, config.validation_fraction)
        propensities = self._propensities(offline, held_out, recorder)
        objective = ImportanceWeighted(
            torch.tensor(np.nan_to_num(propensities, nan=1.0), dtype=torch.float32, device=self.device),
            torch.tensor(offline.slate_lengths, dtype=torch.float32, device=self.device),
            weight_clip=config.weight_clip,
            top_k_correction=config.top_k_correction,
        )
        rng = self._next_rng()
        fit_policy(self.policy, offline, held_out, config, generator=rng, objective=objective, recorder=recorder)

    def _propensities(self, training: Sessions, held_out: Sessions, recorder: Recorder) -> NDArray[np.float32]:
        """Probability that each clicked item was shown, [T]; NaN where the user left."""
        config, logged = self.config, training.propensities
        clicked = training.clicks < training.num_items
        known = logged is not None and not np.isnan(logged[clicked]).any()
        if logged is not None and known and config.propensities != "estimated":
            return logged
        if config.propensities == "logged":
            which = "have none" if logged is None else "do not have them for all clicks"
            raise ValueError(f"propensities='logged', but the sessions {which}: use 'estimated'")
        encoder = replace(config.encoder, events=False, recall=False)
        model = self._module(lambda: SlatePolicy(self.num_items, self.slate_size, encoder))
        fit_logging_policy(model, training, held_out, config.fit, generator=self._next_rng(), recorder=recorder)
        return estimated_propensities(model, training, config.fit.batch_size * 4)
