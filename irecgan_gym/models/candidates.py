"""Products of a query with the embeddings of candidate items."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def candidate_scores(queries: Tensor, embeddings: Tensor, candidates: Tensor) -> Tensor:
    """Scaled dot products of each query with its own candidates' embeddings.

    The product is divided by sqrt(E), so that logits start near unit size at any embedding width (the mean over E
    that the authors' code takes makes them tiny).

    Args:
        queries: [M, E].
        embeddings: the whole table, [R, E].
        candidates: rows of the table, int64 [M, K].

    Returns:
        Scores, [M, K], in the type of the table, whatever type the products are taken in.
    """
    scaled = queries / math.sqrt(queries.shape[-1])
    if embeddings.shape[0] <= 8 * candidates.shape[1]:
        # With few items one matrix product over all of them is cheaper than collecting K vectors a step.
        return (scaled @ embeddings.T).gather(1, candidates).to(embeddings.dtype)
    # The gradient of F.embedding is far cheaper than that of indexing.
    return torch.bmm(F.embedding(candidates, embeddings), scaled.unsqueeze(-1)).squeeze(-1).to(embeddings.dtype)
