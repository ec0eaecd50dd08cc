"""CautiousPlanner: plans on lower confidence bounds, as low as users fitted to other sessions want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig, CandidateTrial
from irecgan_gym.planning.learned_world import LearnedWorld, ensemble
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.planning.point_values import KnownStateSlates
from irecgan_gym.planning.simulated_values import simulated_reward
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.settings import NOT_EMPTY, Count, NotNegative


@dataclass(frozen=True)
class CautiousPlannerConfig(AutoPlannerConfig):
    """Settings of a CautiousPlanner.

    Attributes:
        cautions: standard deviations by which plans take chances of success to be lower than they seem, of which
            sessions that the planner was not fitted to choose; the first is kept where none is better.
        judged_sessions: simulated sessions by which each is judged.
    """

    cautions: Annotated[tuple[NotNegative, ...], NOT_EMPTY] = (0.0, 0.5, 1.0, 2.0)
    judged_sessions: Count = 1000


class CautiousPlanner(AutoPlanner):
    """An AutoPlanner that plans on lower confidence bounds: what the log says little of has to promise more.

    How far below the estimates the bounds are, is chosen off-policy: the likeliest model is fitted to one half of the
    log, planned on with each caution, and judged by the same model fitted to the other half alone (a direct method
    that does not share the errors of what it judges), and the other way round. A caution is taken if it earns more by
    more than a standard error of the paired difference.

    Attributes:
        caution: standard deviations chosen.
        judged: reward of a session by each caution, as it was judged.
    """

    kind = "cautious_planner"
    config_type = CautiousPlannerConfig
    config: CautiousPlannerConfig
    caution: float
    judged: dict[float, float]

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        trials, shares = self._chosen_models(training, validation, recorder)
        log = concatenate([training, validation])
        least = self.config.least if self.sees else None
        self.caution = self._chosen_caution(trials[0], log, least)
        recorder.record({f"caution/{caution:g}": reward for caution, reward in self.judged.items()}, 0)
        steps = LoggedSteps.of(log)
        return ensemble([trial.fitted.refit(steps).world(steps, least, self.caution) for trial in trials], shares)

    def _chosen_caution(self, trial: CandidateTrial, log: Sessions, least: float | None) -> float:
        halves = [LoggedSteps.of(half) for half in log.split([0.5, 0.5], seed=self.seed)]
        fits = [trial.candidate.fit(steps, self.seed) for steps in halves]
        users = [fit.world(steps, least) for fit, steps in zip(fits, halves, strict=True)]
        earned = {}
        for caution in self.config.cautions:
            found = []
            for planned, judge in ((0, 1), (1, 0)):
                world = fits[planned].world(halves[planned], least, caution)
                chooser = KnownStateSlates(world, self.slate_size, self.config.foresight)
                rng = np.random.default_rng([self.seed, judge])
                found.append(simulated_reward(users[judge], world, chooser, self.config.judged_sessions, rng))
            earned[caution] = np.concatenate(found)
        self.judged = {caution: float(rewards.mean()) for caution, rewards in earned.items()}
        first = self.config.cautions[0]
        best = max(self.judged, key=lambda caution: self.judged[caution])
        gain = earned[best] - earned[first]
        return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else first
