"""An agent that acts by a recurrent softmax policy over all items (Eq 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agents.base import Agent, State
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build, resolve_device
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.storage import load_weights, save_weights
from irecgan_gym.sessions import Sessions

PolicyAgentT = TypeVar("PolicyAgentT", bound="PolicyAgent")


class PolicyAgent(Agent):
    """Acting, scoring and storing for agents whose policy is a :class:`SlatePolicy`.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        encoder: shape of the policy's recurrent state.
        seed: of the parameters, of training and of sampled slates.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``...
    """

    kind: ClassVar[str]

    def __init__(self, num_items: int, slate_size: int, encoder: EncoderConfig, seed: int, device: str) -> None:
        super().__init__(num_items, slate_size)
        self.seed = seed
        self.device = resolve_device(device)
        # Every use of randomness has a stream of its own, so that one does not shift another.
        self._seeds = np.random.SeedSequence(seed)
        self._generator = self._torch_generator()
        self.policy = self._module(lambda: SlatePolicy(num_items, slate_size, encoder))

    def _next_seed(self) -> int:
        return int(self._seeds.spawn(1)[0].generate_state(1)[0])

    def _torch_generator(self) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(self._next_seed())

    def _module(self, make: Any) -> Any:
        return build(make, torch.Generator().manual_seed(self._next_seed()), self.device)

    def set_random_seed(self, seed: int) -> None:
        """See :meth:`agents.base.Agent.set_random_seed`."""
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def predict(
        self,
        observation: NDArray[Any] | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], State | None]:
        """See :meth:`agents.base.Agent.predict`; the state is one array, the policy's recurrent state [B, S]."""
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
        """See :meth:`agents.base.Agent.slate_scores`."""
        scores = np.empty(len(sessions.slate_items), dtype=np.float32)
        starts = sessions.slate_offsets[:-1]
        for batch in SessionTensors(sessions, leave_option=False, device=self.device).all(256):
            log_probabilities = self.policy.log_probabilities(self.policy.encoder(batch))
            entries = starts[batch.steps.cpu().numpy()][:, None] + np.arange(batch.slates.shape[1])
            mask = batch.slate_mask
            chosen = log_probabilities.gather(1, batch.slates.where(mask, 0))
            scores[entries[mask.cpu().numpy()]] = chosen[mask].cpu().numpy()
        return scores

    def _modules(self) -> dict[str, nn.Module]:
        """What is saved, by name."""
        return {"policy": self.policy}

    def _arguments(self) -> dict[str, Any]:
        """Constructor arguments but for the device, as JSON-compatible values."""
        raise NotImplementedError

    @classmethod
    def _from_arguments(cls: type[PolicyAgentT], arguments: dict[str, Any], device: str) -> PolicyAgentT:
        """The inverse of :meth:`_arguments`."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write settings and all parameters to one safetensors file, atomically."""
        tensors = {
            f"{name}.{key}": value
            for name, module in self._modules().items()
            for key, value in module.state_dict().items()
        }
        save_weights(path, self.kind, self._arguments(), tensors)

    @classmethod
    def load(cls: type[PolicyAgentT], path: str | Path, *, device: str = "auto") -> PolicyAgentT:
        """Read what :meth:`save` wrote; the generator starts from the agent's seed again."""
        arguments, tensors = load_weights(path, cls.kind)
        agent = cls._from_arguments(arguments, device)
        for name, module in agent._modules().items():
            prefix = f"{name}."
            module.load_state_dict(
                {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            )
        return agent
