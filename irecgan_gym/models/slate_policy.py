"""The agent's policy: a softmax over all items, and slates drawn from it without replacement (Eq 4)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.kernels.catalogue_softmax import chosen_log_probabilities
from irecgan_gym.kernels.low_precision import LoweredLinear
from irecgan_gym.kernels.sampling import sample_without_replacement
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.heads import QueryHead
from irecgan_gym.models.user_model import UserModel

_BLOCK_ELEMENTS = 2**22
"""Logits held at a time while slates are drawn (16 MB of float32: they stay in the cache)."""
_LOWER_BLOCK_ELEMENTS = 15 * 2**20
"""The same in bfloat16 (30 MB): its products want more rows, and weights are summed in smaller blocks anyway."""
_GPU_BLOCK_ELEMENTS = 2**28
"""The same on a GPU, in any precision (1 GB of float32): every block costs launches, and no cache holds one."""
_BLOCK_ROWS = 64
"""States served at a time at least: with fewer, reading the weights of a huge catalogue takes all the time."""


class CataloguePolicy(nn.Module, ABC):
    """pi(i in a_t | s_t): a softmax over the whole catalogue with a recurrent state over clicks.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items shown at a time, k.
    """

    encoder: RecurrentEncoder

    def __init__(self, num_items: int, slate_size: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.slate_size = slate_size

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised log-probabilities of all items; ``hidden`` [M, H] to [M, n]."""

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Log pi(i in a_t | s_t) of every item; ``hidden`` [M, H] to [M, n]."""
        return self.logits(hidden).log_softmax(-1)

    def start(self, num_sessions: int) -> Tensor:
        """States of new sessions, [B, S]."""
        return self.encoder.start(num_sessions)

    def observe(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` [B], ``state`` [B, S]."""
        return self.encoder.step(clicks, state)

    @torch.no_grad()
    def sample(self, state: Tensor, generator: torch.Generator, *, draws: int = 1) -> Tensor:
        """Slates drawn without replacement from Eq 4.

        Args:
            state: [B, S].
            generator: on the policy's device.
            draws: independent slates for each state.

        Returns:
            int64 [B * draws, k]; the slates of a state follow each other.
        """
        slates = [
            sample_without_replacement(logits, self.slate_size, generator, draws=draws)
            for logits in self._logits_in_blocks(state)
        ]
        return torch.cat(slates)

    @torch.no_grad()
    def top(self, state: Tensor) -> Tensor:
        """The k most probable items, the best first; int64 [B, k]."""
        return torch.cat([logits.topk(self.slate_size, dim=-1).indices for logits in self._logits_in_blocks(state)])

    def _logits_in_blocks(self, state: Tensor) -> Iterator[Tensor]:
        elements = _GPU_BLOCK_ELEMENTS if state.is_cuda else self._block_elements
        rows = max(_BLOCK_ROWS, elements // self.num_items)
        for hidden in torch.split(self.encoder.output(state), rows):
            yield self._passing_logits(hidden)

    def _passing_logits(self, hidden: Tensor) -> Tensor:
        """Logits that nobody keeps until the next ones are asked for."""
        return self.logits(hidden)

    @property
    def _block_elements(self) -> int:
        return _BLOCK_ELEMENTS


class SlatePolicy(CataloguePolicy):
    """pi(i in a_t | s_t) = softmax(W^a s_t + b^a).

    With an encoder that recalls touched items, the rows of W^a are the embeddings of the history and s_t is a query for
    them, so that items are recognised which training has never seen clicked.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items shown at a time, k.
        encoder: shape of the recurrent state.
    """

    def __init__(self, num_items: int, slate_size: int, encoder: EncoderConfig) -> None:
        super().__init__(num_items, slate_size)
        self.encoder = RecurrentEncoder(num_items, encoder)
        self.head: nn.Linear | SharedHead
        if encoder.recall:
            self.head = SharedHead(self.encoder)
        else:
            self.head = nn.Linear(encoder.hidden_size, num_items)  # W^a, b^a

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.encoder.embedding.weight.device

    def logits(self, hidden: Tensor) -> Tensor:
        """See :meth:`CataloguePolicy.logits`."""
        logits: Tensor = self.head(hidden)
        return logits

    @property
    def _block_elements(self) -> int:
        return _LOWER_BLOCK_ELEMENTS if self.head.weight.dtype == torch.bfloat16 else _BLOCK_ELEMENTS

    def _passing_logits(self, hidden: Tensor) -> Tensor:
        return self.head.passing(hidden) if isinstance(self.head, LoweredLinear) else self.logits(hidden)

    def click_log_probabilities(self, batch: StepBatch) -> Tensor:
        """Log pi(c_t in a_t | s_t) of the clicked items, 0 where the user left; [M] (differentiable)."""
        return self.log_probabilities_of_clicks(*self.encoder.distinct(batch), batch)

    def log_probabilities_of_clicks(self, hidden: Tensor, rows: Tensor, batch: StepBatch) -> Tensor:
        """The same from what :meth:`RecurrentEncoder.distinct` gives."""
        clicked = batch.clicks < self.num_items
        items = batch.clicks.where(clicked, 0)
        if isinstance(self.head, SharedHead):
            hidden = self.head.queries(hidden)
        chosen = chosen_log_probabilities(hidden, self.head.weight, self.head.bias, items, rows)
        return torch.where(clicked, chosen, 0.0)


class SharedHead(nn.Module):
    """Logits of all items by the embeddings that the history is read with: q(s_t)^T e(i) / sqrt(E) + b_i.

    Args:
        encoder: its embeddings are shared, not copied.
    """

    def __init__(self, encoder: RecurrentEncoder) -> None:
        super().__init__()
        self.query = QueryHead(encoder)
        self.bias = nn.Parameter(torch.empty(encoder.num_items))
        # In a tuple, for a module would be a child, and its parameters would be counted twice.
        self._encoder = (encoder,)

    def draw_parameters(self, generator: torch.Generator) -> None:
        """All items are alike at first; nothing is random."""
        self.bias.zero_()

    @property
    def weight(self) -> Tensor:
        """Embeddings of all items, [n, E]."""
        encoder = self._encoder[0]
        return encoder.embedding.weight[: encoder.num_items]

    def queries(self, hidden: Tensor) -> Tensor:
        """Scaled queries for outputs of the encoder; [M, H + E] to [M, E]."""
        query: Tensor = self.query(hidden)
        return query / math.sqrt(query.shape[-1])

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits of all items; [M, H + E] to [M, n]."""
        return F.linear(self.queries(hidden), self.weight, self.bias)


Ranking = Literal["click_and_reward", "click"]


class UserModelPolicy(CataloguePolicy):
    """pi(i in a_t | s_t) in proportion to p(click on i) p(reward of i), Eq 1 and 2 over all items at once.

    Args:
        user_model: its parameters are shared, not copied.
        slate_size: items shown at a time, k.
        ranking: ``"click_and_reward"``, or ``"click"`` to leave the reward out (the authors' code ranks by clicks).
    """

    def __init__(self, user_model: UserModel, slate_size: int, ranking: Ranking = "click_and_reward") -> None:
        if ranking not in ("click_and_reward", "click"):
            raise ValueError(f"ranking must be 'click_and_reward' or 'click', got {ranking!r}")
        super().__init__(user_model.config.num_items, slate_size)
        self.user_model = user_model
        self.encoder = user_model.encoder
        self.ranking = ranking

    def logits(self, hidden: Tensor) -> Tensor:
        """See :meth:`~irecgan_gym.models.slate_policy.CataloguePolicy.logits`."""
        clicks = self.user_model.catalogue_click_logits(hidden)
        if self.ranking == "click":
            return clicks
        return clicks + self.user_model.catalogue_reward_logits(hidden).sigmoid().log()
