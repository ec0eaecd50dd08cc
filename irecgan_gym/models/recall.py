"""Memory of the items that a user has touched, which lets items be recognised that training has never seen."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.models.batches import StepBatch, StepEvents

# What a memory keeps of an item while the user touches one more: the last few items, and the whole session.
_FIRST_DECAYS = (0.1, 0.5)
# The few numbers of a memory are informed by every step; stored so much smaller, they learn so much faster than
# embeddings, of which a step informs a handful.
_RATE = 20.0


class RecallMemory(nn.Module):
    """Decaying sums of the embeddings of touched items, m <- decay m + gain e(item), one for each of R decays.

    Added to the query that scores candidates by dot products with the same embeddings, it raises the items that the
    user has touched. This needs no training of an item's embedding: those of different items are nearly orthogonal
    from the start. The memories are one tensor [B, R * E].

    Args:
        embedding_size: E.
        embedding_std: standard deviation of the first embeddings; gains of 1 make logits of about 1.
    """

    def __init__(self, embedding_size: int, embedding_std: float) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        # Scores are divided by sqrt(E), and an embedding times itself is about E std^2.
        self._unit = 1 / (math.sqrt(embedding_size) * embedding_std**2)
        self.decay_log_odds = nn.Parameter(torch.empty(len(_FIRST_DECAYS)))
        self.click_gains = nn.Parameter(torch.empty(len(_FIRST_DECAYS)))
        self.event_gains = nn.Parameter(torch.empty(len(_FIRST_DECAYS)))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Start with gains of 1; nothing is random."""
        self.decay_log_odds.copy_(self.decay_log_odds.new_tensor(_FIRST_DECAYS).logit() / _RATE)
        self.click_gains.fill_(1 / _RATE)
        self.event_gains.fill_(1 / _RATE)

    @property
    def size(self) -> int:
        """Width R * E of the memories."""
        return len(_FIRST_DECAYS) * self.embedding_size

    def query(self, memory: Tensor) -> Tensor:
        """What the memories add to a query; [B, R * E] to [B, E]."""
        return self._split(memory).sum(-2) * self._unit

    def step(self, memory: Tensor, clicks: Tensor, table: Tensor) -> Tensor:
        """Memories after one more click, [B, R * E].

        Args:
            memory: [B, R * E].
            clicks: int64 [B]; the last row of the table is "no click", which is not remembered.
            table: embeddings, [n + 1, E].
        """
        touched = (clicks < len(table) - 1).to(memory.dtype)[:, None]
        decays, gains = self._decays() ** touched, self.click_gains * _RATE * touched
        return (self._split(memory) * decays[..., None] + gains[..., None] * table[clicks][:, None]).flatten(1)

    def forward(self, batch: StepBatch, table: Tensor, events: StepEvents | None) -> Tensor:
        """Memories before every click of some sessions, [M, R * E], in the order of the batch.

        Args:
            batch: whole sessions.
            table: embeddings, [n + 1, E].
            events: the other items touched between clicks, or None.
        """
        clicks = batch.previous_clicks
        touched = (clicks < len(table) - 1).to(table.dtype)[:, None]
        log_decays = self._decays().log()
        # The click before comes first, then the events: they fade it by their number.
        count = 0 if events is None else events.counts[:, None].to(table.dtype)
        click_weights = self.click_gains * _RATE * touched * torch.exp(log_decays * count)
        written = click_weights[..., None] * F.embedding(clicks, table)[:, None]
        if events is not None:
            weights = self.event_gains * _RATE * torch.exp(log_decays * events.ages[:, None].to(table.dtype))
            written = written + torch.stack([events.sums(table, weight) for weight in weights.unbind(1)], dim=1)
        fading = torch.exp(log_decays * (touched + count))[..., None]
        memory = written.new_zeros(batch.num_sessions, *written.shape[1:])
        memories, first = [], 0
        for size in batch.batch_sizes.tolist():
            rows = slice(first, first + size)
            memory = memory[:size] * fading[rows] + written[rows]
            memories.append(memory)
            first += size
        return torch.cat(memories).flatten(1)

    def _decays(self) -> Tensor:
        return (self.decay_log_odds * _RATE).sigmoid()

    def _split(self, memory: Tensor) -> Tensor:
        return memory.view(-1, len(_FIRST_DECAYS), self.embedding_size)
