"""LSTM and LSTMD: act by what a user model says of the whole catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import nn

from agents.irecgan import IRecGAN, IRecGANConfig
from agents.pg import split_validation
from agents.policy_agent import PolicyAgent
from irecgan_gym.fidelity import fidelity
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.models.user_model_policy import Ranking, UserModelPolicy
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class LSTMConfig:
    """Settings of LSTM.

    Attributes:
        encoder: shape of the user model's recurrent state.
        ending: how sessions of the user model end, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        fit: training of the user model (Eq 3).
        ranking: items are ranked by p(click) p(reward), or as in the authors' code by ``"click"`` alone.
        position_term: whether the user model has one, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        validation_fraction: share of the sessions held out for early stopping when no validation is given.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    ending: Literal["reward", "leave"] = "reward"
    fit: FitConfig = field(default_factory=FitConfig)
    ranking: Ranking = "click_and_reward"
    position_term: bool = False
    validation_fraction: float = 0.1


class LSTM(PolicyAgent[LSTMConfig]):
    """The user model fitted to logged sessions, without any policy of its own (§7.1, baseline 1)."""

    kind: ClassVar[str] = "lstm"
    config_type = LSTMConfig

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        config: LSTMConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(num_items, slate_size, config, seed=seed, device=device)
        model_config = UserModelConfig(
            num_items, slate_size, self.config.ending, self.config.encoder, self.config.position_term
        )
        self.user_model = self._module(lambda: UserModel(model_config))
        self.policy = UserModelPolicy(self.user_model, slate_size, self.config.ranking)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(self, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent) -> LSTM:
        """See :meth:`agents.base.Agent.learn`."""
        training, held_out = split_validation(sessions, validation, self.config.validation_fraction, self.seed)
        seed = self._next_seed()
        fit_user_model(training, held_out, self.user_model, self.config.fit, seed=seed, recorder=recorder)
        recorder.record(fidelity(self.user_model, held_out, seed=self._next_seed()).as_metrics(), 0)
        return self

    def _modules(self) -> dict[str, nn.Module]:
        return {"user_model": self.user_model}


@dataclass(frozen=True)
class LSTMDConfig:
    """Settings of LSTMD.

    Attributes:
        irecgan: how the user model is trained.
        ranking: see :class:`LSTMConfig`.
    """

    irecgan: IRecGANConfig = field(default_factory=IRecGANConfig)
    ranking: Ranking = "click_and_reward"


class LSTMD(PolicyAgent[LSTMDConfig]):
    """LSTM with the user model of IRecGAN, learnt against a discriminator (§7.1, baseline 7)."""

    kind: ClassVar[str] = "lstmd"
    config_type = LSTMDConfig

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        config: LSTMDConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(num_items, slate_size, config, seed=seed, device=device)
        # The same seed gives the user model that IRecGAN has with this seed.
        self._irecgan = IRecGAN(num_items, slate_size, self.config.irecgan, seed=seed, device=device)
        self.user_model = self._irecgan.user_model
        self.policy = UserModelPolicy(self.user_model, slate_size, self.config.ranking)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(self, sessions: Sessions, validation: Sessions | None = None, *, recorder: Recorder = silent) -> LSTMD:
        """See :meth:`agents.base.Agent.learn`; learns all of IRecGAN, and keeps its user model."""
        self._irecgan.learn(sessions, validation, recorder=recorder)
        return self

    def adopt(self, irecgan: IRecGAN) -> None:
        """Take the user model of an IRecGAN that has learnt already, in place of learning."""
        self.user_model.load_state_dict(irecgan.user_model.state_dict())

    def _modules(self) -> dict[str, nn.Module]:
        return {"user_model": self.user_model}
