"""PyTorch's recurrent networks, as GPUs like them: over packed sessions, and one step of an LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def packed_rnn(network: nn.LSTM | nn.GRU, inputs: Tensor, batch_sizes: Tensor) -> Tensor:
    """Outputs of a recurrent network for whole sessions, with zero initial states.

    On a GPU, autocast would run these networks in float16, whatever type it was asked for: numbers that bfloat16 holds
    overflow there. They stay in the type of their weights instead: hundreds of small launches take the time, not the
    products, and casts would add to them.

    Args:
        network: unidirectional, without dropout or projections.
        inputs: [M, I] in the order of :class:`torch.nn.utils.rnn.PackedSequence`.
        batch_sizes: sessions that have a t-th step, int64 [T], on the CPU. Where the first of them is 1, all sessions
            begin with that one row, as in :func:`~irecgan_gym.kernels.packed_lstm.packed_lstm`.

    Returns:
        The top layer's outputs, [M, H], in the type of the weights.
    """
    dtype = next(network.parameters()).dtype
    num_sessions = int(batch_sizes[1]) if len(batch_sizes) > 1 else 1
    with torch.autocast("cuda", enabled=False):
        inputs = inputs.to(dtype)
        if num_sessions <= int(batch_sizes[0]):
            return _run(network, inputs, batch_sizes, None)[0].to(dtype)
        # The first step of all sessions once; its state is then that of each.
        first, state = _first_step(network, inputs[:1], batch_sizes[:1])
        spread = [part.expand(-1, num_sessions, -1).contiguous() for part in state]
        outputs, *_ = _run(network, inputs[1:], batch_sizes[1:], spread)
        return torch.cat([first.to(dtype), outputs.to(dtype)])


def lstm_cells(network: nn.LSTM, inputs: Tensor, state: Tensor) -> Tensor:
    """One step of an LSTM, all layers; as :func:`~irecgan_gym.kernels.packed_lstm.lstm_step`, but differentiable."""
    width, layers = network.hidden_size, network.num_layers
    parts = torch.split(state, width, dim=1)
    hidden: list[Tensor] = []
    cells: list[Tensor] = []
    for layer, (h, c) in enumerate(zip(parts[:layers], parts[layers:], strict=True)):
        w_ih, w_hh, b_ih, b_hh = (
            getattr(network, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        inputs, cell = torch.lstm_cell(inputs, (h, c), w_ih, w_hh, b_ih, b_hh)
        hidden.append(inputs)
        cells.append(cell)
    return torch.cat(hidden + cells, dim=1)


def _first_step(network: nn.LSTM | nn.GRU, inputs: Tensor, batch_sizes: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output and states of one session after its first step: [1, H], and [L, 1, H] each."""
    if isinstance(network, nn.GRU):
        first, *state = _run(network, inputs, batch_sizes, None)
        return first, state
    # Cells take a fraction of the launches that the whole network takes for a single step.
    width, layers = network.hidden_size, network.num_layers
    cells = lstm_cells(network, inputs, inputs.new_zeros(1, 2 * layers * width)).view(2, layers, 1, width)
    return cells[0, -1], [cells[0], cells[1]]


def _run(
    network: nn.LSTM | nn.GRU, inputs: Tensor, batch_sizes: Tensor, state: list[Tensor] | None
) -> tuple[Tensor, ...]:
    """Outputs, and the states of all layers after the last steps; ``state`` None for zeros."""
    is_lstm = isinstance(network, nn.LSTM)
    if state is None:
        zeros = inputs.new_zeros(network.num_layers, int(batch_sizes[0]), network.hidden_size)
        state = [zeros, zeros] if is_lstm else [zeros]
    weights: list[Tensor] = list(network._flat_weights)  # type: ignore[arg-type]
    settings = (weights, True, network.num_layers, 0.0, network.training, False)
    if is_lstm:
        return torch.lstm(inputs, batch_sizes, state, *settings)
    return torch.gru(inputs, batch_sizes, state[0], *settings)
