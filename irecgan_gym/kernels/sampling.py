"""Draws from logits with an explicit generator."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 64
"""Categories whose weights are summed first where there are many."""
_CACHED_WEIGHTS = 2**19
"""Weights held at a time while they are summed (2 MB of float32)."""


@torch.no_grad()
def sample_without_replacement(logits: Tensor, k: int, generator: torch.Generator, *, draws: int = 1) -> Tensor:
    """Draw k different categories, in the order drawn: one from the softmax, the next from what is left, and so on.

    This is the distribution of the Gumbel top-k trick, which needs noise for every category. Here categories are drawn
    with replacement by inversion of the cumulative weights, and the first k different ones are kept: an item that was
    drawn before says nothing about the next. Where a few items hold most of the weight, the draws go on without those
    taken.

    Args:
        logits: unnormalised log-probabilities; -inf for what must not be drawn; [B, n]. Weights are taken in float32
            where these are of a lower type.
        k: how many; at most n.
        generator: on the device of ``logits``.
        draws: independent draws of k from each row, so that its weights are summed only once.

    Returns:
        Category numbers, int64 [B * draws, k]; the draws of a row follow each other.

    Raises:
        ValueError: a row has fewer than k categories above -inf.
    """
    if len(logits) == 0:
        return torch.empty(0, k, dtype=torch.int64, device=logits.device)
    rows = torch.arange(len(logits), device=logits.device).repeat_interleave(draws)
    drawn = _with_replacement(logits, draws * _attempts(k), generator).view(len(rows), -1)
    chosen, found = _first_different(drawn, k)
    while True:
        short = (found < k).nonzero().squeeze(1)
        if len(short) == 0:
            return chosen
        taken = torch.arange(k, device=logits.device) < found[short, None]
        left = logits[rows[short]]
        left.scatter_(1, chosen[short].where(taken, chosen[short, :1]), -torch.inf)
        more = _with_replacement(left, _attempts(k), generator)
        # Places not filled yet hold what is drawn now; what was taken cannot be drawn again.
        continued, total = _first_different(torch.cat([chosen[short].where(taken, chosen[short, :1]), more], dim=1), k)
        chosen[short], found[short] = continued, total


def _attempts(k: int) -> int:
    """Draws with replacement that hold k different categories in most cases."""
    return k + k // 2 + 4


def _with_replacement(logits: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Independent draws from the softmax of each row; [B, n] to int64 [B, number]."""
    size = logits.shape[1]
    in_blocks = size > _BLOCK**2 // 4
    top, sums = _block_sums(logits) if in_blocks else _weights(logits)
    if not bool(torch.isfinite(top).all()):
        raise ValueError("there are fewer categories to draw than asked for: the others have logits of -inf")
    uniform = torch.rand(len(logits), number, dtype=torch.float64, generator=generator, device=logits.device)
    blocks, rest = _invert(sums.cumsum(1, dtype=torch.float64), uniform)
    if not in_blocks:
        return blocks
    # Blocks were chosen by their sums; only the blocks that were chosen are summed item by item. The last one may be
    # cut short: it is read with items of the block before, which then count for nothing.
    starts = (blocks * _BLOCK).clamp_(max=size - _BLOCK)
    firsts = starts + size * torch.arange(len(logits), device=logits.device).unsqueeze(1)
    chosen = logits.reshape(-1).unfold(0, _BLOCK, 1)[firsts.flatten()].view(*blocks.shape, _BLOCK)
    inside = (chosen.to(top.dtype) - top.unsqueeze(2)).exp_()
    if size % _BLOCK != 0:
        before = (blocks * _BLOCK - starts).unsqueeze(2)
        inside.masked_fill_(torch.arange(_BLOCK, device=logits.device) < before, 0.0)
    # The sums of blocks were rounded to the type of the weights, so the rest is scaled to the exact sum.
    places, _ = _invert(inside.cumsum(2).flatten(0, 1), rest.view(-1, 1))
    return starts + places.view_as(blocks)


def _weights(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The largest logit of each row, [B, 1], and exp(logit - largest), [B, n], both in float32 at least."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    top = exact.amax(1, keepdim=True)
    return top, (exact - top).exp_()


def _block_sums(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The same with the weights summed over blocks of categories; a few rows at a time, for the cache of a CPU."""
    number, size = logits.shape
    whole = size - size % _BLOCK
    dtype = torch.promote_types(logits.dtype, torch.float32)
    tops = logits.new_empty(number, 1, dtype=dtype)
    sums = logits.new_empty(number, -(-size // _BLOCK), dtype=dtype)
    rows = number if logits.is_cuda else max(1, min(number, _CACHED_WEIGHTS // size))
    # One piece of memory for all weights: asking the system for new pages takes longer than the arithmetic.
    held = logits.new_empty(rows, size, dtype=dtype)
    for first in range(0, number, rows):
        those = slice(first, first + rows)
        weights = held[: len(logits[those])].copy_(logits[those])
        top = torch.amax(weights, 1, keepdim=True, out=tops[those])
        weights.sub_(top).exp_()
        torch.sum(weights[:, :whole].view(len(weights), -1, _BLOCK), 2, out=sums[those, : whole // _BLOCK])
        if whole < size:
            torch.sum(weights[:, whole:], 1, out=sums[those, -1])
    return tops, sums


def _invert(cumulative: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The place where each uniform number falls, and how far within that place's share, again in [0, 1); [B, D]."""
    total, uniform = cumulative[:, -1:], uniform.to(cumulative.dtype)
    # Below the total whatever rounding does, so that the place found has a share.
    threshold = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    places = torch.searchsorted(cumulative, threshold, right=True)
    ends = cumulative.gather(1, places)
    starts = cumulative.gather(1, (places - 1).clamp_(min=0)).masked_fill_(places == 0, 0.0)
    rest = (threshold - starts) / (ends - starts)
    return places, rest.clamp_(0.0, 1.0)


def _first_different(drawn: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The first k different values of each row in their order, and how many there are (at most k).

    Args:
        drawn: [B, D].
        k: how many are wanted.

    Returns:
        int64 [B, k], with undefined values behind the last found, and int64 [B].
    """
    in_order, order = drawn.sort(dim=1, stable=True)
    is_new = torch.ones_like(drawn, dtype=torch.bool)
    # The stable order lists equal values as they were drawn: every one but the first is a repeat.
    is_new.scatter_(1, order[:, 1:], in_order[:, 1:] != in_order[:, :-1])
    rank = is_new.cumsum(1)
    # Values that are not wanted go to a place behind the others, which is cut off.
    place = torch.where(is_new & (rank <= k), rank - 1, k)
    chosen = drawn.new_zeros(len(drawn), k + 1).scatter_(1, place, drawn)[:, :k]
    return chosen, rank[:, -1].clamp(max=k)


def categorical(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one category of each row; ``logits`` [..., n] to int64 [...]."""
    noise = torch.empty_like(logits, dtype=torch.float32).exponential_(generator=generator)
    return (logits - noise.log()).argmax(dim=-1)


def bernoulli(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw 0.0 or 1.0 with the given probabilities of 1."""
    return torch.bernoulli(probabilities, generator=generator)
