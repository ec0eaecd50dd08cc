"""Modules with parameters drawn from an explicit generator, and the device to put them on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def resolve_device(device: str | torch.device) -> torch.device:
    """``"auto"`` is the first CUDA device where there is one, else the CPU; anything else is taken as it is."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def build(make: Callable[[], ModuleT], generator: torch.Generator, device: torch.device | str = "cpu") -> ModuleT:
    """Make a module without touching PyTorch's global generator.

    Embeddings are drawn from N(0, 1); everything else uniformly within 1/sqrt(width), PyTorch's own convention
    for linear and recurrent layers.

    Args:
        make: builds the module; called on the meta device, so it draws nothing.
        generator: a CPU generator, whatever the device: the same seed gives the same parameters everywhere.
        device: where the module goes.
    """
    with torch.device("meta"):
        module = make()
    module = module.to_empty(device="cpu")
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Embedding):
                layer.weight.normal_(generator=generator)
            elif isinstance(layer, (nn.Linear, nn.LSTM, nn.GRU)):
                width = layer.in_features if isinstance(layer, nn.Linear) else layer.hidden_size
                for parameter in layer.parameters():
                    parameter.uniform_(-1 / math.sqrt(width), 1 / math.sqrt(width), generator=generator)
    return module.to(device)
