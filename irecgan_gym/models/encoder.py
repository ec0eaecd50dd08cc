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
    """

    cell: Literal["lstm", "gru"] = "lstm"
    num_layers: Layers = 1
    hidden_size: Width = 64
    embedding_size: Width = 50
    embedding_std: Positive = 0.1
    events: bool = False
    recall: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


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

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Draw the first embeddings (see :func:`~irecgan_gym.models.building.build`)."""
        self.embedding.weight.normal_(0.0, self.config.embedding_std, generator=generator)

    @property
    def state_size(self) -> int:
        """Width S of a state: all layers' hidden states, their cell states for an LSTM, and the memory."""
        return self._recurrent_size + (0 if self.memory is None else self.memory.size)

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
        if self.memory is not None or (self.event_input is not None and batch.events is not None):
            outputs = self._packed(self._inputs(batch), batch.batch_sizes)
            if self.memory is not None:
                events = batch.events if self.config.events else None
                recalled = self.memory.query(self.memory(batch, self.embedding.weight, events))
                outputs = torch.cat([outputs, recalled.to(outputs.dtype)], dim=1)
            return outputs, torch.arange(len(batch.clicks), device=batch.clicks.device)
        # A GRU on the CPU, which nothing here speeds up, keeps the repetitions.
        if isinstance(self.rnn, nn.GRU) and not batch.clicks.is_cuda:
            outputs = self._packed(self.embedding(batch.previous_clicks), batch.batch_sizes)
            return outputs, torch.arange(len(batch.clicks), device=batch.clicks.device)
        started = batch.num_sessions - 1
        sizes = torch.cat([batch.batch_sizes.new_ones(1), batch.batch_sizes[1:]])
        outputs = self._packed(self.embedding(batch.previous_clicks[started:]), sizes)
        return outputs, (torch.arange(len(batch.clicks), device=batch.clicks.device) - started).clamp_(min=0)

    def _inputs(self, batch: StepBatch) -> Tensor:
        """Return the inputs of the RNN, [M, E]: the click before each step and, where they count, the events since."""
        inputs: Tensor = self.embedding(batch.previous_clicks)
        if self.event_input is None or batch.events is None:
            return inputs
        weights = _EVENT_DECAY ** batch.events.ages.to(inputs.dtype)
        projected: Tensor = self.event_input(batch.events.sums(self.embedding.weight, weights))
        return inputs + projected

    def _packed(self, inputs: Tensor, batch_sizes: Tensor) -> Tensor:
        """Outputs of the RNN for whole sessions, [M, H]."""
        if isinstance(self.rnn, nn.LSTM) and not inputs.is_cuda:
            return packed_lstm(self.rnn, inputs, batch_sizes)
        assert isinstance(self.rnn, (nn.LSTM, nn.GRU))
        return packed_rnn(self.rnn, inputs, batch_sizes)

    def initial_state(self, num_sessions: int) -> Tensor:
        """States before anything was seen; zeros [B, S]."""
        return self.embedding.weight.new_zeros(num_sessions, self.state_size)

    def start(self, num_sessions: int) -> Tensor:
        """States s_0 of new sessions, after the "no click" that starts every history; [B, S]."""
        clicks = torch.full((1,), self.num_items, device=self.embedding.weight.device)
        return self.step(clicks, self.initial_state(1)).repeat(num_sessions, 1)

    def step(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` [B] of ids 0..num_items, ``state`` [B, S]."""
        if self.memory is None:
            return self._recurrent_step(clicks, state)
        recurrent, memory = state[:, : self._recurrent_size], state[:, self._recurrent_size :]
        remembered = self.memory.step(memory, clicks, self.embedding.weight)
        return torch.cat([self._recurrent_step(clicks, recurrent), remembered], dim=1)

    def _recurrent_step(self, clicks: Tensor, state: Tensor) -> Tensor:
        if isinstance(self.rnn, LoweredLSTM):
            return self.rnn.step(self.embedding(clicks), state)
        if isinstance(self.rnn, nn.LSTM) and not state.is_cuda and not torch.is_grad_enabled():
            return lstm_step(self.rnn, self.embedding(clicks), state)
        if isinstance(self.rnn, nn.LSTM) and state.is_cuda:
            return lstm_cells(self.rnn, self.embedding(clicks), state)
        size = (state.shape[0], self._parts, self.config.num_layers, self.config.hidden_size)
        parts = [part.contiguous() for part in state.reshape(size).permute(1, 2, 0, 3)]
        inputs = self.embedding(clicks).unsqueeze(0)
        _, new = self.rnn(inputs, tuple(parts) if self.config.cell == "lstm" else parts[0])
        stacked = torch.stack(new if isinstance(new, tuple) else (new,))
        return stacked.permute(2, 0, 1, 3).reshape(state.shape)

    def output(self, state: Tensor) -> Tensor:
        """The top layer's hidden state, what heads read as s_t, and what is recalled; [B, H] or [B, H + E]."""
        last = self.config.num_layers * self.config.hidden_size
        hidden = state[:, last - self.config.hidden_size : last]
        if self.memory is None:
            return hidden
        return torch.cat([hidden, self.memory.query(state[:, self._recurrent_size :])], dim=1)
