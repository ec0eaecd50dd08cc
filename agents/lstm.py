"""LSTM and LSTMD: agents that rank the whole catalogue by a user model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from irecgan_gym.agents.irecgan import IRecGAN, IRecGANConfig
from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.agents.selection import EstimatedReward
from irecgan_gym.evaluation.user_model_fidelity import fidelity
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.slate_policy import Ranking, UserModelPolicy
from irecgan_gym.ope.off_policy_selection import CriterionName
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog, in_memory
from irecgan_gym.settings import check_settings


@dataclass(frozen=True)
class LSTMConfig(UserModelSettings):
    """Settings of LSTM; ``encoder`` and ``fit`` (Eq 3) are those of the user model.

    Attributes:
        ranking: items are ranked by p(click) p(reward), or as in the authors' code by ``"click"`` alone.
        selection: rule by which an epoch is kept: the held-out ``"likelihood"`` of the user model, or an off-policy
            estimate of what the ranking would earn (see :class:`~irecgan_gym.agents.selection.EstimatedReward`).
    """

    ranking: Ranking = "click_and_reward"
    selection: Literal["likelihood", CriterionName] = "likelihood"


class LSTM(PolicyAgent[LSTMConfig]):
    """The user model fitted to logged sessions, without any policy of its own (baseline 1 of §7.1)."""

    kind = "lstm"
    config_type = LSTMConfig
    streams = True
    saved = ("user_model",)

    def _build(self) -> None:
        self.user_model = self._module(
            "user_model", lambda: self.config.new_user_model(self.num_items, self.slate_size)
        )
        self.policy = UserModelPolicy(self.user_model, self.slate_size, self.config.ranking)

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        config = self.config
        offline, held_out = self._hold_out(sessions, validation, config.validation_fraction)
        chosen_by = None if config.selection == "likelihood" else EstimatedReward(config.selection, in_memory(held_out))
        fit_user_model(
            offline,
            held_out,
            self.user_model,
            config.fit,
            seed=self._seed("user_model_training"),
            recorder=recorder,
            schedule=self._schedule,
            criterion=None if chosen_by is None else lambda: chosen_by.loss(self.policy),
        )
        judged = held_out.first_part() if isinstance(held_out, SessionDataset) else held_out
        recorder.record(fidelity(self.user_model, judged, seed=self._seed("fidelity")).as_metrics(), 0)


@dataclass(frozen=True)
class LSTMDConfig:
    """Settings of LSTMD.

    Attributes:
        irecgan: training of the user model.
        ranking: ranking of the items, see :class:`LSTMConfig`.
    """

    irecgan: IRecGANConfig = field(default_factory=IRecGANConfig)
    ranking: Ranking = "click_and_reward"

    def __post_init__(self) -> None:
        check_settings(self)


class LSTMD(PolicyAgent[LSTMDConfig]):
    """LSTM with the user model of IRecGAN, trained against a discriminator (baseline 3 of §7.1)."""

    kind = "lstmd"
    config_type = LSTMDConfig
    saved = ("user_model",)
    streams = True

    def _build(self) -> None:
        # Networks of one name and seed are the same: this is the user model that IRecGAN has with this seed.
        self._irecgan = IRecGAN(
            self.num_items, self.slate_size, self.config.irecgan, seed=self.seed, device=str(self.device)
        )
        self.user_model = self._irecgan.user_model
        self.policy = UserModelPolicy(self.user_model, self.slate_size, self.config.ranking)

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        # All of IRecGAN is trained, and its user model acts.
        self._irecgan.learn(sessions, validation, recorder=recorder, resume=self._schedule.inner("irecgan"))
        self.treatment = dict(self._irecgan.treatment)

    def adopt(self, irecgan: IRecGAN) -> None:
        """Take the user model of a trained IRecGAN, in place of learning."""
        self.user_model.load_state_dict(irecgan.user_model.state_dict())
        self.treatment = dict(irecgan.treatment)
