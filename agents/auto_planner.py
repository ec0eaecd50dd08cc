"""AutoPlanner: models of the user weighed by what they say of held-out sessions, and the best slate for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from agents.planner import Planner
from agents.user_candidates import Candidate, ChoiceCandidate, LatentCandidate
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.models.logged_steps import LoggedSteps
from irecgan_gym.models.slate_kinds import SlateMixture, logger_sees
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate

FloatArray = NDArray[np.float64]

_NUM_KINDS = 30


@dataclass(frozen=True)
class AutoPlannerConfig:
    """Settings of an AutoPlanner.

    Attributes:
        links: see :class:`irecgan_gym.models.appeal.AppealConfig`.
        spreads: of an item in a context or state around its mean.
        num_states: of latent-state models.
        move_spreads: of their transitions.
        max_context_items: catalogues up to which the last click is a context of its own.
        num_folds: of cross-validation, for logs up to ``fold_sessions``; larger ones hold out sessions once.
        fold_sessions: see there.
        num_members: models averaged at most.
        least: see :class:`agents.choice_planner.ChoicePlannerConfig`.
        foresight: factor of the worth of later steps; 0 plans for the next click alone.
        sampling_loss: share of the reward that sampled slates may lose, by the model.
    """

    links: tuple[str, ...] = ("tied", "linked")
    spreads: tuple[float, ...] = (0.4, 0.8, 1.4)
    num_states: tuple[int, ...] = (10,)
    move_spreads: tuple[float, ...] = (0.5, 1.5)
    max_context_items: int = 1000
    num_folds: int = 4
    fold_sessions: int = 1500
    num_members: int = 4
    least: float | None = 0.5
    foresight: float = 1.0
    sampling_loss: float = 0.05


class AutoPlanner(Planner[AutoPlannerConfig]):
    """Chooses between choice models and latent-state models of the user by held-out likelihood, and plans on the best.

    Whether the log's policy sees the state is told by its slates
    (:func:`irecgan_gym.models.slate_kinds.logger_sees`); if so, slates are signs of the state and what is never shown
    is worse than what is. Candidates are weighed by the likelihood of sessions that they were not fitted to; those
    near the best are averaged: the belief is over models and their states. See :class:`agents.planner.Planner`.

    Attributes:
        chosen: names of the models planned on, and their weights.
    """

    kind = "auto_planner"
    config_type = AutoPlannerConfig
    chosen: dict[str, float]

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        config, rng = self.config, np.random.default_rng(self.seed)
        whole = concatenate([training, validation])
        folds = [(training, validation)]
        if len(whole) <= config.fold_sessions:
            parts = whole.split([1 / config.num_folds] * config.num_folds, seed=self.seed)
            folds = [
                (concatenate([*parts[:place], *parts[place + 1 :]]), part) for place, part in enumerate(parts)
            ]
        pairs = [(LoggedSteps.of(fitted_to), LoggedSteps.of(held_out)) for fitted_to, held_out in folds]
        steps = LoggedSteps.of(whole)
        sees = config.least is not None and logger_sees(SlateMixture.fit(pairs[0][0], _NUM_KINDS, rng), *pairs[0])
        candidates = self._candidates(sees)
        scores = np.array([_held_out(candidate, pairs, self.seed) for candidate in candidates])
        recorder.record(
            {f"held_out/{candidate.name}": score for candidate, score in zip(candidates, scores, strict=True)}, 0
        )
        best = np.argsort(-scores)[: config.num_members]
        shares = softmax(scores[best])
        best, shares = best[shares > 0.02], shares[shares > 0.02]
        shares = shares / shares.sum()
        self.chosen = {candidates[place].name: float(share) for place, share in zip(best, shares, strict=True)}
        least = config.least if sees else None
        return ensemble([candidates[place].fit(steps, rng).world(steps, least) for place in best], shares)

    def _candidates(self, sees: bool) -> list[Candidate]:
        found: list[Candidate] = []
        contexts = ["none", "place", *(["last-click"] if self.num_items <= self.config.max_context_items else [])]
        for link in self.config.links:
            for spread in self.config.spreads:
                appeal = AppealConfig(link=link, group_spread=spread)  # type: ignore[arg-type]
                for context in contexts:
                    found.append(ChoiceCandidate(ChoiceModelConfig(context, appeal)))  # type: ignore[arg-type]
                for move_spread in self.config.move_spreads:
                    model = LatentUserConfig(appeal=appeal, move_spread=move_spread)
                    if sees:
                        found.append(LatentCandidate(model, sees=True))
                    elif link == "tied":
                        found += [
                            LatentCandidate(replace(model, num_states=number), sees=False)
                            for number in self.config.num_states
                        ]
        return found


def _held_out(candidate: Candidate, folds: Sequence[tuple[LoggedSteps, LoggedSteps]], seed: int) -> float:
    """Log-likelihood of all held-out steps together."""
    total = 0.0
    for fitted_to, held_out in folds:
        total += float(candidate.fit(fitted_to, np.random.default_rng(seed)).held_out(held_out).sum())
    return total
