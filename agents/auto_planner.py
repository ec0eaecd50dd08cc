"""AutoPlanner: models of the user weighed by what they say of held-out sessions, and the best slate for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from irecgan_gym.agents.choice_planner import NUM_KINDS
from irecgan_gym.agents.planner import Planner, PlanningConfig
from irecgan_gym.agents.user_candidates import (
    QUICK,
    THOROUGH,
    ChoiceCandidate,
    FittedUser,
    LatentCandidate,
    UserCandidate,
)
from irecgan_gym.models.appeal import AppealConfig, Link
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.models.slate_kinds import SlateMixture, logger_sees
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.settings import NOT_EMPTY, Count, CountFrom0, Positive, Width

# Large logs whose policy does not see the state are searched on so many times ``fold_sessions``, for hidden states are
# found and compared by more sessions than contexts; models of states so far behind the best one, in log-likelihood of
# what is held out there, are not fitted to the whole.
_SEARCHED, _FAR = 2, 10.0
# Models of less weight are left out.
_LEAST_SHARE = 0.02


@dataclass(frozen=True)
class AutoPlannerConfig(PlanningConfig):
    """Settings of an AutoPlanner.

    Attributes:
        links: see :class:`irecgan_gym.models.appeal.AppealConfig`; the choice by place decides for all models, but in
            large logs whose policy does not see the state.
        spreads: of an item in a context around its mean.
        state_spreads: of an item in a state around its mean.
        num_states: of latent-state models, where the log's policy does not tell how many there are.
        move_spreads: of their transitions.
        max_context_items: catalogues up to which the last click is a context of its own.
        rank: numbers in the embedding of an item, in larger catalogues than those.
        num_starts: searches for a latent-state model in large logs, unless slates tell the states.
        num_folds: of cross-validation, for logs up to ``fold_sessions`` whose policy does not see the state.
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
    num_starts: Count = 4
    num_folds: Count = 4
    fold_sessions: Count = 1500
    num_members: Count = 4
    least: Positive | None = 0.5


Folds = list[tuple[LoggedSteps, LoggedSteps]]
CandidateT = TypeVar("CandidateT", bound=UserCandidate)


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
        trials, shares = self._chosen_models(training, validation, recorder)
        steps = LoggedSteps.of(concatenate([training, validation]))
        least = self.config.least if self.sees else None
        # Where the likelihood alone tells hidden states, it climbs slowly, and on to better slates.
        effort = THOROUGH if self._is_thorough(steps.num_sessions) else QUICK
        return ensemble([trial.fitted.refit(steps, effort).world(steps, least) for trial in trials], shares)

    def _is_thorough(self, num_sessions: int) -> bool:
        """Return whether a log says enough of hidden states that the search for them pays."""
        return num_sessions > self.config.fold_sessions and not self.sees

    def _chosen_models(
        self, training: Sessions, validation: Sessions, recorder: Recorder
    ) -> tuple[list[CandidateTrial], NDArray[np.float64]]:
        """Compare candidates by held-out sessions; return those that are averaged, best first, and their shares."""
        config = self.config
        log = concatenate([training, validation])
        whole = [(LoggedSteps.of(training), LoggedSteps.of(validation))]
        mixture = SlateMixture.fit(whole[0][0], NUM_KINDS, np.random.default_rng(self.seed))
        self.sees = config.least is not None and logger_sees(mixture, *whole[0])
        large = len(log) > config.fold_sessions
        part = log.select(slice(0, config.fold_sessions * (_SEARCHED if self._is_thorough(len(log)) else 1)))
        search = _Search(_folds(part, 1 if large or self.sees else config.num_folds, self.seed), self.seed)
        finalists = self._finalists(search, self._is_thorough(len(log)))
        if large:
            finalists = [started for candidate in finalists for started in self._starts(candidate)]
            search = _Search(whole, self.seed)
        trials = sorted((search.tried(candidate) for candidate in finalists), key=lambda trial: -trial.score)
        recorder.record({f"held_out/{name}": score for name, score in search.scores.items()}, 0)
        trials = trials[: config.num_members]
        shares = softmax(np.array([trial.score for trial in trials]))
        trials, shares = trials[: int((shares > _LEAST_SHARE).sum())], shares[shares > _LEAST_SHARE]
        shares = shares / shares.sum()
        self.chosen = {trial.name: float(share) for trial, share in zip(trials, shares, strict=True)}
        return trials, shares

    def _finalists(self, search: _Search, thorough: bool) -> list[UserCandidate]:
        """The best candidate of each family; families differ in what depends on what, and members in spreads.

        Args:
            search: tries them.
            thorough: whether latent-state models are tried with all links and spreads. The choice by place knows no
                history, and takes what history explains for a loose link; small logs cannot tell.
        """
        config = self.config
        rank = None if self.num_items <= config.max_context_items else config.rank
        by_place = [
            ChoiceCandidate(ChoiceModelConfig("place", AppealConfig(link=link, group_spread=spread, rank=rank)))
            for link in config.links
            for spread in config.spreads
        ]
        of_place = search.best(by_place)
        finalists: list[UserCandidate] = [of_place]
        link = of_place.config.appeal.link
        if self.num_items <= config.max_context_items:
            appeals = [AppealConfig(link=link, group_spread=spread, rank=rank) for spread in config.spreads]
            finalists.append(search.best([ChoiceCandidate(ChoiceModelConfig("last-click", one)) for one in appeals]))
        # Small logs like few states, and large ones as many as there are: each number is a family of its own.
        hidden: list[LatentCandidate] = []
        for number in config.num_states[:1] if self.sees else config.num_states:
            first, *others = config.move_spreads
            models = [
                LatentCandidate(
                    LatentUserConfig(number, AppealConfig(link=link, group_spread=spread, rank=rank), move), self.sees
                )
                for link in (config.links if thorough else (link,))
                for spread in config.state_spreads
                for move in (config.move_spreads if thorough else (first,))
            ]
            best = search.best(models)
            moved = [replace(best, config=replace(best.config, move_spread=spread)) for spread in others]
            hidden.append(search.best([best, *moved]))
        if thorough:
            best_score = max(search.tried(candidate).score for candidate in hidden)
            hidden = [candidate for candidate in hidden if search.tried(candidate).score > best_score - _FAR]
        return [*finalists, *hidden]

    def _starts(self, candidate: UserCandidate) -> list[UserCandidate]:
        """The candidate with each of its starts; where kinds of slates say where to start, there is one."""
        if isinstance(candidate, LatentCandidate) and not candidate.sees:
            return [replace(candidate, start=start) for start in range(self.config.num_starts)]
        return [candidate]


@dataclass(frozen=True, eq=False)
class CandidateTrial:
    """Outcome of a candidate: the log-likelihood of all held-out steps, and its fit to the first fold."""

    candidate: UserCandidate
    score: float
    fitted: FittedUser

    @property
    def name(self) -> str:
        """See :class:`irecgan_gym.agents.user_candidates.UserCandidate`."""
        return self.candidate.name


class _Search:
    """Tries candidates, each once.

    Args:
        folds: pairs of what is fitted to and what is held out.
        seed: of the fits.
    """

    def __init__(self, folds: Folds, seed: int) -> None:
        self._folds, self._seed = folds, seed
        self._trials: dict[UserCandidate, CandidateTrial] = {}

    @property
    def scores(self) -> dict[str, float]:
        """Scores of all candidates that were tried, by their names."""
        return {trial.name: trial.score for trial in self._trials.values()}

    def tried(self, candidate: UserCandidate) -> CandidateTrial:
        """Try a candidate, if that is yet to be done."""
        if candidate not in self._trials:
            fits = [candidate.fit(fitted_to, self._seed) for fitted_to, _ in self._folds]
            pairs = zip(fits, self._folds, strict=True)
            score = sum(float(fitted.held_out(held_out).sum()) for fitted, (_, held_out) in pairs)
            self._trials[candidate] = CandidateTrial(candidate, score, fits[0])
        return self._trials[candidate]

    def best(self, candidates: Sequence[CandidateT]) -> CandidateT:
        """Return the candidate under which held-out steps are likeliest."""
        return max(candidates, key=lambda candidate: self.tried(candidate).score)


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
