"""States of what a training is made of, as JSON and tensors, and putting them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

_TENSOR, _ARRAY = "tensor of the file", "array of the file"


@runtime_checkable
class Stateful(Protocol):
    """Something with a state that can be taken and put back, such as a module of PyTorch."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state: mappings and lists of tensors, arrays, numbers, texts and None."""

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any:
        """Take a state that :meth:`state_dict` has returned."""


Things = Mapping[str, "Stateful | np.random.Generator | torch.Generator"]
"""What a training is made of, by name: modules, optimizers, generators, and objects with a state of their own."""


def state_of(things: Things) -> dict[str, Any]:
    """Return the states of some things by name; tensors in them are those of the things, not copies.

    Args:
        things: modules, generators of NumPy and PyTorch, and whatever is :class:`Stateful`.
    """
    states: dict[str, Any] = {}
    for name, thing in things.items():
        if isinstance(thing, np.random.Generator):
            states[name] = thing.bit_generator.state
        elif isinstance(thing, torch.Generator):
            states[name] = thing.get_state()
        else:
            states[name] = thing.state_dict()
    return states


def put_back(things: Things, states: Mapping[str, Any]) -> None:
    """Give things the states that :func:`state_of` has returned of their like.

    Raises:
        KeyError: the state of a thing is missing.
    """
    for name, thing in things.items():
        state = states[name]
        if isinstance(thing, np.random.Generator):
            thing.bit_generator.state = state
        elif isinstance(thing, torch.Generator):
            thing.set_state(state)
        else:
            thing.load_state_dict(state)


def packed(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a state as JSON-compatible values, and the tensors that they name; on the CPU, not copied where possible.

    Args:
        tree: mappings with texts for keys, and sequences, of tensors, arrays, numbers, texts and None.

    Raises:
        TypeError: something else is in it.
    """
    tensors: dict[str, Tensor] = {}
    return _packed(tree, "", tensors), tensors


def _packed(tree: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Mapping):
        return {name: _packed(part, f"{place}/{name}", tensors) for name, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_packed(part, f"{place}/{number}", tensors) for number, part in enumerate(tree)]
    if isinstance(tree, Tensor):
        tensors[place] = tree.detach().cpu()
        return {_TENSOR: place}
    if isinstance(tree, np.ndarray):
        # As bytes: types that PyTorch does not have, and numbers that are none, come back as they were.
        array = np.ascontiguousarray(tree)
        tensors[place] = torch.from_numpy(np.frombuffer(array.tobytes(), dtype=np.uint8).copy())
        return {_ARRAY: place, "type": array.dtype.str, "shape": list(array.shape)}
    if isinstance(tree, np.generic):
        return tree.item()
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"a state cannot hold a {type(tree).__name__} (at {place})")


def unpacked(values: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state that :func:`packed` was given; sequences come back as lists."""
    if isinstance(values, list):
        return [unpacked(part, tensors) for part in values]
    if not isinstance(values, Mapping):
        return values
    if _TENSOR in values:
        return tensors[values[_TENSOR]]
    if _ARRAY in values:
        content = tensors[values[_ARRAY]].numpy().tobytes()
        return np.frombuffer(content, dtype=np.dtype(values["type"])).reshape(values["shape"]).copy()
    return {name: unpacked(part, tensors) for name, part in values.items()}
