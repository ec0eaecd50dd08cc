"""Copies of networks for inference, with their large matrix products in a lower precision."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.models.packed_lstm import apply_gates
from irecgan_gym.models.precision import Precision

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_LARGE = 2**17
"""Numbers in a weight matrix whose products are worth it; those of smaller ones cost next to nothing."""


class ProductsIn:
    """Makes copies of modules that multiply matrices in a given precision: for inference, while weights do not change.

    LSTMs and large linear layers get their weights in the lower type, once, and laid out as products read them best.
    Everything else is shared with the original: embeddings, small layers and GRUs. States, gates, cells and softmaxes
    stay float32.

    Args:
        precision: ``"float32"`` copies nothing.
    """

    def __init__(self, precision: Precision) -> None:
        self._precision = precision
        self._copies: dict[int, nn.Module] = {}

    def __call__(self, module: ModuleT) -> ModuleT:
        """The copy of a module, the same one at every call; the module itself where nothing in it changes."""
        if self._precision == "float32":
            return module
        if id(module) not in self._copies:
            self._copies[id(module)] = self._copy(module)
        return cast(ModuleT, self._copies[id(module)])

    def _copy(self, module: nn.Module) -> nn.Module:
        if isinstance(module, nn.LSTM):
            return LoweredLSTM(module)
        # Subclasses do more than a product.
        if type(module) is nn.Linear and module.weight.numel() >= _LARGE:
            return LoweredLinear(module)
        children = {name: self(child) for name, child in module.named_children()}
        if all(child is module.get_submodule(name) for name, child in children.items()):
            return module
        twin = copy.copy(module)
        twin._modules = {**module._modules, **children}
        return twin


class LoweredLinear(nn.Module):
    """A linear layer whose product, and so its output, is bfloat16."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        # Inputs before outputs: oneDNN multiplies a few hundred rows by such a matrix in three quarters of the time.
        self.weight = layer.weight.detach().to(torch.bfloat16).t().contiguous()
        self.bias = layer.bias.detach().to(torch.bfloat16)

    def forward(self, inputs: Tensor) -> Tensor:
        """W x + b; [B, I] to [B, O]."""
        return torch.addmm(self.bias, inputs.to(torch.bfloat16), self.weight)


class LoweredLSTM(nn.Module):
    """An LSTM that takes single steps, with products in bfloat16."""

    def __init__(self, network: nn.LSTM) -> None:
        super().__init__()
        self.hidden_size = network.hidden_size
        self._layers: list[tuple[Tensor, Tensor]] = []
        for layer in range(network.num_layers):
            w_ih, w_hh, b_ih, b_hh = (
                getattr(network, f"{name}_l{layer}").detach()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            # One product for what comes from below and from the step before.
            weight = torch.cat([w_ih.to(torch.bfloat16), w_hh.to(torch.bfloat16)], dim=1)
            self._layers.append((weight, (b_ih + b_hh).to(torch.bfloat16)))

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """What :func:`~irecgan_gym.models.packed_lstm.lstm_step` does."""
        width, layers = self.hidden_size, len(self._layers)
        new = torch.empty_like(state)
        for layer, (weight, bias) in enumerate(self._layers):
            hidden = slice(layer * width, (layer + 1) * width)
            cell = slice((layers + layer) * width, (layers + layer + 1) * width)
            both = inputs.new_empty(len(inputs), weight.shape[1], dtype=torch.bfloat16)
            both[:, :-width] = inputs
            both[:, -width:] = state[:, hidden]
            gates = F.linear(both, weight, bias).to(state.dtype)
            inputs = apply_gates(gates, state[:, cell], new[:, cell], new[:, hidden])
        return new
