"""An LSTM for the CPU, over packed sessions or one step: PyTorch's own function in about half the time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def packed_lstm(network: nn.LSTM, inputs: Tensor, batch_sizes: Tensor) -> Tensor:
    """Outputs of an LSTM for whole sessions, with zero initial states.

    PyTorch's own LSTM leaves its backward pass over packed sequences to autograd, which takes the gradient of every
    weight matrix again at each step. Here a step of the backward pass is one matrix product and a few element-wise
    operations; the weights' gradients are one product over all steps at the end.

    Args:
        network: unidirectional, without dropout or projections; its parameters are used.
        inputs: [M, I] in the order of :class:`torch.nn.utils.rnn.PackedSequence`.
        batch_sizes: sessions that have a t-th step, int64 [T]. Where the first of them is 1, all sessions begin with
            that one row: their first steps have the same input, and need to be computed only once.

    Returns:
        The top layer's outputs, [M, H].
    """
    sizes: list[int] = batch_sizes.tolist()
    output = inputs
    for layer in range(network.num_layers):
        weights = (getattr(network, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        output = _Layer.apply(output, *weights, sizes)  # type: ignore[no-untyped-call]
    return output


def lstm_step(network: nn.LSTM, inputs: Tensor, state: Tensor) -> Tensor:
    """One step of an LSTM, all layers, in place where that is possible: not to be differentiated.

    Args:
        network: as for :func:`packed_lstm`.
        inputs: [B, I].
        state: the hidden states of all layers and then their cell states, [B, 2 * L * H].

    Returns:
        The new state, [B, 2 * L * H].
    """
    width, layers = network.hidden_size, network.num_layers
    new = torch.empty_like(state)
    for layer in range(layers):
        hidden = slice(layer * width, (layer + 1) * width)
        cell = slice((layers + layer) * width, (layers + layer + 1) * width)
        w_ih, w_hh, b_ih, b_hh = (
            getattr(network, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        gates = torch.addmm(b_ih + b_hh, inputs, w_ih.t()).addmm_(state[:, hidden], w_hh.t())
        inputs = apply_gates(gates, state[:, cell], new[:, cell], new[:, hidden])
    return new


def apply_gates(gates: Tensor, cell: Tensor, new_cell: Tensor, new_hidden: Tensor) -> Tensor:
    """Cell c = f c_{t-1} + i g and output h = o tanh(c), from the pre-activations of the gates.

    Args:
        gates: [B, 4 H]; overwritten.
        cell: c_{t-1}, [B, H].
        new_cell: receives c.
        new_hidden: receives h.

    Returns:
        h.
    """
    width = cell.shape[1]
    gates[:, : 2 * width].sigmoid_()
    gates[:, 2 * width : 3 * width].tanh_()
    gates[:, 3 * width :].sigmoid_()
    i, f, g, o = gates.chunk(4, dim=1)
    torch.mul(i, g, out=new_cell).addcmul_(f, cell)
    return torch.tanh(new_cell, out=new_hidden).mul_(o)


class _Layer(torch.autograd.Function):
    """One layer. Gates stand in PyTorch's order: input i, forget f, cell g, output o.

    c_t = f c_{t-1} + i g and h_t = o tanh(c_t), the gates being functions of W x_t + R h_{t-1} + b.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, sizes: list[int]
    ) -> Tensor:
        """Outputs h, [M, H]."""
        width = w_hh.shape[1]
        dtype = _autocast_dtype(w_hh)
        gates = _product(x, w_ih.t(), dtype).add_(b_ih + b_hh)
        cell, hidden = gates.new_empty(len(x), width), gates.new_empty(len(x), width)
        recurrent = w_hh.t().to(dtype)
        first = before = 0
        for time, size in enumerate(sizes):
            now, earlier = slice(first, first + size), slice(before, min(before + size, first))
            gate = gates[now]
            if time > 0:
                gate += hidden[earlier].to(dtype) @ recurrent
            gate[:, : 2 * width].sigmoid_()
            gate[:, 2 * width : 3 * width].tanh_()
            gate[:, 3 * width :].sigmoid_()
            i, f, g, o = gate.chunk(4, dim=1)
            torch.mul(i, g, out=cell[now])
            if time > 0:
                # A first row that all sessions share is spread over those of the second step.
                cell[now].addcmul_(f, cell[earlier])
            torch.tanh(cell[now], out=hidden[now]).mul_(o)
            before, first = first, first + size
        ctx.save_for_backward(x, w_ih, w_hh, gates, cell, hidden)
        ctx.sizes, ctx.dtype = sizes, dtype
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, W, R and both biases."""
        x, w_ih, w_hh, gates, cell, hidden = ctx.saved_tensors
        sizes: list[int] = ctx.sizes
        dtype: torch.dtype = ctx.dtype
        recurrent = w_hh.to(dtype)
        width, started = cell.shape[1], sizes[0]
        previous = _previous_rows(sizes, cell.device)
        i, f, g, o = gates.chunk(4, dim=1)
        tanh_cell = cell.tanh()
        # What each gate's pre-activation does to the cell (i, f, g) or to the output (o), for all steps at once; the
        # loop only multiplies it by the gradient that comes back through time.
        grad_gates = gates * (1 - gates)
        grad_i, grad_f, grad_g, grad_o = grad_gates.chunk(4, dim=1)
        grad_i.mul_(g)
        grad_f[:started] = 0
        grad_f[started:].mul_(cell[previous])
        torch.mul(i, 1 - g * g, out=grad_g)
        grad_o.mul_(tanh_cell)
        grad_cells = o * (1 - tanh_cell * tanh_cell)

        by_gate = grad_gates.view(-1, 4, width)
        last = len(x)
        later_hidden = later_cell = None
        for time in range(len(sizes) - 1, -1, -1):
            now = slice(last - sizes[time], last)
            grad_hidden, grad_cell = grad_output[now], grad_cells[now]
            if later_hidden is not None:
                grad_hidden = grad_hidden.clone()
                grad_hidden[: len(later_hidden)] += later_hidden
            grad_cell.mul_(grad_hidden)
            if later_cell is not None:
                grad_cell[: len(later_cell)] += later_cell
            by_gate[now, :3] *= grad_cell.unsqueeze(1)
            by_gate[now, 3] *= grad_hidden
            if time > 0:
                later_cell, back = grad_cell.mul_(f[now]), grad_gates[now]
                if sizes[time - 1] < sizes[time]:
                    later_cell, back = later_cell.sum(0, keepdim=True), back.sum(0, keepdim=True)
                later_hidden = _product(back, recurrent, dtype)
            last = now.start
        grad_x = _product(grad_gates, w_ih, dtype) if ctx.needs_input_grad[0] else None
        grad_bias = grad_gates.sum(0)
        behind = grad_gates[started:]
        if len(sizes) > 1 and sizes[0] < sizes[1]:
            behind = torch.cat([behind[: sizes[1]].sum(0, keepdim=True), behind[sizes[1] :]])
            previous = previous[sizes[1] - 1 :]
        grad_recurrent = _product(behind.t(), hidden[previous], dtype)
        return grad_x, _product(grad_gates.t(), x, dtype), grad_recurrent, grad_bias, grad_bias, None


def _autocast_dtype(tensor: Tensor) -> torch.dtype:
    """Type in which matrices are multiplied: the tensor's own, or a lower one under autocast."""
    device = tensor.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tensor.dtype


def _product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrix product taken in ``dtype``, in the type of ``left``."""
    return (left.to(dtype) @ right.to(dtype)).to(left.dtype)


def _previous_rows(sizes: list[int], device: torch.device) -> Tensor:
    """The row of the step before, for every row but those of first steps."""
    rows, first = [], 0
    for size, following in pairwise(sizes):
        rows.append(torch.arange(first, first + following, device=device).clamp_(max=first + size - 1))
        first += size
    return torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64, device=device)
