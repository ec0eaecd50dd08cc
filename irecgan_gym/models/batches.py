"""Sessions as packed batches of tensors: no padding between steps, and losses that weigh steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.models.feature_inputs import FeatureSource
from irecgan_gym.models.ranks import ALONE, Ranks
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class StepEvents:
    """Other items that users touched before the clicks of a batch's steps, V events of M steps, in the order of time.

    Attributes:
        items: int64 [V].
        ages: how many events of the same step came later; int64 [V].
        offsets: first event of each step; int64 [M].
        counts: events of each step; int64 [M].
    """

    items: Tensor
    ages: Tensor
    offsets: Tensor
    counts: Tensor

    def sums(self, table: Tensor, weights: Tensor) -> Tensor:
        """Weighted sum of the embeddings of each step's items; ``table`` [R, E], ``weights`` [V] to [M, E]."""
        return F.embedding_bag(self.items, table, self.offsets, mode="sum", per_sample_weights=weights)


@dataclass(frozen=True)
class StepBatch:
    """The steps of some sessions, in the order of :class:`torch.nn.utils.rnn.PackedSequence`.

    M steps of B sessions (longest first); all first steps, then all second steps and so on. Slates are padded to
    the longest of the batch, K; a padded place holds ``num_items`` and is False in ``slate_mask``.

    Attributes:
        steps: number of each step in the columns of the sessions; int64 [M].
        session_of_step: number of each step's session within the batch; int64 [M].
        batch_sizes: sessions that have a t-th step; int64 [longest], on the CPU as PyTorch wants it.
        previous_clicks: the click before, ``num_items`` at a session's start; int64 [M].
        clicks: int64 [M].
        rewards: float32 [M].
        slates: int64 [M, K].
        slate_mask: bool [M, K].
        numbers: number of each of the sessions, in the order of the batch; int64 [B], on the host.
        num_sessions: B.
        events: what else users touched; None where the sessions do not say.
        features: features of the entries and steps of all the sessions, for networks that take them in.
        skipped: whether nothing was clicked and the session went on; bool [M], or None where that never happened.
        share: share of the batch's loss that this process answers for; below 1 where others compute it too
            (see :class:`~irecgan_gym.models.ranks.Ranks`).
        weights: of the steps in the loss, where sessions on disk bring them along; float32 [M], or None.
    """

    steps: Tensor
    session_of_step: Tensor
    batch_sizes: Tensor
    previous_clicks: Tensor
    clicks: Tensor
    rewards: Tensor
    slates: Tensor
    slate_mask: Tensor
    numbers: NDArray[np.int64]
    num_sessions: int
    events: StepEvents | None = None
    features: FeatureSource | None = None
    skipped: Tensor | None = None
    share: float = 1.0
    weights: Tensor | None = None

    @property
    def next_rows(self) -> Tensor:
        """Row of the step that follows each step in its session, -1 after a session's last step; int64 [M]."""
        sizes = self.batch_sizes
        later = torch.cat([sizes[1:], sizes.new_zeros(1)])
        size, following, start = (
            column.repeat_interleave(sizes) for column in (sizes, later, torch.cumsum(sizes, 0) - sizes)
        )
        rows = torch.arange(len(self.clicks), device=sizes.device)
        # A session stands at the same place among the steps of every time.
        return torch.where(rows - start < following, rows + size, -1).to(self.clicks.device)


class SessionTensors:
    """The columns of some sessions on a device, ready to be cut into batches.

    Args:
        sessions: the logged sessions.
        leave_option: whether every slate gets one more alternative, "no click" (the user leaves; c_end of §5).
        device: where batches live.
    """

    def __init__(self, sessions: Sessions, *, leave_option: bool, device: torch.device | str = "cpu") -> None:
        self.sessions = sessions
        self.device = torch.device(device)
        self._leave_option = leave_option
        self._starts = sessions.offsets[:-1]
        self._lengths = sessions.lengths
        # Sizes are known to the host too: to ask a GPU for them is to wait until it has done all that it was given.
        self._slate_sizes = sessions.slate_lengths

        def tensor(column: NDArray[np.generic], dtype: torch.dtype) -> Tensor:
            # torch.tensor copies: the columns of Sessions are read-only.
            return torch.tensor(column, dtype=dtype, device=self.device)

        self._previous_clicks = tensor(sessions.previous_clicks, torch.int64)
        self._clicks = tensor(sessions.clicks, torch.int64)
        self._rewards = tensor(sessions.rewards, torch.float32)
        self._slate_items = tensor(sessions.slate_items, torch.int64)
        self._slate_starts = tensor(sessions.slate_offsets[:-1], torch.int64)
        self._slate_lengths = tensor(sessions.slate_lengths, torch.int64)
        self._features = FeatureSource(sessions, self.device)
        skipped = sessions.skipped
        self._skipped = tensor(skipped, torch.bool) if skipped.any() else None
        self._event_items: Tensor | None = None
        if sessions.event_offsets is not None and sessions.event_items is not None:
            self._event_items = tensor(sessions.event_items, torch.int64)
            self._event_starts = tensor(sessions.event_offsets[:-1], torch.int64)
            self._event_sizes = np.diff(sessions.event_offsets)
            self._event_counts = tensor(self._event_sizes, torch.int64)

    def batch(self, numbers: NDArray[np.int64]) -> StepBatch:
        """The sessions with the given numbers as one batch."""
        ordered = numbers[np.argsort(-self._lengths[numbers], kind="stable")]
        lengths = self._lengths[ordered]
        time = np.arange(lengths[0])[:, None]
        present = time < lengths
        places = (self._starts[ordered] + time)[present]
        steps = on_device(places, self.device)
        session_of_step = np.broadcast_to(np.arange(len(ordered)), present.shape)[present]
        slates, slate_mask = self._slates(steps, int(self._slate_sizes[places].max()))
        return StepBatch(
            steps=steps,
            session_of_step=on_device(session_of_step, self.device),
            batch_sizes=torch.from_numpy(present.sum(axis=1)),
            previous_clicks=self._previous_clicks[steps],
            clicks=self._clicks[steps],
            rewards=self._rewards[steps],
            slates=slates,
            slate_mask=slate_mask,
            numbers=ordered,
            num_sessions=len(ordered),
            events=None if self._event_items is None else self._events(steps, int(self._event_sizes[places].sum())),
            features=self._features,
            skipped=None if self._skipped is None else self._skipped[steps],
        )

    def _slates(self, steps: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        lengths = self._slate_lengths[steps]
        places = torch.arange(longest + self._leave_option, device=self.device)
        mask = places < lengths[:, None]
        entries = (self._slate_starts[steps, None] + places).clamp_(max=len(self._slate_items) - 1)
        slates = torch.where(mask, self._slate_items[entries], self.sessions.num_items)
        if self._leave_option:
            # The place behind a slate's last item is the alternative "no click", whose id padding holds already.
            mask = places < lengths[:, None] + 1
        return slates, mask

    def _events(self, steps: Tensor, number: int) -> StepEvents:
        assert self._event_items is not None
        counts = self._event_counts[steps]
        ends = torch.cumsum(counts, 0)
        # The events of the steps, one step's behind the other's, counted from their end.
        last = (ends - 1).repeat_interleave(counts, output_size=number)
        ages = last - torch.arange(number, device=self.device)
        starts = (self._event_starts[steps] + counts - 1).repeat_interleave(counts, output_size=number)
        return StepEvents(self._event_items[starts - ages], ages, ends - counts, counts)

    def all(self, batch_size: int) -> Iterator[StepBatch]:
        """Every session once, in the order of the columns."""
        for first in range(0, len(self.sessions), batch_size):
            yield self.batch(np.arange(first, min(first + batch_size, len(self.sessions))))

    def shuffled(self, batch_size: int, generator: np.random.Generator, ranks: Ranks = ALONE) -> Iterator[StepBatch]:
        """Every session once, in random order; where several processes train together, this one's part of each batch.

        Batches are drawn at random and not by length: the length of a session depends on what happened in it.
        """
        order = generator.permutation(len(self.sessions))
        for first in range(0, len(order), batch_size):
            part, share = ranks.part(order[first : first + batch_size])
            yield replace(self.batch(part), share=share)

    @property
    def num_steps(self) -> int:
        """Steps of all sessions."""
        return self.sessions.num_steps

    def mean_steps(self, batch_size: int) -> float:
        """Expected number of steps of a batch: the constant that a batch's summed loss is divided by.

        A mean over each batch's own steps would give the steps of short sessions more weight than those of long
        ones; a constant weighs every step of the log alike.
        """
        return self.sessions.num_steps / len(self.sessions) * min(batch_size, len(self.sessions))


def on_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """An array as a tensor on a device; a GPU is not waited for until it has done what it was given before."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
