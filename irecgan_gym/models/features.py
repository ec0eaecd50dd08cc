"""The encoder of features that user model, policy and discriminator share, and what they make of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.models.feature_inputs import FeatureInputs, feature_inputs, step_inputs
from irecgan_gym.models.feature_specs import UNKNOWN_NUMBER, FeatureScope, FeatureSpec
from irecgan_gym.sessions.dataset import SessionLog, in_memory, parts_of
from irecgan_gym.sessions.features import Columns

if TYPE_CHECKING:
    from irecgan_gym.models.batches import StepBatch

_NUM_CONTEXTS, _CONTEXT_STEPS = 256, 16
"""Sessions, and first steps of each, whose contexts a model remembers for simulated users."""
_WIDTH = 64
_AT_ONCE = 2**13
_CLIP = 5.0
"""Standardised numbers are cut there."""


def specs_of(specs: tuple[FeatureSpec, ...], *scopes: FeatureScope) -> tuple[FeatureSpec, ...]:
    """The specs of some scopes."""
    return tuple(spec for spec in specs if spec.scope in scopes)


class NumberInputs(nn.Module):
    """Numbers of features as a linear layer can use them: standardised, with what is known, and by intervals.

    Args:
        specs: the features, in the order of the numbers; categories have none.
    """

    center: Tensor
    scale: Tensor
    feature: Tensor
    source: Tensor
    low: Tensor
    length: Tensor

    def __init__(self, specs: tuple[FeatureSpec, ...]) -> None:
        super().__init__()
        self._specs = [spec for spec in specs if spec.kind != "category"]
        self.num_features = len(self._specs)
        self.width = sum(spec.width for spec in self._specs)
        num_intervals = sum(max(0, len(spec.edges) - 1) for spec in self._specs)
        self.num_inputs = self.width + self.num_features + num_intervals
        for name, size in (("center", self.width), ("scale", self.width), ("low", num_intervals)):
            self.register_buffer(name, torch.empty(size))
        self.register_buffer("length", torch.empty(num_intervals))
        # Of each interval, and of each feature, the number that it is of.
        self.register_buffer("source", torch.empty(num_intervals, dtype=torch.int64))
        self.register_buffer("feature", torch.empty(self.num_features, dtype=torch.int64))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Take what the specs say; nothing is random."""
        firsts = np.cumsum([0, *(spec.width for spec in self._specs)])[:-1]
        edges = [np.array(spec.edges) for spec in self._specs]
        for buffer, values in (
            (self.center, [value for spec in self._specs for value in spec.center]),
            (self.scale, [value for spec in self._specs for value in spec.scale]),
            (self.low, [value for of_spec in edges for value in of_spec[:-1]]),
            (self.length, [value for of_spec in edges for value in np.diff(of_spec)]),
            (self.source, np.repeat(firsts, [max(0, len(of_spec) - 1) for of_spec in edges])),
            (self.feature, firsts),
        ):
            buffer.copy_(torch.from_numpy(np.asarray(values, dtype=np.float64)))

    def forward(self, numbers: Tensor) -> Tensor:
        """Inputs for a linear layer, 0 where unknown; [..., width] to [..., num_inputs]."""
        known = numbers > UNKNOWN_NUMBER
        values = numbers.masked_fill(~known, 0.0)
        standard = ((values - self.center) / self.scale).clamp(-_CLIP, _CLIP) * known
        passed = ((values[..., self.source] - self.low) / self.length).clamp(0.0, 1.0) * known[..., self.source]
        return torch.cat([standard, known[..., self.feature].to(numbers.dtype), passed], dim=-1)


class FeatureEncoder(nn.Module):
    """Sum of the embeddings of categories and a linear map of numbers; what is unknown adds nothing at first.

    Args:
        specs: the features, in the order of the inputs.
        width: of the result.
        std: standard deviation of the first embeddings.
    """

    def __init__(self, specs: tuple[FeatureSpec, ...], width: int, std: float = 0.1) -> None:
        super().__init__()
        inputs = NumberInputs(specs)
        sizes = [len(spec.categories) + 1 for spec in specs if spec.kind == "category"]
        self.num_numbers, self.num_codes = inputs.width, len(sizes)
        self._firsts = np.cumsum([0, *sizes])[:-1].tolist()
        self._std = std
        self.inputs = inputs if inputs.width else None
        self.numbers = nn.Linear(inputs.num_inputs, width, bias=False) if inputs.width else None
        self.embedding = nn.Embedding(sum(sizes), width) if sizes else None

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Draw the first embeddings; those of what is unknown are 0."""
        if self.embedding is not None:
            self.embedding.weight.normal_(0.0, self._std, generator=generator)
            self.embedding.weight[self._firsts] = 0.0

    def forward(self, inputs: FeatureInputs) -> Tensor:
        """Vectors of some things; [..., width]."""
        parts = []
        if self.numbers is not None and self.inputs is not None:
            parts.append(self.numbers(self.inputs(inputs.numbers)))
        if self.embedding is not None:
            rows = inputs.codes + inputs.codes.new_tensor(self._firsts)
            parts.append(self.embedding(rows).sum(-2))
        result: Tensor = sum(parts[1:], parts[0])
        return result


class ItemFeatures(nn.Module):
    """Features of all items of the catalogue, as vectors that are added to their embeddings.

    Args:
        num_items: n.
        specs: all of items.
        width: E.
        std: standard deviation of the first embeddings of categories.
    """

    numbers: Tensor
    codes: Tensor

    def __init__(self, num_items: int, specs: tuple[FeatureSpec, ...], width: int, std: float) -> None:
        super().__init__()
        self.specs, self.num_items = specs, num_items
        self.encoder = FeatureEncoder(specs, width, std)
        self.register_buffer("numbers", torch.empty(num_items, self.encoder.num_numbers))
        self.register_buffer("codes", torch.empty(num_items, self.encoder.num_codes, dtype=torch.int64))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Nothing is known of the items at first."""
        self.numbers.fill_(UNKNOWN_NUMBER)
        self.codes.zero_()

    def take(self, sessions: SessionLog) -> None:
        """Take the features of the items of a log."""
        self.take_items(sessions.features.items)

    def take_items(self, columns: Columns) -> None:
        """Take the features of the items of a catalogue."""
        inputs = feature_inputs(self.specs, columns, self.num_items)
        self.numbers.copy_(inputs.numbers)
        self.codes.copy_(inputs.codes)

    def forward(self) -> Tensor:
        """Vectors of all items, and zeros for "no click"; [n + 1, E]."""
        return F.pad(self.encoder(FeatureInputs(self.numbers, self.codes)), (0, 0, 0, 1))


class StepFeatures(nn.Module):
    """Features of steps and of users, as vectors that are added to what the RNN reads before a click.

    It remembers the contexts of some logged sessions: a simulated user has those of one of them, its last one from the
    end of that session on. Policies that do not know the context of a simulated user take it as unknown.

    Args:
        specs: of steps and users.
        width: E.
        std: standard deviation of the first embeddings of categories.
    """

    numbers: Tensor
    codes: Tensor
    known: Tensor

    def __init__(self, specs: tuple[FeatureSpec, ...], width: int, std: float) -> None:
        super().__init__()
        self.specs = specs
        self.encoder = FeatureEncoder(specs, width, std)
        size = (_NUM_CONTEXTS + 1, _CONTEXT_STEPS)  # The last one is "unknown".
        self.register_buffer("numbers", torch.empty(*size, self.encoder.num_numbers))
        self.register_buffer("codes", torch.empty(*size, self.encoder.num_codes, dtype=torch.int64))
        self.register_buffer("known", torch.empty((), dtype=torch.int64))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """No context is known at first."""
        self.numbers.fill_(UNKNOWN_NUMBER)
        self.codes.zero_()
        self.known.zero_()

    def take(self, sessions: SessionLog) -> None:
        """Remember the contexts of some sessions, as far apart from each other as they can be."""
        count = min(len(sessions), _NUM_CONTEXTS)
        numbers = np.linspace(0, len(sessions) - 1, count).round().astype(np.int64)
        chosen = in_memory(sessions.select(numbers))
        inputs = step_inputs(self.specs, chosen)
        steps = np.minimum(np.arange(_CONTEXT_STEPS), chosen.lengths[:, None] - 1) + chosen.offsets[:-1, None]
        rows = torch.from_numpy(steps)
        self.numbers[:count] = inputs.numbers[rows].to(self.numbers.device)
        self.codes[:count] = inputs.codes[rows].to(self.codes.device)
        self.known.fill_(count)

    def draw(self, number: int, generator: torch.Generator) -> Tensor:
        """Contexts of new users, float [number, 2]: the session, and the step that comes next."""
        uniform = torch.rand(number, generator=generator, device=self.numbers.device)
        session = (uniform * self.known).floor().clamp(max=(self.known - 1).clamp(min=0))
        session = torch.where(self.known > 0, session, _NUM_CONTEXTS)
        return torch.stack([session, torch.zeros_like(session)], dim=1)

    def unknown(self, number: int) -> Tensor:
        """Contexts of users of whom nothing is known, float [number, 2]."""
        return self.numbers.new_tensor([float(_NUM_CONTEXTS), 0.0]).repeat(number, 1)

    def at(self, contexts: Tensor) -> Tensor:
        """Vectors of the steps that come next; [B, 2] to [B, E]."""
        session = contexts[:, 0].long()
        step = contexts[:, 1].long().clamp(max=_CONTEXT_STEPS - 1)
        vectors: Tensor = self.encoder(FeatureInputs(self.numbers[session, step], self.codes[session, step]))
        return vectors

    def forward(self, inputs: FeatureInputs) -> Tensor:
        """Vectors of some logged steps; [M, E]."""
        vectors: Tensor = self.encoder(inputs)
        return vectors


class EntryTerm(nn.Module):
    """A number for each entry of a slate, by its features, that is added to its logit: a small network.

    Slates that come from no log, as in simulation, have no features: an item then counts as it was shown in the log on
    average. Features that depend on the session, such as listwise ones, are for lists that were logged.

    Args:
        num_items: n.
        specs: all of entries.
    """

    usual: Tensor

    def __init__(self, num_items: int, specs: tuple[FeatureSpec, ...]) -> None:
        super().__init__()
        self.specs, self.num_items = specs, num_items
        # The last of its numbers is a term by itself, as of an additive model.
        self.encoder = FeatureEncoder(specs, _WIDTH + 1)
        self.hidden = nn.Linear(_WIDTH, _WIDTH)
        self.last = nn.Linear(_WIDTH, 1)
        self.register_buffer("usual", torch.empty(num_items + 1))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Nothing is known of how items are shown."""
        self.usual.zero_()

    def forward(self, inputs: FeatureInputs) -> Tensor:
        """The term of some entries; [..., ]."""
        encoded = self.encoder(inputs)
        hidden = F.relu(self.hidden(F.relu(encoded[..., :_WIDTH])))
        term: Tensor = self.last(hidden).squeeze(-1) + encoded[..., _WIDTH]
        return term

    def of_candidates(self, candidates: Tensor, batch: StepBatch | None) -> Tensor:
        """The term of the candidates of some steps, 0 for "no click"; ids [M, K] to [M, K].

        Args:
            candidates: item ids, n for "no click".
            batch: logged steps whose slates they are; None for any others.
        """
        if batch is None or batch.features is None:
            return self.usual[candidates]
        terms: Tensor = self(batch.features.entries(self.specs, batch.steps, candidates.shape[1]))
        return terms * (candidates < self.num_items)

    @torch.no_grad()
    def take(self, sessions: SessionLog) -> None:
        """Work out the mean term of each item over the entries of a log; that of items not shown is the mean of all."""
        device = self.usual.device
        sums, counts = torch.zeros(self.num_items), torch.zeros(self.num_items)
        total, number = 0.0, 0
        for inputs, items in self._entries(sessions):
            terms = self(FeatureInputs(inputs.numbers.to(device), inputs.codes.to(device))).cpu()
            sums.index_add_(0, items, terms)
            counts.index_add_(0, items, torch.ones_like(terms))
            total, number = total + float(terms.sum(dtype=torch.float64)), number + len(terms)
        means = torch.where(counts > 0, sums / counts.clamp(min=1), total / max(number, 1))
        self.usual[:-1] = means.to(device)

    def _entries(self, sessions: SessionLog) -> Iterator[tuple[FeatureInputs, Tensor]]:
        """Yield the features and items of all entries, as many at a time wherever the parts of the log end.

        Products of matrices of other sizes may differ in the last bit.
        """
        numbers, codes = torch.zeros(0, self.encoder.num_numbers), torch.zeros(0, self.encoder.num_codes).long()
        items = torch.zeros(0, dtype=torch.int64)
        for part in parts_of(sessions):
            inputs = feature_inputs(self.specs, part.features.entries, len(part.slate_items))
            numbers, codes = torch.cat([numbers, inputs.numbers]), torch.cat([codes, inputs.codes])
            items = torch.cat([items, torch.from_numpy(part.slate_items.astype(np.int64))])
            full = len(items) // _AT_ONCE * _AT_ONCE
            for start in range(0, full, _AT_ONCE):
                these = slice(start, start + _AT_ONCE)
                yield FeatureInputs(numbers[these], codes[these]), items[these]
            numbers, codes, items = numbers[full:], codes[full:], items[full:]
        if len(items):
            yield FeatureInputs(numbers, codes), items
