"""Log-probabilities of chosen items under a softmax over a large catalogue, in bounded memory."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_ELEMENTS = 2**25
"""Logits computed at a time (128 MB of float32)."""


def chosen_log_probabilities(
    hidden: Tensor, weight: Tensor, bias: Tensor, chosen: Tensor, *, block_elements: int = BLOCK_ELEMENTS
) -> Tensor:
    """The logarithm of softmax(W h + b) at some items of each row, without a table of all of them.

    Rows are worked on in blocks. Where all logits fit into one block, the backward pass uses what the forward pass
    has computed; where they do not, it computes each block again (four matrix products in place of three), so that
    memory is bounded whatever the number of rows.

    Args:
        hidden: h, [M, H].
        weight: W, [n, H].
        bias: b, [n].
        chosen: items, int64 [M], or several of each row, [M, K].
        block_elements: most logits that are kept at a time.

    Returns:
        Of the shape of ``chosen``, differentiable once in ``hidden``, ``weight`` and ``bias``.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    rows = max(1, block_elements // len(weight))
    result: Tensor = _ChosenLogProbabilities.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, chosen if chosen.ndim == 2 else chosen.unsqueeze(1), rows, dtype
    )
    return result.view(chosen.shape)


class _ChosenLogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, chosen: Tensor, rows: int, dtype: torch.dtype
    ) -> Tensor:
        result = bias.new_empty(chosen.shape)
        lower_weight = weight.to(dtype)
        scales, exponentials = [], None
        for first in range(0, len(hidden), rows):
            block = slice(first, first + rows)
            exponentials = _logits(hidden[block], lower_weight, bias, dtype)
            top = exponentials.amax(1)
            result[block] = exponentials.gather(1, chosen[block]) - top[:, None]
            scales.append(_exponentials(exponentials, top))
        scale = torch.cat(scales) if scales else bias.new_empty(0)
        result -= scale.log()[:, None]
        kept = [exponentials] if len(hidden) <= rows and exponentials is not None else []
        ctx.save_for_backward(hidden, weight, bias, chosen, scale, *kept)
        ctx.rows, ctx.dtype = rows, dtype
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, chosen, scale, *kept = ctx.saved_tensors
        lower_weight = weight.to(ctx.dtype)
        # The gradient of the logits is grad (one-hot - softmax), added up over the chosen items. The softmax part is a
        # product of all exponentials with the rows' factors, which go to the narrow side of each product; the one-hot
        # part touches the chosen items alone.
        factors = -grad.sum(1) / scale
        grad_hidden = torch.bmm(grad[:, None], weight[chosen]).squeeze(1)
        grad_weight, grad_bias = None, torch.zeros_like(bias)
        for first in range(0, len(hidden), ctx.rows):
            block = slice(first, first + ctx.rows)
            if kept:
                exponentials = kept[0]
            else:
                exponentials = _logits(hidden[block], lower_weight, bias, ctx.dtype)
                _exponentials(exponentials, exponentials.amax(1))
            lower = exponentials.to(ctx.dtype)
            scaled = (factors[block, None] * hidden[block]).to(ctx.dtype)
            grad_hidden[block] += factors[block, None] * (lower @ lower_weight).to(weight.dtype)
            if grad_weight is None:
                grad_weight = (lower.t() @ scaled).to(weight.dtype)
            elif ctx.dtype == weight.dtype:
                grad_weight.addmm_(lower.t(), scaled)
            else:
                grad_weight += (lower.t() @ scaled).to(weight.dtype)
            grad_bias.addmv_(exponentials.t(), factors[block])
        if grad_weight is None:
            grad_weight = torch.zeros_like(weight)
        grad_weight.index_add_(0, chosen.flatten(), (grad[:, :, None] * hidden[:, None]).flatten(0, 1))
        grad_bias.index_add_(0, chosen.flatten(), grad.flatten())
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """W h + b in the type of the bias, [rows, n]."""
    if dtype == bias.dtype:
        return F.linear(hidden, weight, bias)
    return F.linear(hidden.to(dtype), weight).to(bias.dtype).add_(bias)


def _exponentials(logits: Tensor, top: Tensor) -> Tensor:
    """Turn logits into exp(logit - top) in place; their sums, [rows]."""
    return logits.sub_(top[:, None]).exp_().sum(1)
