"""Draws from logits with an explicit generator."""

from __future__ import annotations

import torch
from torch import Tensor


def gumbel_top_k(logits: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Draw k different categories without replacement, in the order drawn.

    Adding independent Gumbel noise and taking the k largest is the same as drawing one category from the softmax,
    removing it, drawing the next from what is left, and so on.

    Args:
        logits: unnormalised log-probabilities; -inf for what must not be drawn; [..., n].
        k: how many; at most n.
        generator: on the device of ``logits``.

    Returns:
        Category numbers, int64 [..., k].
    """
    noise = torch.empty_like(logits, dtype=torch.float32).exponential_(generator=generator)
    return (logits - noise.log()).topk(k, dim=-1).indices


def categorical(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one category of each row; ``logits`` [..., n] to int64 [...]."""
    noise = torch.empty_like(logits, dtype=torch.float32).exponential_(generator=generator)
    return (logits - noise.log()).argmax(dim=-1)


def bernoulli(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw 0.0 or 1.0 with the given probabilities of 1."""
    return torch.bernoulli(probabilities, generator=generator)
