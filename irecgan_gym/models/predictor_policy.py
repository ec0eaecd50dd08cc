"""Policies of other libraries in the roll-outs of Eq 6: anything that predicts actions as Stable-Baselines3 does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.collection import SlatePredictor
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.slates import check_slates, distinct_slates


@runtime_checkable
class RolloutPolicy(Protocol):
    """What completes sessions in a roll-out; :class:`~irecgan_gym.models.slate_policy.SlatePolicy` is one.

    Policies of other libraries become one by :func:`~irecgan_gym.models.predictor_policy.as_rollout_policy`.
    """

    def start(self, num_sessions: int) -> Tensor:
        """States of new sessions, [B, S]."""

    def observe(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` int64 [B], ``state`` [B, S]."""

    def sample(self, state: Tensor, generator: torch.Generator, *, draws: int = 1) -> Tensor:
        """Slates of different items, ``draws`` of them for each session; int64 [B * draws, k], a session's together."""


SlateFunction = Callable[[NDArray[np.int64]], NDArray[Any]]
"""A policy without memory: slates [B, k] for the last clicks [B] (``num_items`` for none yet)."""

PolicyLike = RolloutPolicy | SlatePredictor | SlateFunction
"""What the roll-outs of Eq 6 can be given as their policy."""


def as_rollout_policy(policy: PolicyLike, num_items: int, device: torch.device | str) -> RolloutPolicy:
    """A policy of any of the three forms as one that roll-outs can use.

    Args:
        policy: a roll-out policy, which is returned as it is; an object with ``predict``; or a function.
        num_items: size of the catalogue, n.
        device: of the models that it is rolled out with.

    Raises:
        TypeError: something else.
    """
    if isinstance(policy, RolloutPolicy):
        return policy
    if isinstance(policy, SlatePredictor):
        return PredictorPolicy(policy, num_items, device)
    if callable(policy):
        return PredictorPolicy(_Memoryless(policy), num_items, device)
    raise TypeError(
        "policy must have start, observe and sample (a RolloutPolicy), or predict (a model of Stable-Baselines3), "
        f"or be a function of the last clicks; got {type(policy).__name__}"
    )


class PredictorPolicy:
    """A :class:`~irecgan_gym.collection.SlatePredictor` as a roll-out policy.

    A state [B, S] holds what the predictor is to be asked with: whether the session has just begun, the last click, and
    the predictor's own recurrent state before that click, flattened. So sessions are selected, branched and overwritten
    by row, whatever axis the predictor has its sessions on. The state that follows must depend on what was observed
    alone, not on the slate drawn, as it does in Stable-Baselines3's recurrent policies.

    What the predictor draws from PyTorch's and NumPy's global generators is seeded from the roll-outs' generator, and
    both are put back afterwards, so that training of the same model goes on undisturbed. An agent of this project has
    a generator of its own; hand over its ``policy``, which is a roll-out policy by itself.

    A slot that repeats an item is filled with a random other one, as the envs do it.

    Args:
        predictor: chooses slates for last clicks.
        num_items: size of the catalogue, n.
        device: of the states.
    """

    def __init__(self, predictor: SlatePredictor, num_items: int, device: torch.device | str) -> None:
        self.predictor = predictor
        self.num_items = num_items
        self._device = torch.device(device)
        self._layout: _StateLayout | None = None

    def start(self, num_sessions: int) -> Tensor:
        """See :class:`~irecgan_gym.models.predictor_policy.RolloutPolicy`."""
        if self._layout is None:
            # Not before the first session: the model may be made after the env that it rolls out in.
            self._layout = self._find_layout()
        state = torch.zeros(num_sessions, _OWN_COLUMNS + self._layout.width, dtype=torch.float64, device=self._device)
        state[:, 0], state[:, 1] = 1.0, self.num_items
        return state

    def observe(self, clicks: Tensor, state: Tensor) -> Tensor:
        """See :class:`~irecgan_gym.models.predictor_policy.RolloutPolicy`."""
        new = torch.zeros_like(state)
        new[:, 1] = clicks
        if new.shape[1] > _OWN_COLUMNS:
            _, recurrent = self._predict(state, deterministic=True)
            new[:, _OWN_COLUMNS:] = torch.from_numpy(self._known_layout.flatten(recurrent)).to(self._device)
        return new

    def sample(self, state: Tensor, generator: torch.Generator, *, draws: int = 1) -> Tensor:
        """See :class:`~irecgan_gym.models.predictor_policy.RolloutPolicy`."""
        seeds = torch.randint(2**62, (2,), generator=generator, device=generator.device).tolist()
        with _seeded_globals(seeds[0], self._device):
            actions, _ = self._predict(state.repeat_interleave(draws, dim=0), deterministic=False)
        if np.ndim(actions) != 2:
            raise ValueError(f"the roll-out policy must choose slates [{len(state) * draws}, k], got {actions!r}")
        slates = check_slates(actions, (len(state) * draws, np.shape(actions)[1]), self.num_items)
        slates = distinct_slates(slates, "replace", self.num_items, np.random.default_rng(seeds[1]))
        return torch.from_numpy(slates).to(self._device)

    @property
    def _known_layout(self) -> _StateLayout:
        if self._layout is None:
            raise RuntimeError("start sessions first: states are made by start")
        return self._layout

    def _predict(self, state: Tensor, deterministic: bool) -> tuple[NDArray[Any], Any]:
        columns = state.cpu().numpy()
        begins = columns[:, 0] > 0
        # Where every session begins, there is no state yet; where some do, the predictor starts those over itself.
        recurrent = None if begins.all() else self._known_layout.restore(columns[:, _OWN_COLUMNS:])
        return self.predictor.predict(columns[:, 1].astype(np.int64), recurrent, begins, deterministic)

    def _find_layout(self) -> _StateLayout:
        """How the predictor lays its state out: from the states of one and of two sessions."""
        one, two = (
            self.predictor.predict(np.full(number, self.num_items), None, np.ones(number, dtype=bool), True)[1]
            for number in (1, 2)
        )
        return _StateLayout.of(one, two)


_OWN_COLUMNS = 2
"""Columns of a state before the predictor's own: whether the session begins, and the last click."""


class PolicyPredictor:
    """A policy over the catalogue as a :class:`~irecgan_gym.collection.SlatePredictor` for many sessions at once.

    Its recurrent states stay on the policy's device, the first slates of all sessions are drawn from one state, and
    sessions that end leave the batch.

    Args:
        policy: chooses the slates (Eq 4).
        seed: of the slates, until :meth:`set_random_seed` gives another.
    """

    def __init__(self, policy: CataloguePolicy, *, seed: int = 0) -> None:
        self.policy = policy
        self._device = policy.encoder.embedding.weight.device
        self._generator = torch.Generator(self._device).manual_seed(seed)

    def set_random_seed(self, seed: int) -> None:
        """Start the random numbers of the slates over."""
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def predict(
        self,
        observation: NDArray[np.int64],
        state: Tensor | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], Tensor]:
        """See :class:`~irecgan_gym.collection.SlatePredictor`; the state is a tensor [B, S]."""
        number = len(observation)
        if state is None:
            state = self.policy.start(number)
            # All sessions begin in the same state.
            if deterministic:
                slates = self.policy.top(state[:1]).expand(number, -1)
            else:
                slates = self.policy.sample(state[:1], self._generator, draws=number)
            return slates.cpu().numpy(), state
        state = self.policy.observe(torch.from_numpy(observation).to(self._device), state)
        if episode_start is not None and episode_start.any():
            state[torch.from_numpy(episode_start).to(self._device)] = self.policy.start(int(episode_start.sum()))
        slates = self.policy.top(state) if deterministic else self.policy.sample(state, self._generator)
        return slates.cpu().numpy(), state

    def select(self, state: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """States of some sessions, [B', S]."""
        return state[torch.from_numpy(rows).to(self._device)]


@dataclass(frozen=True)
class _Part:
    """One array of a predictor's state.

    Attributes:
        shape: of one session, without the axis of sessions.
        axis: that of the sessions.
        dtype: type of its numbers.
    """

    shape: tuple[int, ...]
    axis: int
    dtype: np.dtype[Any]

    @property
    def width(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class _StateLayout:
    """How a predictor's recurrent state is laid out.

    Attributes:
        parts: its arrays; none for a policy without memory.
        is_tuple: whether it is a tuple of arrays, or one array.
    """

    parts: tuple[_Part, ...]
    is_tuple: bool

    @classmethod
    def of(cls, one: Any, two: Any) -> _StateLayout:
        """The layout of which these are the states of one and of two sessions."""
        if one is None:
            return cls((), False)
        arrays = [_arrays(state) for state in (one, two)]
        return cls(tuple(map(_part, *arrays)), isinstance(one, (tuple, list)))

    @property
    def width(self) -> int:
        """Numbers in the state of a session."""
        return sum(part.width for part in self.parts)

    def flatten(self, state: Any) -> NDArray[np.float64]:
        """A state as a row a session, [B, width]."""
        rows = [
            np.moveaxis(array, part.axis, 0).reshape(array.shape[part.axis], part.width)
            for part, array in zip(self.parts, _arrays(state), strict=True)
        ]
        return np.concatenate(rows, axis=1, dtype=np.float64)

    def restore(self, rows: NDArray[np.float64]) -> Any:
        """What :meth:`flatten` was given."""
        arrays, first = [], 0
        for part in self.parts:
            array = rows[:, first : first + part.width].reshape(len(rows), *part.shape).astype(part.dtype)
            arrays.append(np.moveaxis(array, 0, part.axis))
            first += part.width
        if not arrays:
            return None
        return tuple(arrays) if self.is_tuple else arrays[0]


def _arrays(state: Any) -> list[NDArray[Any]]:
    return [np.asarray(part) for part in (state if isinstance(state, (tuple, list)) else [state])]


def _part(one: NDArray[Any], two: NDArray[Any]) -> _Part:
    axes = [axis for axis, sizes in enumerate(zip(one.shape, two.shape, strict=True)) if sizes == (1, 2)]
    if len(axes) != 1:
        raise ValueError(
            "the arrays of a predictor's state must have one axis for the sessions, "
            f"got {one.shape} for one session and {two.shape} for two"
        )
    return _Part(one.shape[: axes[0]] + one.shape[axes[0] + 1 :], axes[0], one.dtype)


class _Memoryless:
    """A function of the last clicks as a predictor."""

    def __init__(self, function: SlateFunction) -> None:
        self._function = function

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray[Any], Any]:
        """See :class:`~irecgan_gym.collection.SlatePredictor`."""
        return np.asarray(self._function(observation)), None


@contextmanager
def _seeded_globals(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's and NumPy's global generators seeded for a while, for code that can draw from nothing else."""
    before = np.random.get_state()  # noqa: NPY002 (other libraries draw from it)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
