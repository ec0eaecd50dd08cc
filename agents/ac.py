"""AC: an actor and a critic on one recurrent state, learned from offline data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGConfig, offline_and_held_out
from irecgan_gym.agents.pre_training import pre_train_policy
from irecgan_gym.agents.returns import ReturnsData
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.settings import Positive, Share


@dataclass(frozen=True)
class CriticSettings:
    """Settings of a critic, to be combined with those of its actor.

    Attributes:
        trace_decay: lambda of the lambda-returns, from 0 (one step and the critic) to 1 (the whole reward-to-go).
        value_weight: weight of the critic's squared error.
    """

    trace_decay: Share = 0.95
    value_weight: Positive = 0.5


@dataclass(frozen=True)
class ACConfig(CriticSettings, PGConfig):
    """Settings of AC: those of PG and of the critic."""


class ActorCriticPolicy(SlatePolicy):
    """A :class:`SlatePolicy` with a critic V(s_t) beside the actor."""

    def __init__(self, num_items: int, slate_size: int, encoder: EncoderConfig) -> None:
        super().__init__(num_items, slate_size, encoder)
        self.value_head = nn.Linear(encoder.hidden_size, 1)

    def values(self, hidden: Tensor) -> Tensor:
        """Return V(s_t) for outputs of the encoder, [M, H] or [M, H + E] to [M]."""
        values: Tensor = self.value_head(hidden[:, : self.value_head.in_features]).squeeze(-1)
        return values.to(hidden.dtype)


class ActorCritic:
    """-A_t log pi(c_t in a_t | s_t) + value_weight (G_t - V(s_t))^2, with A_t = G_t - V(s_t).

    G_t are lambda-returns, G_t = r_t + gamma ((1 - lambda) V(s_{t+1}) + lambda G_{t+1}); behind a session's last step
    both are 0. No gradient flows through A_t and G_t. The steps at which a user leaves teach the critic alone.

    Args:
        trace_decay: lambda of the lambda-returns.
        value_weight: weight of the critic's squared error.
    """

    def __init__(self, trace_decay: float, value_weight: float) -> None:
        self._trace_decay = trace_decay
        self._value_weight = value_weight
        self._squared_errors: list[Tensor] = []

    def losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """See :meth:`irecgan_gym.agents.returns.Objective.losses`."""
        errors, chosen = self._errors_and_log_probabilities(policy, data, batch)
        self._squared_errors.append(errors.detach().square().mean())
        return -errors.detach() * chosen + self._value_weight * errors.square()

    def held_out_losses(self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch) -> Tensor:
        """Return the same; it has no lower bound, for a click with a negative advantage may become ever less likely."""
        errors, chosen = self._errors_and_log_probabilities(policy, data, batch)
        return -errors * chosen + self._value_weight * errors.square()

    def _errors_and_log_probabilities(
        self, policy: SlatePolicy, data: ReturnsData, batch: StepBatch
    ) -> tuple[Tensor, Tensor]:
        """Return G_t - V(s_t) and log pi(c_t in a_t | s_t), both [M]."""
        assert isinstance(policy, ActorCriticPolicy)
        hidden, rows = policy.encoder.distinct(batch)
        values = policy.values(hidden)[rows]
        returns = lambda_returns(data.rewards(batch), values.detach(), batch, data.gamma, self._trace_decay)
        return returns - values, policy.log_probabilities_of_clicks(hidden, rows, batch)

    def metrics(self) -> Mapping[str, float]:
        """The critic's mean squared error."""
        errors, self._squared_errors = self._squared_errors, []
        return {"train/value_error": float(torch.stack(errors).mean())} if errors else {}


@torch.no_grad()
def lambda_returns(rewards: Tensor, values: Tensor, batch: StepBatch, gamma: float, trace_decay: float) -> Tensor:
    """Return G_t of every step of a batch, [M] (see :class:`ActorCritic`).

    Args:
        rewards: reward of each step, r_t, [M].
        values: value of each step's state, V(s_t), [M].
        batch: the steps, which tells those that follow each other.
        gamma: discount factor.
        trace_decay: lambda of the lambda-returns.
    """
    returns = rewards.to(values.dtype, copy=True)
    sizes = batch.batch_sizes.tolist()
    last = len(returns)
    for size, following in zip(reversed(sizes[:-1]), reversed(sizes[1:]), strict=True):
        later = slice(last - following, last)
        now = slice(later.start - size, later.start - size + following)
        returns[now] += gamma * ((1 - trace_decay) * values[later] + trace_decay * returns[later])
        last = later.start
    return returns


class AC(PolicyAgent[ACConfig]):
    """Actor-critic on logged sessions (baseline 2 of §7.2)."""

    kind = "ac"
    config_type = ACConfig
    streams = True
    policy: ActorCriticPolicy

    def _build(self) -> None:
        shape = (self.num_items, self.slate_size, self.config.encoder)
        self.policy = self._module("policy", lambda: ActorCriticPolicy(*shape))

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        config = self.config
        parts = self._hold_out(sessions, validation, config.validation_fraction)
        data, held_out = offline_and_held_out(*parts, config, self.device)
        objective = ActorCritic(config.trace_decay, config.value_weight)
        dose = pre_train_policy(self, self.policy, data, held_out, recorder, objective)
        self._treated(dose.as_metrics(), recorder)
