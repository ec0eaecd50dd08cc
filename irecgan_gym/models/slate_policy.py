"""The agent's policy: a softmax over all items, and slates drawn from it without replacement (Eq 4)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.kernels.catalogue_softmax import chosen_log_probabilities
from irecgan_gym.kernels.low_precision import LoweredLinear
from irecgan_gym.kernels.sampling import sample_without_replacement
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.features import EntryTerm, specs_of
from irecgan_gym.models.heads import QueryHead, candidate_products
from irecgan_gym.models.user_model import UserModel

_BLOCK_ELEMENTS = 2**22
"""Logits held at a time while slates are drawn (16 MB of float32: they stay in the cache)."""
_LOWER_BLOCK_ELEMENTS = 15 * 2**20
"""The same in bfloat16 (30 MB): its products want more rows, and weights are summed in smaller blocks anyway."""
_GPU_BLOCK_ELEMENTS = 2**28
"""The same on a GPU, in any precision (1 GB of float32): every block costs launches, and no cache holds one."""
_BLOCK_ROWS = 64
"""States served at a time at least: with fewer, reading the weights of a huge catalogue takes all the time."""


Excluded = Sequence[NDArray[np.int64]]
"""Items that must not be shown, for each session an array of different ids."""


def without(logits: Tensor, excluded: Excluded) -> None:
    """Make items impossible, in place: their logits become -inf; ``logits`` [B, n], ``excluded`` of B arrays."""
    counts = torch.tensor([len(items) for items in excluded])
    if int(counts.sum()):
        rows = torch.arange(len(excluded)).repeat_interleave(counts).to(logits.device)
        logits[rows, torch.from_numpy(np.concatenate(excluded)).to(logits.device)] = -torch.inf


def prefix_log_probabilities(logits: Tensor, slates: Tensor) -> Tensor:
    """Log-probability that a slate drawn without replacement begins with the first l items, for l = 1..k.

    Args:
        logits: unnormalised log-probabilities of all items, [B, n]; -inf for what is never shown.
        slates: different items, int64 [B, k].

    Returns:
        float64 [B, k].
    """
    chosen = logits.gather(1, slates).double()
    others = logits.scatter(1, slates, -torch.inf)
    # Finite even where nothing is left, or the differences would be no numbers.
    peak = others.amax(1, keepdim=True).clamp(min=torch.finfo(others.dtype).min)
    rest = (others - peak).exp().sum(1, keepdim=True, dtype=torch.float64).log() + peak.double()
    # Summed from the last draw backwards: nothing is subtracted, so that nothing cancels.
    left = torch.cat([rest, chosen.flip(1)], dim=1).logcumsumexp(1)[:, 1:].flip(1)
    return (chosen - left).cumsum(1).clamp(max=0.0)


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

    def list_scores(self, hidden: Tensor, batch: StepBatch) -> Tensor:
        """Score of each entry of logged slates, any number where the slate is shorter; ``hidden`` [M, H] to [M, K]."""
        return self.log_probabilities(hidden).gather(1, batch.slates.where(batch.slate_mask, 0))

    def start(self, num_sessions: int) -> Tensor:
        """States of new sessions, [B, S]."""
        return self.encoder.start(num_sessions)

    def observe(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` [B], ``state`` [B, S]."""
        return self.encoder.step(clicks, state)

    @torch.no_grad()
    def sample(
        self,
        state: Tensor,
        generator: torch.Generator,
        *,
        draws: int = 1,
        slate_size: int | None = None,
        excluded: Excluded | None = None,
    ) -> Tensor:
        """Slates drawn without replacement from Eq 4.

        Args:
            state: [B, S].
            generator: on the policy's device.
            draws: independent slates for each state.
            slate_size: k; the policy's own when None.
            excluded: items that must not be shown, an array for each state; none when None.

        Returns:
            int64 [B * draws, k]; the slates of a state follow each other.
        """
        size = self.slate_size if slate_size is None else slate_size
        slates = [
            sample_without_replacement(logits, size, generator, draws=draws)
            for logits in self._logits_in_blocks(state, excluded)
        ]
        return torch.cat(slates)

    @torch.no_grad()
    def top(self, state: Tensor, *, slate_size: int | None = None, excluded: Excluded | None = None) -> Tensor:
        """The k most probable items, the best first; int64 [B, k]. See :meth:`sample` for the arguments."""
        size = self.slate_size if slate_size is None else slate_size
        return torch.cat([logits.topk(size, dim=-1).indices for logits in self._logits_in_blocks(state, excluded)])

    @torch.no_grad()
    def prefix_log_probabilities(self, state: Tensor, slates: Tensor, *, excluded: Excluded | None = None) -> Tensor:
        """Log-probability that a sampled slate begins with the first l items, for l = 1..k; float64 [B, k].

        Args:
            state: [B, S].
            slates: different items, none of them excluded, int64 [B, k].
            excluded: see :meth:`sample`.
        """
        first, found = 0, []
        for logits in self._logits_in_blocks(state, excluded):
            found.append(prefix_log_probabilities(logits, slates[first : first + len(logits)]))
            first += len(logits)
        return torch.cat(found)

    def _logits_in_blocks(self, state: Tensor, excluded: Excluded | None = None) -> Iterator[Tensor]:
        elements = _GPU_BLOCK_ELEMENTS if state.is_cuda else self._block_elements
        rows = max(_BLOCK_ROWS, elements // self.num_items)
        first = 0
        for hidden in torch.split(self.encoder.output(state), rows):
            logits = self._passing_logits(hidden)
            if excluded is not None:
                without(logits, excluded[first : first + len(logits)])
            first += len(logits)
            yield logits

    def _passing_logits(self, hidden: Tensor) -> Tensor:
        """Logits that nobody keeps until the next ones are asked for."""
        return self.logits(hidden)

    @property
    def _block_elements(self) -> int:
        return _BLOCK_ELEMENTS


class SlatePolicy(CataloguePolicy):
    """pi(i in a_t | s_t) = softmax(W^a s_t + b^a).

    With an encoder that recalls touched items, the rows of W^a are the embeddings of the history and s_t is a query for
    them, so that items are recognised which training has never seen clicked. So it is with features of items, which are
    part of the embeddings.

    With features of entries, the policy learns to rank lists that were shown: the softmax of its log-probabilities runs
    over the slate of the step, and features of its entries count.

    Args:
        num_items: size of the catalogue, n.
        slate_size: items shown at a time, k.
        encoder: shape of the recurrent state.
    """

    def __init__(self, num_items: int, slate_size: int, encoder: EncoderConfig) -> None:
        super().__init__(num_items, slate_size)
        self.encoder = RecurrentEncoder(num_items, encoder)
        self.head: nn.Linear | SharedHead
        of_entries = specs_of(encoder.features, "entries")
        if encoder.recall or self.encoder.item_features is not None:
            self.head = SharedHead(self.encoder)
        else:
            self.head = nn.Linear(encoder.hidden_size, num_items)  # W^a, b^a
        self.entries = EntryTerm(num_items, of_entries) if of_entries else None

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.encoder.embedding.weight.device

    def logits(self, hidden: Tensor) -> Tensor:
        """See :meth:`CataloguePolicy.logits`."""
        logits: Tensor = self.head(hidden)
        return logits if self.entries is None else logits + self.entries.usual[:-1]

    def list_scores(self, hidden: Tensor, batch: StepBatch) -> Tensor:
        """See :meth:`CataloguePolicy.list_scores`; with features of entries, log-probabilities among the slate."""
        if self.entries is None:
            return super().list_scores(hidden, batch)
        return self._list_logits(hidden, batch).log_softmax(-1)

    def _list_logits(self, hidden: Tensor, batch: StepBatch) -> Tensor:
        """Logits of the entries of logged slates by their features, -inf where there is none; [M, K]."""
        assert self.entries is not None
        queries = self.head.queries(hidden) if isinstance(self.head, SharedHead) else hidden
        mask = batch.slate_mask & (batch.slates < self.num_items)
        items = batch.slates.where(mask, 0)
        logits = (
            candidate_products(queries, self.head.weight, items) + F.embedding(items, self.head.bias[:, None])[..., 0]
        )
        return (logits + self.entries.of_candidates(batch.slates, batch)).masked_fill(~mask, -torch.inf)

    @property
    def _block_elements(self) -> int:
        return _LOWER_BLOCK_ELEMENTS if self.head.weight.dtype == torch.bfloat16 else _BLOCK_ELEMENTS

    def _passing_logits(self, hidden: Tensor) -> Tensor:
        if isinstance(self.head, LoweredLinear) and self.entries is None:
            return self.head.passing(hidden)
        return self.logits(hidden)

    def click_log_probabilities(self, batch: StepBatch) -> Tensor:
        """Log pi(c_t in a_t | s_t) of the clicked items, 0 where nothing was clicked; [M] (differentiable)."""
        return self.log_probabilities_of_clicks(*self.encoder.distinct(batch), batch)

    def log_probabilities_of_clicks(self, hidden: Tensor, rows: Tensor, batch: StepBatch) -> Tensor:
        """The same from what :meth:`RecurrentEncoder.distinct` gives."""
        clicked = batch.clicks < self.num_items
        items = batch.clicks.where(clicked, 0)
        if self.entries is not None:
            logs = self._list_logits(F.embedding(rows, hidden), batch).log_softmax(-1)
            place = (batch.slates == batch.clicks[:, None]).int().argmax(1, keepdim=True)
            return torch.where(clicked, logs.gather(1, place).squeeze(1), 0.0)
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
        return encoder.table[: encoder.num_items]

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

    Where rewards are not 0 or 1, the expected reward takes the place of its probability.

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
        return clicks + self.user_model.catalogue_log_rewards(hidden)

    def list_scores(self, hidden: Tensor, batch: StepBatch) -> Tensor:
        """See :meth:`CataloguePolicy.list_scores`; features of entries count as they were in the log."""
        scores = super().list_scores(hidden, batch)
        entries = self.user_model.entries
        if entries is None:
            return scores
        slates = batch.slates
        return scores - entries.of_candidates(slates, None) + entries.of_candidates(slates, batch)
