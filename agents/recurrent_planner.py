"""RecurrentPlanner: plans slates on a recurrent user model, by values of its states that are fitted on roll-outs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.planned_policy import (
    PlannedPolicy,
    StateValue,
    iterate_values,
    rolled_out_states,
    set_temperature,
)
from irecgan_gym.models.tied_user_model import TiedUserModel
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.settings import Count, CountFrom0, NotNegative, Share


@dataclass(frozen=True)
class RecurrentPlannerConfig(UserModelSettings):
    """Settings of a RecurrentPlanner; ``encoder`` and ``fit`` (Eq 3) are those of the user model.

    Attributes:
        link: ``"tied"``: the weight of choice of an item is its chance of success
            (:class:`~irecgan_gym.models.tied_user_model.TiedUserModel`). ``"untied"``: the two have heads of their own,
            as in the paper.
        foresight: factor of the worth of later steps; 0 plans for the next click alone.
        num_candidates: items of which the state after a click is looked at, see
            :class:`~irecgan_gym.models.planned_policy.PlannedPolicy`.
        num_features: random features of the value function, see
            :class:`~irecgan_gym.models.planned_policy.StateValue`.
        ridge: of its fit.
        rollouts: simulated sessions a round, whose states values are fitted at.
        rollout_steps: after which these are cut.
        random_share: of their steps at which slates are random.
        rounds: of roll-outs with the slates that are best so far, each followed by value iteration.
        sweeps: of value iteration a round at most.
        sampling_loss: share of the reward that sampled slates may lose, by the model.
    """

    link: Literal["tied", "untied"] = "untied"
    foresight: NotNegative = 1.0
    num_candidates: Count = 100
    num_features: CountFrom0 = 64
    ridge: NotNegative = 1e-4
    rollouts: Count = 200
    rollout_steps: Count = 10
    random_share: Share = 0.3
    rounds: Count = 2
    sweeps: Count = 60
    sampling_loss: NotNegative = 0.05


class RecurrentPlanner(PolicyAgent[RecurrentPlannerConfig]):
    """Fits a recurrent user model to a log, the values of its states to roll-outs, and shows the best slates by both.

    What the LSTM agent lacks is not a model but a decision rule: it shows the items that are best alone. See
    :class:`~irecgan_gym.models.planned_policy.PlannedPolicy`.
    """

    kind = "recurrent_planner"
    config_type = RecurrentPlannerConfig
    streams = True
    saved = ("policy",)
    policy: PlannedPolicy

    def _build(self) -> None:
        config = self.config
        shape = config.user_model_config(self.num_items, self.slate_size)
        self.user_model = self._module("user_model", lambda: _MODELS[config.link](shape))
        drawing = torch.Generator().manual_seed(self._seed("value"))
        value = StateValue(self.user_model.encoder.state_size, config.num_features, drawing).to(self.device)
        self.policy = PlannedPolicy(
            self.user_model, value, self.slate_size, config.foresight, config.num_candidates
        ).to(self.device)

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        config = self.config
        training, held_out = self._hold_out(sessions, validation, config.validation_fraction)
        fit_user_model(
            training,
            held_out,
            self.user_model,
            config.fit,
            seed=self._seed("user_model_training"),
            recorder=recorder,
            schedule=self._schedule,
        )
        generator = torch.Generator(self.device).manual_seed(self._seed("rollouts"))
        for number in range(config.rounds):
            states = rolled_out_states(
                self.policy, config.rollouts, config.rollout_steps, generator, random_share=config.random_share
            )
            if config.foresight:
                mean = iterate_values(self.policy, states, sweeps=config.sweeps, ridge=config.ridge)
                recorder.record({"planning/mean_value": mean}, number)
        set_temperature(self.policy, states[: config.rollouts * 2], config.sampling_loss, generator)

    def _tell_user_models(self) -> None:
        self.user_model.catalogue = self.catalogue


_MODELS = {"tied": TiedUserModel, "untied": UserModel}
