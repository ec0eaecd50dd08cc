"""TabularPG: clicks times returns by context, without a network; the control of planners and of PG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.agents.planner import Planner, PlanningConfig
from irecgan_gym.models.choice_model import Context, contexts_of, num_contexts
from irecgan_gym.planning.hidden_states import Moves, sums_by
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.settings import NotNegative, Share

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TabularPGConfig(PlanningConfig):
    """Settings of a TabularPG.

    Attributes:
        context: see :class:`irecgan_gym.models.choice_model.ChoiceModelConfig`.
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
        smoothing: returns of the catalogue, spread over contexts and items, that are added to every context's.
        foresight: 0: returns of the log hold what comes later.
    """

    context: Context = "place"
    gamma: Share = 0.9
    lambda_r: NotNegative = 3.0
    smoothing: NotNegative = 20.0
    foresight: NotNegative = 0.0


class TabularPG(Planner[TabularPGConfig]):
    """The policy to which offline policy gradient tends where each context has a free softmax of its own.

    Its probability of an item is proportional to the item's clicks times their returns in the context, which are
    shrunk to those of all contexts together; it shows the most probable items.
    See :class:`irecgan_gym.agents.planner.Planner`.
    """

    kind = "tabular_pg"
    config_type = TabularPGConfig

    def _learn_world(self, training: Sessions, validation: Sessions, recorder: Recorder) -> LearnedWorld:
        config, size = self.config, self.num_items
        steps = LoggedSteps.of(concatenate([training, validation]))
        returns = 1 + config.lambda_r * steps.successes
        for place in reversed(range(len(steps.rounds) - 1)):
            later = steps.rounds[place + 1]
            returns[steps.rounds[place][: len(later)]] += config.gamma * returns[later]
        number = num_contexts(size, config.context)
        contexts = contexts_of(steps.previous, size, config.context)
        flat = contexts * size + steps.clicks
        table = sums_by(flat, returns[:, None], number * size).reshape(number, size)
        shared = (table.sum(axis=0) + 1) / (table.sum() + size)
        table += config.smoothing * float(returns.mean()) * shared
        start, target = np.zeros(number), np.zeros((size, number))
        start[contexts_of(np.array([size]), size, config.context)[0]] = 1
        target[np.arange(size), contexts_of(np.arange(size), size, config.context)] = 1
        # Alike in what draws clicks, so that the best slate is that of the most probable items.
        chances = table / table.sum(axis=1, keepdims=True)
        return LearnedWorld(start, np.ones_like(chances), chances, Moves.of(np.ones((number, number)), target))
