"""Modules with parameters drawn from an explicit generator, and the device to put them on."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class DrawsParameters(Protocol):
    """A module that knows how its own parameters (not those of its children) are drawn."""

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Fill them in place; called without gradients."""


ModuleT = TypeVar("ModuleT", bound=nn.Module)


def resolve_device(device: str | torch.device) -> torch.device:
    """``"auto"`` is the first CUDA device where there is one, else the CPU; anything else is taken as it is."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


@torch.inference_mode(False)
def build(make: Callable[[], ModuleT], generator: torch.Generator, device: torch.device | str = "cpu") -> ModuleT:
    """Make a module of float32 without touching PyTorch's global generator, or looking at its global defaults.

    Modules with a method ``draw_parameters(generator)`` fill their own; linear and recurrent layers are drawn uniformly
    within 1/sqrt(width), PyTorch's own convention.

    Args:
        make: builds the module; called on the meta device, so it draws nothing.
        generator: a CPU generator, whatever the device: the same seed gives the same parameters everywhere.
        device: where the module goes; on the meta device it has shapes alone.
    """
    with torch.device("meta"):
        module = make().float()
    if torch.device(device).type == "meta":
        return module
    module = module.to_empty(device="cpu")
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, DrawsParameters):
                layer.draw_parameters(generator)
            elif isinstance(layer, (nn.Linear, nn.LSTM, nn.GRU)):
                width = layer.in_features if isinstance(layer, nn.Linear) else layer.hidden_size
                for parameter in layer.parameters():
                    parameter.uniform_(-1 / math.sqrt(width), 1 / math.sqrt(width), generator=generator)
    return module.to(device)


def copy_of(module: ModuleT) -> ModuleT:
    """Return a copy of a module with parameters of its own.

    Its recurrent layers lie in one piece of memory as those of a new module do; after a plain deep copy cuDNN would
    bring them together at every call, and warn of it.
    """
    copy = deepcopy(module)
    for layer in copy.modules():
        if isinstance(layer, nn.RNNBase):
            layer.flatten_parameters()
    return copy
