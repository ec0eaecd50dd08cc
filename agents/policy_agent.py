"""PolicyAgent: base of the agents that act by a recurrent policy over all items (Eq 4)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irecgan_gym.agents.base import Agent, Array, State
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import ModuleT, build, resolve_device
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, split_validation
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions
from irecgan_gym.slate_requests import SlateChoice, SlateRequest
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import load_weights, save_weights

PolicyAgentT = TypeVar("PolicyAgentT", bound="PolicyAgent[Any]")
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of every agent that trains one recurrent network from logged sessions.

    Attributes:
        encoder: shape of the network's recurrent state.
        fit: training of the network on logged sessions.
        validation_fraction: share of the sessions held out for early stopping when no validation is given.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {self.validation_fraction}")


@dataclass(frozen=True)
class UserModelSettings(NetworkConfig):
    """Settings of every agent with a user model.

    Attributes:
        ending: how sessions of the user model end, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        position_term: whether the user model has a position term, see there; simulated users do without it.
    """

    ending: Literal["reward", "leave"] = "reward"
    position_term: bool = False

    def new_user_model(self, num_items: int, slate_size: int) -> UserModel:
        """Make a user model with this encoder."""
        return UserModel(UserModelConfig(num_items, slate_size, self.ending, self.encoder, self.position_term))


class PolicyAgent(Agent, Generic[ConfigT]):
    """Agent that acts, scores and is stored by the parameters of a :class:`CataloguePolicy`.

    A subclass names its settings (``config_type``) and the networks that are saved (``saved``), makes those networks in
    :meth:`_build` and trains them in :meth:`_learn`.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: settings, of the class's ``config_type``; its defaults when None.
        seed: of the parameters, of training and of sampled slates.
        device: where the networks are, ``"auto"``, ``"cpu"``, ``"cuda"``...

    Attributes:
        policy: chooses the slates.
    """

    kind: ClassVar[str]
    saved: ClassVar[tuple[str, ...]] = ("policy",)
    config_type: type[ConfigT]
    policy: CataloguePolicy

    def __init__(
        self,
        num_items: int,
        slate_size: int,
        config: ConfigT | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        super().__init__(num_items, slate_size)
        self.config = self.config_type() if config is None else config
        self.seed = seed
        self.device = resolve_device(device)
        # Every use of randomness has a stream of its own, so that one does not shift another.
        self._seeds = np.random.SeedSequence(seed)
        self._generator = torch.Generator(self.device).manual_seed(self._next_seed())
        self._build()

    @abstractmethod
    def _build(self) -> None:
        """Make the networks by :meth:`_module`, in an order that stays: their parameters depend on it."""

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(
        self: PolicyAgentT,
        sessions: Sessions,
        validation: Sessions | None = None,
        *,
        recorder: Recorder = silent,
        progress_bar: bool = False,
    ) -> PolicyAgentT:
        """See :meth:`irecgan_gym.agents.base.Agent.learn`; gradients are taken whatever the caller has switched off."""
        return super().learn(sessions, validation, recorder=recorder, progress_bar=progress_bar)

    def _next_seed(self) -> int:
        return int(self._seeds.spawn(1)[0].generate_state(1)[0])

    def _next_rng(self) -> np.random.Generator:
        return np.random.default_rng(self._next_seed())

    def _module(self, make: Callable[[], ModuleT]) -> ModuleT:
        return build(make, torch.Generator().manual_seed(self._next_seed()), self.device)

    def _hold_out(self, sessions: Sessions, validation: Sessions | None, fraction: float) -> tuple[Sessions, Sessions]:
        return split_validation(sessions, validation, fraction, self.seed)

    def _modules(self) -> dict[str, nn.Module]:
        return {name: getattr(self, name) for name in self.saved}

    def set_random_seed(self, seed: int) -> None:
        """See :meth:`irecgan_gym.agents.base.Agent.set_random_seed`."""
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def _choose(
        self, observed: Array, state: State | None, starts: NDArray[np.bool_], deterministic: bool
    ) -> tuple[NDArray[np.int64], State | None]:
        recurrent = self._observe(observed, state, starts)
        slates = self.policy.top(recurrent) if deterministic else self.policy.sample(recurrent, self._generator)
        return slates.cpu().numpy(), (recurrent.cpu().numpy(),)

    @torch.no_grad()
    def _recommend(
        self,
        observed: Array,
        state: State | None,
        starts: NDArray[np.bool_],
        deterministic: bool,
        request: SlateRequest,
    ) -> SlateChoice:
        recurrent = self._observe(observed, state, starts)
        size, excluded = request.size, request.excluded
        if deterministic:
            slates = self.policy.top(recurrent, slate_size=size, excluded=excluded)
            logs = np.zeros(slates.shape)
        else:
            slates = self.policy.sample(recurrent, self._generator, slate_size=size, excluded=excluded)
            logs = self.policy.prefix_log_probabilities(recurrent, slates, excluded=excluded).cpu().numpy()
        return SlateChoice(slates.cpu().numpy(), logs, (recurrent.cpu().numpy(),))

    def _observe(self, observed: Array, state: State | None, starts: NDArray[np.bool_]) -> torch.Tensor:
        """States after the last clicks, [B, S]."""
        clicks = torch.tensor(observed, dtype=torch.int64, device=self.device)
        if len(clicks) and not 0 <= int(clicks.min()) <= int(clicks.max()) <= self.num_items:
            raise ValueError(f"observations must be item ids from 0 to {self.num_items}, got {observed}")
        recurrent = self.policy.encoder.initial_state(len(clicks))
        if state is not None:
            recurrent = torch.as_tensor(state[0], device=self.device)
            recurrent = recurrent.masked_fill(torch.as_tensor(starts, device=self.device)[:, None], 0.0)
        return self.policy.observe(clicks, recurrent)

    @torch.no_grad()
    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """See :meth:`irecgan_gym.agents.base.Agent.slate_scores`."""
        scores = np.empty(len(sessions.slate_items), dtype=np.float32)
        starts = sessions.slate_offsets[:-1]
        for batch in SessionTensors(sessions, leave_option=False, device=self.device).all(256):
            log_probabilities = self.policy.log_probabilities(self.policy.encoder(batch))
            entries = starts[batch.steps.cpu().numpy()][:, None] + np.arange(batch.slates.shape[1])
            mask = batch.slate_mask
            chosen = log_probabilities.gather(1, batch.slates.where(mask, 0))
            scores[entries[mask.cpu().numpy()]] = chosen[mask].cpu().numpy()
        return scores

    def save(self, path: str | Path) -> None:
        """Write settings and all parameters to one safetensors file, atomically."""
        tensors = {
            f"{name}.{key}": value
            for name, module in self._modules().items()
            for key, value in module.state_dict().items()
        }
        arguments = {
            "num_items": self.num_items,
            "slate_size": self.slate_size,
            "config": asdict(self.config),  # type: ignore[call-overload]
            "seed": self.seed,
        }
        save_weights(path, self.kind, arguments, tensors)

    @classmethod
    def load(cls: type[PolicyAgentT], path: str | Path, *, device: str = "auto") -> PolicyAgentT:
        """Read what :meth:`save` wrote; the generator starts from the agent's seed again."""
        arguments, tensors = load_weights(path, cls.kind)
        config = from_json(cls.config_type, arguments["config"])
        agent = cls(arguments["num_items"], arguments["slate_size"], config, seed=arguments["seed"], device=device)
        for name, module in agent._modules().items():
            prefix = f"{name}."
            module.load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        return agent
