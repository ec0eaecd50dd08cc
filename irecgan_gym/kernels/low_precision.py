"""Copies of networks for inference, with their large matrix products in a lower precision."""

from __future__ import annotations

import copy
import math
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from irecgan_gym.kernels.packed_lstm import apply_gates

Precision = Literal["float32", "bfloat16"]


def matrix_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which losses are computed with products of matrices in the given precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def check_precision(name: str, precision: str) -> None:
    """Refuse anything but a :data:`Precision`.

    Raises:
        ValueError: with the setting's name and what it takes.
    """
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"{name} must be 'float32' or 'bfloat16', got {precision!r}")


ModuleT = TypeVar("ModuleT", bound=nn.Module)

_LARGE = 2**17
"""Numbers in a weight matrix whose products are worth it; those of smaller ones cost next to nothing."""
_CACHED_ROWS = 1024
"""States that an LSTM steps at a time on a CPU."""
_ROUND = 16
"""Rows of weight matrices come in multiples of this."""


class LowPrecision:
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
        self.weight = _with_bias(layer.weight.detach(), layer.bias.detach())
        self._room = self.weight.new_empty(0)

    def forward(self, inputs: Tensor) -> Tensor:
        """W x + b; [B, I] to [B, O]."""
        return self._extended(inputs) @ self.weight

    @torch.no_grad()
    def passing(self, inputs: Tensor) -> Tensor:
        """The same, in memory that the next call of this method overwrites.

        For large outputs, new pages from the system take longer than the product.
        """
        shape = (len(inputs), self.weight.shape[1])
        if self._room.numel() < math.prod(shape):
            self._room = self.weight.new_empty(math.prod(shape))
        return torch.mm(self._extended(inputs), self.weight, out=self._room[: math.prod(shape)].view(shape))

    def _extended(self, inputs: Tensor) -> Tensor:
        extended = _inputs_with_one(len(inputs), self.weight, inputs.shape[1])
        extended[:, : inputs.shape[1]] = inputs
        return extended


class LoweredLSTM(nn.Module):
    """An LSTM that takes single steps, with products in bfloat16."""

    def __init__(self, network: nn.LSTM) -> None:
        super().__init__()
        self.hidden_size = network.hidden_size
        self._weights: list[Tensor] = []
        for layer in range(network.num_layers):
            w_ih, w_hh, b_ih, b_hh = (
                getattr(network, f"{name}_l{layer}").detach()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            # One product for what comes from below and from the step before.
            self._weights.append(_with_bias(torch.cat([w_ih, w_hh], dim=1), b_ih + b_hh))

    @torch.no_grad()
    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """What :func:`~irecgan_gym.kernels.packed_lstm.lstm_step` does."""
        if inputs.is_cuda:
            return self._step_on_gpu(inputs, state)
        new = torch.empty_like(state)
        # A few rows at a time: what they need stays in the cache, and in memory that is there already.
        rows = max(1, min(len(inputs), _CACHED_ROWS))
        width, layers = self.hidden_size, len(self._weights)
        gates = state.new_empty(rows, 4 * width)
        products = torch.empty_like(gates, dtype=torch.bfloat16)
        below = [inputs.shape[1]] + [width] * (layers - 1)
        extended = [
            _inputs_with_one(rows, weight, size + width) for weight, size in zip(self._weights, below, strict=True)
        ]
        for first in range(0, len(inputs), rows):
            those = slice(first, first + rows)
            value, before, after = inputs[those], state[those], new[those]
            for layer, (weight, size) in enumerate(zip(self._weights, below, strict=True)):
                hidden = slice(layer * width, (layer + 1) * width)
                cell = slice((layers + layer) * width, (layers + layer + 1) * width)
                both, product, gate = (held[: len(value)] for held in (extended[layer], products, gates))
                both[:, :size] = value
                both[:, size : size + width] = before[:, hidden]
                gate.copy_(torch.mm(both, weight, out=product))
                value = apply_gates(gate, before[:, cell], after[:, cell], after[:, hidden])
        return new

    def _step_on_gpu(self, inputs: Tensor, state: Tensor) -> Tensor:
        """The same in as few launches as it takes: a kernel of PyTorch's own LSTM cell applies all gates."""
        layers = len(self._weights)
        parts = torch.split(state, self.hidden_size, dim=1)
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        nothing = state.new_zeros(1, 1).expand(len(inputs), 4 * self.hidden_size)
        for weight, before, cell in zip(self._weights, parts[:layers], parts[layers:], strict=True):
            both = _inputs_with_one(len(inputs), weight, inputs.shape[1] + self.hidden_size)
            both[:, : inputs.shape[1]] = inputs
            both[:, inputs.shape[1] : inputs.shape[1] + self.hidden_size] = before
            inputs, after, _ = torch.ops.aten._thnn_fused_lstm_cell((both @ weight).to(state.dtype), nothing, cell)
            hidden.append(inputs)
            cells.append(after)
        return torch.cat(hidden + cells, dim=1)


def _with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    """W^T in bfloat16 with b as one more row, and rows of zeros up to a round number; [O, I] and [O] to [K, O].

    A product that adds a bias writes it to all of its output first, a pass over memory that takes a third of the time.
    """
    outputs, inputs = weight.shape
    extended = weight.new_zeros(-(-(inputs + 1) // _ROUND) * _ROUND, outputs, dtype=torch.bfloat16)
    extended[:inputs] = weight.t()
    extended[inputs] = bias
    return extended


def _inputs_with_one(number: int, weight: Tensor, inputs: int) -> Tensor:
    """Room for ``number`` rows of inputs to a weight of :func:`_with_bias`, with the bias's 1 behind them."""
    extended = weight.new_zeros(number, len(weight))
    extended[:, inputs] = 1
    return extended
