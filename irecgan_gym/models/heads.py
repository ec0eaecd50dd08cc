"""Queries that score candidates by dot products with their embeddings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.models.encoder import RecurrentEncoder


class QueryHead(nn.Linear):
    """W s_t + b, and what the encoder recalls (Eq 1: W^c, b^c).

    Args:
        encoder: its outputs are what :meth:`forward` takes, its embeddings what the queries are for.
    """

    def __init__(self, encoder: RecurrentEncoder) -> None:
        super().__init__(encoder.config.hidden_size, encoder.config.embedding_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Queries [M, E] from outputs of the encoder, [M, H] or with a memory [M, H + E]."""
        query = super().forward(hidden[:, : self.in_features])
        recalled = hidden[:, self.in_features :]
        return query + recalled if recalled.shape[1] else query


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
    return candidate_products(queries / math.sqrt(queries.shape[-1]), embeddings, candidates)


def candidate_products(queries: Tensor, embeddings: Tensor, candidates: Tensor) -> Tensor:
    """Dot products of each query with its own candidates' embeddings; arguments as of :func:`candidate_scores`."""
    if embeddings.shape[0] <= 8 * candidates.shape[1]:
        # With few items one matrix product over all of them is cheaper than collecting K vectors a step.
        return (queries @ embeddings.T).gather(1, candidates).to(embeddings.dtype)
    # The gradient of F.embedding is far cheaper than that of indexing.
    return torch.bmm(F.embedding(candidates, embeddings), queries.unsqueeze(-1)).squeeze(-1).to(embeddings.dtype)


# The term has few numbers, and every step informs them: stored so much smaller, they learn so much faster.
_RATE = 20.0


class PositionTerm(nn.Module):
    """A number for each place of a slate, added to the click logit of the item shown there.

    Real users look at the first places more than at others, whatever stands there. A user model that is told so does
    not take the old ranker's order for the users' taste.

    Args:
        num_positions: places that have a number of their own; later ones share the last.
    """

    def __init__(self, num_positions: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty(num_positions))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """All places are alike at first; nothing is random."""
        self.scores.zero_()

    def forward(self, num_positions: int) -> Tensor:
        """The term of the first places of a slate, [num_positions]."""
        places = torch.arange(num_positions, device=self.scores.device).clamp_(max=len(self.scores) - 1)
        return self.scores[places] * _RATE
