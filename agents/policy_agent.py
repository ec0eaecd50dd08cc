"""PolicyAgent: base of the agents that act by a recurrent policy over all items (Eq 4)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irecgan_gym.agents.base import Agent, Array, State
from irecgan_gym.agents.selection import judged
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import ModuleT, build, resolve_device
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, LogT, split_validation
from irecgan_gym.models.log_knowledge import take_log
from irecgan_gym.models.reward_laws import RewardKind
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.ope.agent_policies import PolicyScores
from irecgan_gym.ope.policies import EvaluationPolicy, PlackettLucePolicy, TopKPolicy
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.settings import InnerShare, check_is, check_settings
from irecgan_gym.slate_requests import SlateChoice, SlateRequest
from irecgan_gym.storage.checkpoints import Checkpoints
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import check_tensors, described_by, digest_of_tensors, load_weights, save_weights

PolicyAgentT = TypeVar("PolicyAgentT", bound="PolicyAgent[Any]")
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of every agent that trains one recurrent network from logged sessions.

    Attributes:
        encoder: shape of the network's recurrent state.
        fit: training of the network on logged sessions.
        validation_fraction: share of the sessions held out, by which epochs may be chosen, when no validation is
            given.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    validation_fraction: InnerShare = 0.1

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class UserModelSettings(NetworkConfig):
    """Settings of every agent with a user model.

    Attributes:
        ending: how sessions of the user model end, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        position_term: whether the user model has a position term, see there; simulated users do without it.
        generated_rewards: how its simulated rewards come from their probability, see ``rewards`` there.
        reward_kind: what rewards are taken for, see there: 0 or 1, any number, counts, or one of ``reward_bins``.
        reward_bins: the values of binned rewards.
        outside_option: whether users of the user model may click nothing and go on, see there.
    """

    ending: Literal["reward", "leave"] = "reward"
    position_term: bool = False
    generated_rewards: Literal["drawn", "thresholded"] = "drawn"
    reward_kind: RewardKind = "bernoulli"
    reward_bins: tuple[float, ...] = ()
    outside_option: bool = False

    def new_user_model(self, num_items: int, slate_size: int) -> UserModel:
        """Make a user model with this encoder."""
        return UserModel(self.user_model_config(num_items, slate_size))

    def user_model_config(self, num_items: int, slate_size: int) -> UserModelConfig:
        """Return the shape of a user model with this encoder."""
        return UserModelConfig(
            num_items,
            slate_size,
            self.ending,
            self.encoder,
            self.position_term,
            self.generated_rewards,
            self.reward_kind,
            self.reward_bins,
            self.outside_option,
        )


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
        lessons: how often it has learned.
        treatment: what training has done, by names that begin with ``treatment/`` (see
            :mod:`irecgan_gym.agents.treatment`); empty before it.
        sources: trained agents whose networks are taken over in place of pre-training, by the network's name (see
            :func:`irecgan_gym.agents.pre_training.start_from`).
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
        check_is(self.config, self.config_type)
        self.seed = seed
        self.device = resolve_device(device)
        self.treatment: dict[str, float] = {}
        self.sources: dict[str, PolicyAgent[Any]] = {}
        self.lessons = 0
        # Nothing is drawn on the meta device, where modules have shapes alone.
        drawing = "cpu" if self.device.type == "meta" else self.device
        self._generator = torch.Generator(drawing).manual_seed(self._seed("slates"))
        self._build()

    @abstractmethod
    def _build(self) -> None:
        """Make the networks by :meth:`_module`."""

    @torch.inference_mode(False)
    @torch.enable_grad()
    def learn(
        self: PolicyAgentT,
        sessions: SessionLog,
        validation: SessionLog | None = None,
        *,
        recorder: Recorder = silent,
        progress_bar: bool = False,
        resume: Checkpoints | str | Path | None = None,
    ) -> PolicyAgentT:
        """See :meth:`irecgan_gym.agents.base.Agent.learn`; gradients are taken whatever the caller has switched off."""
        self._take_log(sessions)
        try:
            super().learn(sessions, validation, recorder=recorder, progress_bar=progress_bar, resume=resume)
        finally:
            self.lessons += 1
            # What has been taken over is the agent's own now, and need not be kept twice.
            self.sources = {}
        self._tell_user_models()
        self._take_log(sessions)
        return self

    def learned(self) -> dict[str, Any]:
        """Return all that learning has changed, as checkpoints keep it: :meth:`take_over` puts it back."""
        return {
            "networks": {name: module.state_dict() for name, module in self.networks().items()},
            "lessons": self.lessons,
            "treatment": dict(self.treatment),
        }

    def take_over(self, learned: Mapping[str, Any]) -> None:
        """Become what an agent of the same settings was when :meth:`learned` was called on it."""
        for name, module in self.networks().items():
            module.load_state_dict(learned["networks"][name])
        self.lessons, self.treatment = learned["lessons"], dict(learned["treatment"])

    def _training(self, sessions: Sessions, validation: Sessions | None) -> dict[str, Any]:
        return super()._training(sessions, validation) | {
            "config": asdict(self.config),  # type: ignore[call-overload]
            "seed": self.seed,
            "lessons": self.lessons,
            "networks": digest_of_tensors(self._state()),
        }

    def _size(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self._state().values())

    def _take_log(self, sessions: SessionLog) -> None:
        """Let all networks take what they must know of the log (:mod:`irecgan_gym.models.log_knowledge`)."""
        for part in vars(self).values():
            if isinstance(part, nn.Module):
                take_log(part, sessions)

    def _tell_user_models(self) -> None:
        """Give user models among the networks the agent's catalogue: they are environments of their own."""
        for module in self.networks().values():
            if isinstance(module, UserModel):
                module.catalogue = self.catalogue

    def _seed(self, use: str) -> int:
        """Return the seed of a use of randomness.

        Every use has a stream of its own by its name, so that one does not shift another, and agents of one seed start
        from the same networks and see the same order of sessions wherever they do the same. An agent that learns again
        has other streams than the first time.
        """
        return int(np.random.SeedSequence([self.seed, self.lessons, *use.encode()]).generate_state(1)[0])

    def _rng(self, use: str) -> np.random.Generator:
        """Return a generator for a use of randomness (see :meth:`_seed`)."""
        return np.random.default_rng(self._seed(use))

    def _module(self, name: str, make: Callable[[], ModuleT]) -> ModuleT:
        """Make a network, whose parameters depend on its name and the agent's seed alone."""
        return build(make, torch.Generator().manual_seed(self._seed(name)), self.device)

    def _treated(self, metrics: Mapping[str, float], recorder: Recorder) -> None:
        """Take note of what training has done, and tell the recorder."""
        self.treatment |= metrics
        recorder.record(dict(metrics), 0)

    def _hold_out(self, sessions: LogT, validation: LogT | None, fraction: float) -> tuple[LogT, LogT]:
        offline, held_out = split_validation(sessions, validation, fraction, self.seed)
        return offline, judged(getattr(self.config, "selection", "last"), offline, held_out)

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that are saved, by name."""
        return {name: getattr(self, name) for name in self.saved}

    def _state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are saved."""
        return {
            f"{name}.{key}": value
            for name, module in self.networks().items()
            for key, value in module.state_dict().items()
        }

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
        self._check_catalogue(sessions)
        scores = np.empty(len(sessions.slate_items), dtype=np.float32)
        starts = sessions.slate_offsets[:-1]
        for batch in SessionTensors(sessions, leave_option=False, device=self.device).all(256):
            chosen = self.policy.list_scores(self.policy.encoder(batch), batch)
            entries = starts[batch.steps.cpu().numpy()][:, None] + np.arange(batch.slates.shape[1])
            mask = batch.slate_mask
            scores[entries[mask.cpu().numpy()]] = chosen[mask].cpu().numpy()
        return scores

    def _sampled_policy(self, places: bool) -> EvaluationPolicy:
        return PlackettLucePolicy(PolicyScores(self.policy), self.num_items, self.slate_size, places=places)

    def _top_policy(self, epsilon: float) -> EvaluationPolicy:
        return TopKPolicy(PolicyScores(self.policy), self.num_items, self.slate_size, epsilon=epsilon)

    def save(self, path: str | Path) -> None:
        """Write settings and all parameters to one safetensors file, atomically."""
        arguments = {
            "num_items": self.num_items,
            "slate_size": self.slate_size,
            "config": asdict(self.config),  # type: ignore[call-overload]
            "seed": self.seed,
            "lessons": self.lessons,
            "treatment": self.treatment,
        }
        save_weights(path, self.kind, arguments, self._state() | catalogue_tensors(self.catalogue))

    @classmethod
    def load(cls: type[PolicyAgentT], path: str | Path, *, device: str = "auto") -> PolicyAgentT:
        """Read what :meth:`save` wrote; the generator starts from the agent's seed again.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        expected = {"num_items": int, "slate_size": int, "config": dict, "seed": int}
        # Files from before training was recorded do not hold these.
        recorded = {"lessons": int, "treatment": dict}
        arguments, tensors = load_weights(path, cls.kind, expected, recorded)
        remembered = {name: arguments.pop(name) for name in recorded if name in arguments}
        with described_by(path):
            settings = {**arguments, "config": from_json(cls.config_type, arguments["config"])}
            # First without memory for parameters: settings of another size than the file's are refused by their shapes.
            tensors, catalogue = split_catalogue(tensors, arguments["num_items"])
            check_tensors(path, tensors, cls(**settings, device="meta")._state())
            agent = cls(**settings, device=device)
        agent.catalogue = catalogue
        agent._tell_user_models()
        for name, module in agent.networks().items():
            prefix = f"{name}."
            module.load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        # Files from before lessons and treatments were recorded hold agents that had learned once.
        agent.lessons = remembered.get("lessons", 1)
        agent.treatment = dict(remembered.get("treatment", {}))
        return agent
