"""Log-probabilities of chosen items under a softmax over a large catalogue, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_ELEMENTS = 2**26
"""Logits computed at a time (256 MB of float32)."""
FEW_ITEMS = 512
"""Up to so many items, PyTorch's softmax is the faster one on a CPU: 2 times at 50 items, 1.2 at 500, none at 5,000."""
_GPU_BLOCK_ELEMENTS = 2**29
"""The same on a GPU (2 GB): every block costs launches, and the largest batches should fit into one."""
_GPU_ROUND = 256
"""Rows that a GPU multiplies in a lower type come in multiples of this."""
_CACHED_ELEMENTS = 2**19
"""Numbers of float32 that stay in the cache while a lower type is turned into them and back (2 MB)."""


def chosen_log_probabilities(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    chosen: Tensor,
    rows: Tensor | None = None,
    *,
    block_elements: int | None = None,
    few_items: int = FEW_ITEMS,
) -> Tensor:
    """The logarithm of softmax(W h + b) at some items, without a table of all of them.

    Rows are worked on in blocks. Where all logits fit into one block, the backward pass uses what the forward pass
    has computed; where they do not, it computes each block again (four matrix products in place of three), so that
    memory is bounded whatever the number of rows.

    Args:
        hidden: h, [R, H].
        weight: W, [n, H].
        bias: b, [n].
        chosen: items, int64 [M].
        rows: the row of h that each item is chosen from, in ascending order, int64 [M]; when None, M = R and each row
            has one.
        block_elements: most logits that are kept at a time; what suits the device when None.
        few_items: catalogues up to this size go through PyTorch's own softmax, where a CPU works in the type of h and
            all logits fit into one block.

    Returns:
        [M], differentiable once in ``hidden``, ``weight`` and ``bias``; in the type of the weights, whatever type the
        products are taken in.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    # Under autocast, some of PyTorch's networks give numbers of a lower type, and sums of gradients need the full one.
    hidden = hidden.to(weight.dtype)
    if hidden.is_cuda and dtype != hidden.dtype:
        # Products in bfloat16 are planned for each shape, which takes longer than a launch: few shapes, planned once.
        hidden = F.pad(hidden, (0, 0, 0, -len(hidden) % _GPU_ROUND))
    if block_elements is None:
        block_elements = _GPU_BLOCK_ELEMENTS if hidden.is_cuda else BLOCK_ELEMENTS
    if rows is None:
        rows = torch.arange(len(hidden), device=hidden.device)
    in_one_block = len(hidden) * len(weight) <= block_elements
    if len(weight) <= few_items and in_one_block and dtype == hidden.dtype and device == "cpu":
        return F.linear(hidden, weight, bias).log_softmax(-1)[rows, chosen]
    block = max(1, block_elements // len(weight))
    result: Tensor = _ChosenLogProbabilities.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, chosen, rows, block, dtype
    )
    return result


class _ChosenLogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        chosen: Tensor,
        rows: Tensor,
        block_size: int,
        dtype: torch.dtype,
    ) -> Tensor:
        result, scale = bias.new_empty(len(chosen)), bias.new_empty(len(hidden))
        lower_weight = weight.to(dtype)
        exponentials = None
        for block, those in _blocks(len(hidden), block_size, rows):
            exponentials = _logits(hidden[block], lower_weight, bias)
            within, items = rows[those] - block.start, chosen[those]
            logits = exponentials[within, items]
            if dtype != bias.dtype:
                logits = logits.to(bias.dtype) + bias[items]
            top, scale[block] = _exponentials(exponentials, bias)
            result[those] = logits - top[within]
        result -= scale.log()[rows]
        kept = [exponentials] if len(hidden) <= block_size and exponentials is not None else []
        ctx.save_for_backward(hidden, weight, lower_weight, bias, chosen, rows, scale, *kept)
        ctx.block_size, ctx.dtype = block_size, dtype
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, lower_weight, bias, chosen, rows, scale, *kept = ctx.saved_tensors
        # The gradient of the logits is grad (one-hot - softmax), added up over a row's chosen items. The softmax part
        # is a product of all exponentials with the rows' factors, which go to the narrow side of each product; the
        # one-hot part touches the chosen items alone.
        factors = torch.zeros_like(scale).index_add_(0, rows, grad).div_(-scale)
        grad_hidden = torch.zeros_like(hidden).index_add_(0, rows, grad[:, None] * weight[chosen])
        grad_weight, grad_bias = None, torch.zeros_like(bias)
        for block, _ in _blocks(len(hidden), ctx.block_size, rows):
            if kept:
                exponentials = kept[0]
            else:
                exponentials = _logits(hidden[block], lower_weight, bias)
                _exponentials(exponentials, bias)
            scaled = (factors[block, None] * hidden[block]).to(ctx.dtype)
            grad_hidden[block] += factors[block, None] * (exponentials @ lower_weight).to(weight.dtype)
            if ctx.dtype == weight.dtype:
                grad_weight = (
                    exponentials.t() @ scaled if grad_weight is None else grad_weight.addmm_(exponentials.t(), scaled)
                )
                grad_bias.addmv_(exponentials.t(), factors[block])
            else:
                grad_weight = torch.zeros_like(weight) if grad_weight is None else grad_weight
                for items in _cached_slices(weight):
                    grad_weight[items] += exponentials[:, items].t() @ scaled
                grad_bias += exponentials.t() @ factors[block].to(ctx.dtype)
        if grad_weight is None:
            grad_weight = torch.zeros_like(weight)
        grad_weight.index_add_(0, chosen, grad[:, None] * hidden[rows])
        grad_bias.index_add_(0, chosen, grad)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def _blocks(number: int, size: int, rows: Tensor) -> Iterator[tuple[slice, slice]]:
    """Blocks of rows of h, and those of the chosen items that belong to them."""
    for first in range(0, number, size):
        last = min(first + size, number)
        if number <= size:
            yield slice(0, number), slice(0, len(rows))
        else:
            ends = torch.searchsorted(rows, torch.tensor([first, last], device=rows.device)).tolist()
            yield slice(first, last), slice(*ends)


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """W h + b, or W h alone where the weights have a lower type than the bias; [rows, n] in the type of the weights."""
    if weight.dtype == bias.dtype:
        return F.linear(hidden, weight, bias)
    return F.linear(hidden.to(weight.dtype), weight)


def _exponentials(logits: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Turn what :func:`_logits` gives into exp(logit - top) in place; the top and the sum of each row.

    Numbers of a lower type are worked on in the type of the bias; on a CPU some rows at a time, for its cache.
    """
    if logits.dtype == bias.dtype:
        top = logits.amax(1)
        return top, logits.sub_(top[:, None]).exp_().sum(1)
    if logits.is_cuda:
        return _exponentials_on_gpu(logits, bias)
    tops, sums = bias.new_empty(len(logits)), bias.new_empty(len(logits))
    for rows in _cached_slices(logits):
        exact = logits[rows].to(bias.dtype).add_(bias)
        tops[rows] = exact.amax(1)
        sums[rows] = exact.sub_(tops[rows, None]).exp_().sum(1)
        logits[rows] = exact
    return tops, sums


def _exponentials_on_gpu(logits: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The same for a lower type in half the passes over memory, with the log of the sum in place of the top."""
    exact = logits + bias
    logarithms = exact.log_softmax(1)
    torch.exp(logarithms, out=logits)
    return exact[:, 0] - logarithms[:, 0], bias.new_ones(len(logits))


def _cached_slices(matrix: Tensor) -> Iterator[slice]:
    """Slices of so many rows as stay in the cache of a CPU; on a GPU, of all rows."""
    number, width = matrix.shape
    size = max(1, number if matrix.is_cuda else _CACHED_ELEMENTS // width)
    for first in range(0, number, size):
        yield slice(first, first + size)
