"""The encoder of features that user model, policy and discriminator share, and what they make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.models.feature_inputs import FeatureInputs, feature_inputs, step_inputs
from irecgan_gym.models.feature_specs import FeatureScope, FeatureSpec
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.features import Columns

if TYPE_CHECKING:
    from irecgan_gym.models.batches import StepBatch

_NUM_CONTEXTS, _CONTEXT_STEPS = 256, 16
"""Sessions, and first steps of each, whose contexts a model remembers for simulated users."""
_WIDTH = 64


def specs_of(specs: tuple[FeatureSpec, ...], *scopes: FeatureScope) -> tuple[FeatureSpec, ...]:
    """The specs of some scopes."""
    return tuple(spec for spec in specs if spec.scope in scopes)


class FeatureEncoder(nn.Module):
    """Sum of the embeddings of categories and a linear map of numbers; what is unknown adds nothing at first.

    Args:
        specs: the features, in the order of the inputs.
        width: of the result.
        std: standard deviation of the first embeddings.
    """

    def __init__(self, specs: tuple[FeatureSpec, ...], width: int, std: float = 0.1) -> None:
        super().__init__()
        self.num_numbers = sum(spec.num_inputs for spec in specs)
        sizes = [len(spec.categories) + 1 for spec in specs if spec.kind == "category"]
        self._firsts = np.cumsum([0, *sizes])[:-1].tolist()
        self._std = std
        self.numbers = nn.Linear(self.num_numbers, width, bias=False) if self.num_numbers else None
        self.embedding = nn.Embedding(sum(sizes), width) if sizes else None

    @property
    def num_codes(self) -> int:
        """Number of categories of a thing."""
        return len(self._firsts)

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Draw the first embeddings; those of what is unknown are 0."""
        if self.embedding is not None:
            self.embedding.weight.normal_(0.0, self._std, generator=generator)
            self.embedding.weight[self._firsts] = 0.0

    def forward(self, inputs: FeatureInputs) -> Tensor:
        """Vectors of some things; [..., width]."""
        parts = []
        if self.numbers is not None:
            parts.append(self.numbers(inputs.numbers))
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
        self.numbers.zero_()
        self.codes.zero_()

    def take(self, sessions: Sessions) -> None:
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
        self.numbers.zero_()
        self.codes.zero_()
        self.known.zero_()

    def take(self, sessions: Sessions) -> None:
        """Remember the contexts of some sessions, as far apart from each other as they can be."""
        count = min(len(sessions), _NUM_CONTEXTS)
        chosen = sessions.select(np.linspace(0, len(sessions) - 1, count).round().astype(np.int64) if count else [])
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
        self.encoder = FeatureEncoder(specs, _WIDTH)
        self.hidden = nn.Linear(_WIDTH, _WIDTH)
        self.last = nn.Linear(_WIDTH, 1)
        self.direct = FeatureEncoder(specs, 1)
        self.register_buffer("usual", torch.empty(num_items + 1))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Nothing is known of how items are shown."""
        self.usual.zero_()

    def forward(self, inputs: FeatureInputs) -> Tensor:
        """The term of some entries; [..., ]."""
        hidden = F.relu(self.hidden(F.relu(self.encoder(inputs))))
        term: Tensor = self.last(hidden) + self.direct(inputs)
        return term.squeeze(-1)

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
    def take(self, sessions: Sessions) -> None:
        """Work out the mean term of each item over the entries of a log; that of items not shown is the mean of all."""
        inputs = feature_inputs(self.specs, sessions.features.entries, len(sessions.slate_items))
        device = self.usual.device
        parts = [
            self(FeatureInputs(numbers.to(device), codes.to(device))).cpu()
            for numbers, codes in zip(inputs.numbers.split(2**16), inputs.codes.split(2**16), strict=True)
        ]
        terms = torch.cat(parts) if parts else torch.zeros(0)
        items = torch.from_numpy(sessions.slate_items.astype(np.int64))
        sums, counts = torch.zeros(self.num_items), torch.zeros(self.num_items)
        sums.index_add_(0, items, terms)
        counts.index_add_(0, items, torch.ones_like(terms))
        means = torch.where(counts > 0, sums / counts.clamp(min=1), terms.mean() if len(terms) else 0.0)
        self.usual[:-1] = means.to(device)
