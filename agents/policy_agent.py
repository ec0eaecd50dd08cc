"""An agent that acts by a recurrent policy over all items (Eq 4), whatever that policy was learnt from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from irecgan_gym.agents.base import Agent, State
from numpy.typing import NDArray
from torch import nn

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import ModuleT, build, resolve_device
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import load_weights, save_weights

PolicyAgentT = TypeVar("PolicyAgentT", bound="PolicyAgent[Any]")
ConfigT = TypeVar("ConfigT")


class PolicyAgent(Agent, Generic[ConfigT]):
    """Acting, scoring and storing for agents that act by a :class:`CataloguePolicy`.

    A subclass makes its networks in ``__init__`` with :meth:`_module` and names them in :meth:`_modules`.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: settings, of the class's ``config_type``; its defaults when None.
        seed: of the parameters, of training and of sampled slates.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``...
    """

    kind: ClassVar[str]
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

    @abstractmethod
    def _modules(self) -> dict[str, nn.Module]:
        """What is saved, by name."""

    def _next_seed(self) -> int:
        return int(self._seeds.spawn(1)[0].generate_state(1)[0])

    def _module(self, make: Callable[[], ModuleT]) -> ModuleT:
        return build(make, torch.Generator().manual_seed(self._next_seed()), self.device)

    def set_random_seed(self, seed: int) -> None:
        """See :meth:`irecgan_gym.agents.base.Agent.set_random_seed`."""
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def predict(
        self,
        observation: NDArray[Any] | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], State | None]:
        """See :meth:`irecgan_gym.agents.base.Agent.predict`; the state is one array, the recurrent state [B, S]."""
        observed = np.asarray(observation)
        if not np.issubdtype(observed.dtype, np.integer) or observed.ndim > 1:
            raise ValueError(
                f"observation must be the last clicks, integers of shape [B], got {observed.dtype} {observed.shape}"
            )
        clicks = torch.tensor(observed.reshape(-1), dtype=torch.int64, device=self.device)
        if len(clicks) and not 0 <= int(clicks.min()) <= int(clicks.max()) <= self.num_items:
            raise ValueError(f"observations must be item ids from 0 to {self.num_items}, got {observed}")
        recurrent = self.policy.encoder.initial_state(len(clicks))
        if state is not None:
            recurrent = torch.as_tensor(state[0], device=self.device)
            if episode_start is not None:
                starts = torch.as_tensor(np.asarray(episode_start, dtype=bool).reshape(-1), device=self.device)
                recurrent = recurrent.masked_fill(starts[:, None], 0.0)
        recurrent = self.policy.observe(clicks, recurrent)
        slates = self.policy.top(recurrent) if deterministic else self.policy.sample(recurrent, self._generator)
        actions = slates.cpu().numpy()
        return actions[0] if observed.ndim == 0 else actions, (recurrent.cpu().numpy(),)

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
