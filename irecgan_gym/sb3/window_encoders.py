"""Encoders of windows of embedded clicks, oldest first: recurrent, averaging, attending.

All take the embeddings, [B, H, E], and where the window holds a click, bool [B, H], and give [B, F].
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

EncoderKind = Literal["gru", "mean", "attention"]


class WindowRecurrentEncoder(nn.Module):
    """The last hidden state of a GRU.

    Args:
        embedding_size: E.
        size: of the result, F.
    """

    def __init__(self, embedding_size: int, size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(embedding_size, size, batch_first=True)

    def forward(self, embedded: Tensor, clicked: Tensor) -> Tensor:
        """Encode windows; places without a click are read too, by the embedding of "no click"."""
        hidden: Tensor = self.gru(embedded)[1]
        return hidden[0]


class MeanEncoder(nn.Module):
    """A layer over the mean of the clicks, whatever their order.

    Args:
        embedding_size: E.
        size: of the result, F.
    """

    def __init__(self, embedding_size: int, size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(embedding_size, size)

    def forward(self, embedded: Tensor, clicked: Tensor) -> Tensor:
        """Encode windows."""
        return torch.relu(self.layer(masked_mean(embedded, clicked)))


class AttentionEncoder(nn.Module):
    """A layer over a weighted mean of the clicks; weights come from the items and from how long ago they were.

    Args:
        embedding_size: E.
        size: of the result, F.
        length: of the window, H.
    """

    def __init__(self, embedding_size: int, size: int, length: int) -> None:
        super().__init__()
        self.item_weight = nn.Linear(embedding_size, 1, bias=False)
        self.place_weight = nn.Parameter(torch.zeros(length))
        self.layer = nn.Linear(embedding_size, size)

    def forward(self, embedded: Tensor, clicked: Tensor) -> Tensor:
        """Encode windows."""
        logits = self.item_weight(embedded)[..., 0] + self.place_weight
        # A finite number, so that windows without any click give numbers too; their weights are then set to 0.
        weights = logits.masked_fill(~clicked, torch.finfo(logits.dtype).min).softmax(dim=1) * clicked
        return torch.relu(self.layer((weights[..., None] * embedded).sum(dim=1)))


def make_encoder(kind: EncoderKind, embedding_size: int, size: int, length: int) -> nn.Module:
    """The encoder of a kind.

    Raises:
        ValueError: there is no such kind.
    """
    if kind == "gru":
        return WindowRecurrentEncoder(embedding_size, size)
    if kind == "mean":
        return MeanEncoder(embedding_size, size)
    if kind == "attention":
        return AttentionEncoder(embedding_size, size, length)
    raise ValueError(f"encoder must be 'gru', 'mean' or 'attention', got {kind!r}")


def masked_mean(embedded: Tensor, mask: Tensor) -> Tensor:
    """Mean over the places of [B, H, E] where the mask [B, H] is True; zeros where it is nowhere, [B, E]."""
    weights = mask.to(embedded.dtype)[..., None]
    return (embedded * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
