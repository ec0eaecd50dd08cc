"""PyTorch's recurrent networks on a GPU: over packed sessions, and one step of an LSTM."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.backends.cudnn.rnn import get_cudnn_mode

_CUDNN_TAKES_BFLOAT16 = 91300
"""Version of cuDNN from which on it runs recurrent networks in bfloat16; without it, PyTorch's own kernels do."""


def packed_rnn(network: nn.LSTM | nn.GRU, inputs: Tensor, batch_sizes: Tensor) -> Tensor:
    """Outputs of a recurrent network for whole sessions, with zero initial states.

    Autocast of its own accord runs these networks in float16, whatever type it was asked for: numbers that bfloat16
    holds overflow there. Here they run in the type asked for, and outputs have that of the parameters.

    Args:
        network: unidirectional, without dropout or projections.
        inputs: [M, I] in the order of :class:`torch.nn.utils.rnn.PackedSequence`.
        batch_sizes: sessions that have a t-th step, int64 [T], on the CPU. Where the first of them is 1, all sessions
            begin with that one row, as in :func:`~irecgan_gym.models.packed_lstm.packed_lstm`.

    Returns:
        The top layer's outputs, [M, H].
    """
    device = inputs.device.type
    weights: list[Tensor] = list(network._flat_weights)  # type: ignore[arg-type]
    given = weights[0].dtype
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else given
    with torch.autocast(device, enabled=False):
        if dtype != given:
            weights = list(_Lowered.apply(network, dtype, *weights))  # type: ignore[no-untyped-call]
        inputs = inputs.to(dtype)
        num_sessions = int(batch_sizes[1]) if len(batch_sizes) > 1 else 1
        if num_sessions <= int(batch_sizes[0]):
            return _run(network, inputs, batch_sizes, None, weights)[0].to(given)
        # The first step of all sessions once; its state is then that of each.
        first, *state = _run(network, inputs[:1], batch_sizes[:1], None, weights)
        spread = [part.expand(-1, num_sessions, -1).contiguous() for part in state]
        outputs, *_ = _run(network, inputs[1:], batch_sizes[1:], spread, weights)
        return torch.cat([first, outputs]).to(given)


def lstm_cells(network: nn.LSTM, inputs: Tensor, state: Tensor) -> Tensor:
    """One step of an LSTM, all layers; as :func:`~irecgan_gym.models.packed_lstm.lstm_step`, but differentiable."""
    width, layers = network.hidden_size, network.num_layers
    parts = torch.split(state, width, dim=1)
    hidden, cells = parts[:layers], parts[layers:]
    new_hidden: list[Tensor] = []
    new_cells: list[Tensor] = []
    for layer, (h, c) in enumerate(zip(hidden, cells, strict=True)):
        w_ih, w_hh, b_ih, b_hh = (
            getattr(network, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        inputs, cell = torch.lstm_cell(inputs, (h, c), w_ih, w_hh, b_ih, b_hh)
        new_hidden.append(inputs)
        new_cells.append(cell)
    return torch.cat(new_hidden + new_cells, dim=1)


def _run(
    network: nn.LSTM | nn.GRU, inputs: Tensor, batch_sizes: Tensor, state: list[Tensor] | None, weights: list[Tensor]
) -> tuple[Tensor, ...]:
    """Outputs, and the states of all layers after the last steps; ``state`` None for zeros."""
    is_lstm = isinstance(network, nn.LSTM)
    if state is None:
        zeros = inputs.new_zeros(network.num_layers, int(batch_sizes[0]), network.hidden_size)
        state = [zeros, zeros] if is_lstm else [zeros]
    settings = (weights, True, network.num_layers, 0.0, network.training, False)
    if is_lstm:
        return torch.lstm(inputs, batch_sizes, state, *settings)
    return torch.gru(inputs, batch_sizes, state[0], *settings)


class _Lowered(torch.autograd.Function):
    """The weights of a network in a lower type, in one piece of memory where cuDNN wants it so."""

    @staticmethod
    def forward(ctx: Any, network: nn.LSTM | nn.GRU, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.dtype = weights[0].dtype
        lowered = [weight.to(dtype) for weight in weights]
        cudnn = torch.backends.cudnn.version() if lowered[0].is_cuda else None  # type: ignore[no-untyped-call]
        if cudnn is not None and cudnn >= _CUDNN_TAKES_BFLOAT16:
            mode = get_cudnn_mode(network.mode)  # type: ignore[no-untyped-call]
            sizes = (network.hidden_size, 0, network.num_layers)
            torch._cudnn_rnn_flatten_weight(lowered, 4, network.input_size, mode, *sizes, False, False)
        return tuple(lowered)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(gradient.to(ctx.dtype) for gradient in gradients)
