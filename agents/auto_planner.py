"""AutoPlanner: models of the user weighed by what they say of held-out sessions, and the best slate for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.special import softmax

from irecgan_gym.agents.choice_planner import NUM_KINDS
from irecgan_gym.agents.planner import Planner, PlanningConfig
from irecgan_gym.agents.user_candidates import ChoiceCandidate, LatentCandidate, UserCandidate
from irecgan_gym.models.appeal import AppealConfig, Link
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.models.slate_kinds import SlateMixture, logger_sees
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.settings import NOT_EMPTY, Count, CountFrom0, Positive, Width

# Models of less weight are left out.
_LEAST_SHARE = 0.02


@dataclass(frozen=True)
class AutoPlannerConfig(PlanningConfig):
    """Settings of an AutoPlanner.

    Attributes:
        links: see :class:`irecgan_gym.models.appeal.AppealConfig`; the choice by place decides for all models.
        spreads: of an item in a context around its mean.
        state_spreads: of an item in a state around its mean.
        num_states: of latent-state models, where the log's policy does not tell how many there are.
        move_spreads: of their transitions.
        max_context_items: catalogues up to which the last click is a context of its own.
        rank: numbers in the embedding of an item, in larger catalogues than those.
        num_folds: of cross-validation, for logs up to ``fold_sessions``.
        fold_sessions: settings of larger logs are chosen on so many sessions; then the best models of each family are
            compared on held-out sessions of the whole.
        num_members: models averaged at most.
        least: see :class:`irecgan_gym.agents.choice_planner.ChoicePlannerConfig`.
    """

    links: Annotated[tuple[Link, ...], NOT_EMPTY] = ("tied", "linked", "untied")
    spreads: Annotated[tuple[Positive, ...], NOT_EMPTY] = (0.3, 0.6, 1.2)
    state_spreads: Annotated[tuple[Positive, ...], NOT_EMPTY] = (0.6, 1.2)
    num_states: Annotated[tuple[Width, ...], NOT_EMPTY] = (5, 10)
    move_spreads: Annotated[tuple[Positive, ...], NOT_EMPTY] = (0.5, 1.5)
    max_context_items: CountFrom0 = 1000
    rank: Width = 8
    num_folds: Count = 4
    fold_sessions: Count = 1500
    num_members: Count = 4
    least: Positive | None = 0.5


Folds = list[tuple[LoggedSteps, LoggedSteps]]


class AutoPlanner(Planner[AutoPlannerConfig]):
    """Chooses between choice models and latent-state models of the user by held-out likelihood, and plans on the best.

    Whether the log's policy sees the state is told by its slates
    (:func:`irecgan_gym.models.slate_kinds.logger_sees`); if so, slates are signs of the state and what is never shown
    is worse than what is. Candidates are weighed by the likelihood of sessions that they were not fitted to; those
    near the best are averaged: the belief is over models and their states.
    See :class:`irecgan_gym.agents.planner.Planner`.

    Attributes:
        sees: whether the log's policy was found to see the state.
        chosen: names of the models planned on, and their weights.
    """

    kind = "auto_planner"
    config_type = AutoPlannerConfig
    sees: bool
    chosen: dict[str, float]

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        config = self.config
        log = concatenate([training, validation])
        whole = [(LoggedSteps.of(training), LoggedSteps.of(validation))]
        mixture = SlateMixture.fit(whole[0][0], NUM_KINDS, np.random.default_rng(self.seed))
        self.sees = config.least is not None and logger_sees(mixture, *whole[0])
        large = len(log) > config.fold_sessions
        part = log.select(slice(0, config.fold_sessions))
        folds = _folds(part, 1 if large else config.num_folds, self.seed)
        families = self._families(folds)
        scored = {
            candidate: _held_out(candidate, folds, self.seed) for candidates in families for candidate in candidates
        }
        if large:
            finalists = [max(candidates, key=scored.__getitem__) for candidates in families]
            scored = {candidate: _held_out(candidate, whole, self.seed) for candidate in finalists}
        recorder.record({f"held_out/{candidate.name}": score for candidate, score in scored.items()}, 0)
        best = sorted(scored, key=scored.__getitem__, reverse=True)[: config.num_members]
        shares = softmax(np.array([scored[candidate] for candidate in best]))
        best, shares = best[: int((shares > _LEAST_SHARE).sum())], shares[shares > _LEAST_SHARE]
        shares = shares / shares.sum()
        self.chosen = {candidate.name: float(share) for candidate, share in zip(best, shares, strict=True)}
        steps, rng = LoggedSteps.of(log), np.random.default_rng(self.seed)
        least = config.least if self.sees else None
        return ensemble([candidate.fit(steps, rng).world(steps, least) for candidate in best], shares)

    def _families(self, folds: Folds) -> list[list[UserCandidate]]:
        """Candidates that differ in their settings, by what they have in common; the link is chosen at once."""
        config = self.config
        rank = None if self.num_items <= config.max_context_items else config.rank
        by_place = [
            ChoiceCandidate(ChoiceModelConfig("place", AppealConfig(link=link, group_spread=spread, rank=rank)))
            for link in config.links
            for spread in config.spreads
        ]
        best = max(by_place, key=lambda candidate: _held_out(candidate, folds, self.seed))
        link = best.config.appeal.link
        families: list[list[UserCandidate]] = [
            [candidate for candidate in by_place if candidate.config.appeal.link == link]
        ]
        if self.num_items <= config.max_context_items:
            appeals = [AppealConfig(link=link, group_spread=spread, rank=rank) for spread in config.spreads]
            families.append([ChoiceCandidate(ChoiceModelConfig("last-click", appeal)) for appeal in appeals])
        # Small logs like few states, and large ones as many as there are: each number is a family of its own.
        for number in config.num_states[:1] if self.sees else config.num_states:
            models = [
                LatentUserConfig(number, AppealConfig(link=link, group_spread=spread, rank=rank), move_spread)
                for spread in config.state_spreads
                for move_spread in config.move_spreads
            ]
            families.append([LatentCandidate(model, self.sees) for model in models])
        return families


def _folds(sessions: Sessions, number: int, seed: int) -> Folds:
    """Pairs of what is fitted to and what is held out; a single pair holds out a fifth."""
    if number == 1:
        training, validation = sessions.split([0.8, 0.2], seed=seed)
        return [(LoggedSteps.of(training), LoggedSteps.of(validation))]
    parts = sessions.split([1 / number] * number, seed=seed)
    return [
        (LoggedSteps.of(concatenate([*parts[:place], *parts[place + 1 :]])), LoggedSteps.of(part))
        for place, part in enumerate(parts)
    ]


def _held_out(candidate: UserCandidate, folds: Folds, seed: int) -> float:
    """Log-likelihood of all held-out steps together."""
    return sum(
        float(candidate.fit(fitted_to, np.random.default_rng(seed)).held_out(held_out).sum())
        for fitted_to, held_out in folds
    )
