"""Queries that score candidates by dot products with their embeddings."""

from __future__ import annotations

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
