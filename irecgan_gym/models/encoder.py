"""The recurrent state over clicks, s_t = h(s_{t-1}, e_{t-1}) (§4 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.kernels.gpu_rnn import lstm_cells, packed_rnn
from irecgan_gym.kernels.low_precision import LoweredLSTM
from irecgan_gym.kernels.packed_lstm import lstm_step, packed_lstm
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.feature_specs import FeatureSpec
from irecgan_gym.models.features import ItemFeatures, StepFeatures, specs_of
from irecgan_gym.models.recall import RecallMemory
from irecgan_gym.settings import Layers, Positive, Width, check_settings


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of a recurrent encoder.

    Attributes:
        cell: ``"lstm"`` or ``"gru"``.
        num_layers: stacked recurrent layers.
        hidden_size: width of the hidden state, H.
        embedding_size: width of the item embeddings, E.
        embedding_std: standard deviation of the first embeddings. The authors' code draws them from N(0, 1); small
            ones start the user model near a uniform choice, which fits held-out clicks better.
        events: whether other items that the user touched between clicks (``Sessions.event_items``) are part of the
            history. Where sessions hold none, and in simulated ones, there are just none.
        recall: whether a memory of the embeddings of touched items goes past the RNN to where candidates are scored,
            see :class:`~irecgan_gym.models.recall.RecallMemory`. For logs whose items are mostly new.
        features: features of items, of entries of slates, of steps and of users that are taken into account, see
            :func:`~irecgan_gym.models.feature_specs.feature_specs`; none by default.
    """

    cell: Literal["lstm", "gru"] = "lstm"
    num_layers: Layers = 1
    hidden_size: Width = 64
    embedding_size: Width = 50
    embedding_std: Positive = 0.1
    events: bool = False
    recall: bool = False
    features: tuple[FeatureSpec, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        places = [(spec.scope, spec.name) for spec in self.features]
        if len(set(places)) < len(places):
            raise ValueError(f"features must differ from each other, got {places}")


# Weight of an event in the RNN's input against the next one of the same step.
_EVENT_DECAY = 0.5


class RecurrentEncoder(nn.Module):
    """Item embeddings and an RNN over the clicks of a session.

    The embedding table has ``num_items + 1`` rows: the last one is "no click", which starts every history.

    A *state* is one tensor [B, S] that holds all a session's recurrent layers, so that sessions are selected,
    repeated (branched) and overwritten by plain indexing of its first dimension.
    """

    def __init__(self, num_items: int, config: EncoderConfig) -> None:
        super().__init__()
        self.num_items = num_items
        self.config = config
        self.embedding = nn.Embedding(num_items + 1, config.embedding_size)
        network = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.rnn = network(config.embedding_size, config.hidden_size, config.num_layers)
        self.event_input = (
            nn.Linear(config.embedding_size, config.embedding_size, bias=False) if config.events else None
        )
        self.memory = RecallMemory(config.embedding_size, config.embedding_std) if config.recall else None
        items, steps = specs_of(config.features, "items"), specs_of(config.features, "steps", "users")
        size, std = config.embedding_size, config.embedding_std
        self.item_features = ItemFeatures(num_items, items, size, std) if items else None
        self.step_features = StepFeatures(steps, size, std) if steps else None

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Draw the first embeddings (see :func:`~irecgan_gym.models.building.build`)."""
        self.embedding.weight.normal_(0.0, self.config.embedding_std, generator=generator)

    @property
    def state_size(self) -> int:
        """Width S of a state: all layers' hidden states, their cell states for an LSTM, the memory, and the context."""
        return self._context_start + (0 if self.step_features is None else 2)

    @property
    def _context_start(self) -> int:
        """Place in a state where the context stands."""
        return self._recurrent_size + (0 if self.memory is None else self.memory.size)

    @property
    def table(self) -> Tensor:
        """Embeddings of all items, with what their features add, and of "no click" at the end; [n + 1, E]."""
        weight: Tensor = self.embedding.weight
        return weight if self.item_features is None else weight + self.item_features()

    def embedded(self, items: Tensor) -> Tensor:
        """Embeddings of some items, with what their features add; ids of any shape to [..., E]."""
        if self.item_features is None:
            vectors: Tensor = self.embedding(items)
            return vectors
        return F.embedding(items, self.table)

    @property
    def _recurrent_size(self) -> int:
        return self._parts * self.config.num_layers * self.config.hidden_size

    @property
    def _parts(self) -> int:
        """Tensors a layer carries: an LSTM has a cell state beside the hidden state."""
        return 2 if self.config.cell == "lstm" else 1

    def forward(self, batch: StepBatch) -> Tensor:
        """The output s_t before each step's click, for whole sessions at once; [M, H] in the order of the batch.

        With a memory, what is recalled stands behind s_t: [M, H + E].
        """
        if batch.clicks.is_cuda and self.memory is None:
            # Where launches take the time, repetitions are cheaper than what it takes to leave them out.
            return self._packed(self._inputs(batch), batch.batch_sizes)
        outputs, rows = self.distinct(batch)
        return F.embedding(rows, outputs)

    def distinct(self, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """The same without repetitions: all sessions begin with the same state, which is computed once.

        Returns:
            Outputs [R, H], and the row of each step's s_t among them, ascending, int64 [M].
        """
        of_steps = self.step_features is not None
        if self.memory is not None or of_steps or (self.event_input is not None and batch.events is not None):
            outputs = self._packed(self._inputs(batch), batch.batch_sizes)
            if self.memory is not None:
                events = batch.events if self.config.events else None
                recalled = self.memory.query(self.memory(batch, self.table, events))
                outputs = torch.cat([outputs, recalled.to(outputs.dtype)], dim=1)
            return outputs, torch.arange(len(batch.clicks), device=batch.clicks.device)
        # A GRU on the CPU, which nothing here speeds up, keeps the repetitions.
        if isinstance(self.rnn, nn.GRU) and not batch.clicks.is_cuda:
            outputs = self._packed(self.embedded(batch.previous_clicks), batch.batch_sizes)
            return outputs, torch.arange(len(batch.clicks), device=batch.clicks.device)
        started = batch.num_sessions - 1
        sizes = torch.cat([batch.batch_sizes.new_ones(1), batch.batch_sizes[1:]])
        outputs = self._packed(self.embedded(batch.previous_clicks[started:]), sizes)
        return outputs, (torch.arange(len(batch.clicks), device=batch.clicks.device) - started).clamp_(min=0)

    def _inputs(self, batch: StepBatch) -> Tensor:
        """Return the inputs of the RNN, [M, E]: the click before each step and, where they count, the events since.

        Features of the step and its user are added.
        """
        inputs: Tensor = self.embedded(batch.previous_clicks)
        if self.step_features is not None and batch.features is not None:
            inputs = inputs + self.step_features(batch.features.steps(self.step_features.specs, batch.steps))
        if self.event_input is None or batch.events is None:
            return inputs
        weights = _EVENT_DECAY ** batch.events.ages.to(inputs.dtype)
        projected: Tensor = self.event_input(batch.events.sums(self.table, weights))
        return inputs + projected

    def _packed(self, inputs: Tensor, batch_sizes: Tensor) -> Tensor:
        """Outputs of the RNN for whole sessions, [M, H]."""
        if isinstance(self.rnn, nn.LSTM) and not inputs.is_cuda:
            return packed_lstm(self.rnn, inputs, batch_sizes)
        assert isinstance(self.rnn, (nn.LSTM, nn.GRU))
        return packed_rnn(self.rnn, inputs, batch_sizes)

    def initial_state(self, num_sessions: int) -> Tensor:
        """States before anything was seen, zeros but for contexts, which are unknown; [B, S]."""
        states = self.embedding.weight.new_zeros(num_sessions, self.state_size)
        if self.step_features is not None:
            states[:, self._context_start :] = self.step_features.unknown(num_sessions)
        return states

    def start(self, num_sessions: int) -> Tensor:
        """States s_0 of new sessions, after the "no click" that starts every history; [B, S]."""
        clicks = torch.full((1,), self.num_items, device=self.embedding.weight.device)
        return self.step(clicks, self.initial_state(1)).repeat(num_sessions, 1)

    def start_in_contexts(self, num_sessions: int, generator: torch.Generator) -> Tensor:
        """The same, in contexts drawn from the log where features of steps or users count; else nothing is drawn."""
        if self.step_features is None:
            return self.start(num_sessions)
        states = self.initial_state(num_sessions)
        states[:, self._context_start :] = self.step_features.draw(num_sessions, generator)
        clicks = torch.full((num_sessions,), self.num_items, device=self.embedding.weight.device)
        return self.step(clicks, states)

    def step(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` [B] of ids 0..num_items, ``state`` [B, S]."""
        if self.memory is None and self.step_features is None:
            return self._recurrent_step(self.embedded(clicks), state)
        vectors, parts = self.embedded(clicks), []
        if self.step_features is not None:
            contexts = state[:, self._context_start :]
            vectors = vectors + self.step_features.at(contexts)
            parts.append(contexts + contexts.new_tensor([0.0, 1.0]))
        if self.memory is not None:
            memory = state[:, self._recurrent_size : self._context_start]
            parts.insert(0, self.memory.step(memory, clicks, self.table))
        return torch.cat([self._recurrent_step(vectors, state[:, : self._recurrent_size]), *parts], dim=1)

    def _recurrent_step(self, vectors: Tensor, state: Tensor) -> Tensor:
        """Recurrent states after one more input; ``vectors`` [B, E]."""
        if isinstance(self.rnn, LoweredLSTM):
            return self.rnn.step(vectors, state)
        if isinstance(self.rnn, nn.LSTM) and not state.is_cuda and not torch.is_grad_enabled():
            return lstm_step(self.rnn, vectors, state)
        if isinstance(self.rnn, nn.LSTM) and state.is_cuda:
            return lstm_cells(self.rnn, vectors, state)
        size = (state.shape[0], self._parts, self.config.num_layers, self.config.hidden_size)
        parts = [part.contiguous() for part in state.reshape(size).permute(1, 2, 0, 3)]
        inputs = vectors.unsqueeze(0)
        _, new = self.rnn(inputs, tuple(parts) if self.config.cell == "lstm" else parts[0])
        stacked = torch.stack(new if isinstance(new, tuple) else (new,))
        return stacked.permute(2, 0, 1, 3).reshape(state.shape)

    def output(self, state: Tensor) -> Tensor:
        """The top layer's hidden state, what heads read as s_t, and what is recalled; [B, H] or [B, H + E]."""
        last = self.config.num_layers * self.config.hidden_size
        hidden = state[:, last - self.config.hidden_size : last]
        if self.memory is None:
            return hidden
        return torch.cat([hidden, self.memory.query(state[:, self._recurrent_size : self._context_start])], dim=1)
