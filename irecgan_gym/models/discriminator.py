"""The discriminator D: the probability that a whole session is real (appendix 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.building import build, resolve_device
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.features import specs_of
from irecgan_gym.models.heads import candidate_products
from irecgan_gym.settings import Count, Positive, check_settings


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of a discriminator.

    Attributes:
        num_items: size of the catalogue, n.
        encoder: shape of the recurrent state.
        temperature: of the softmax that stands for the argmax over the slate.
        use_reward: whether a step's score has the factor W^p r_t + b^p. The authors' code leaves it out (1) in
            simulation; their paper has it.
    """

    num_items: Count
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    temperature: Positive = 0.1
    use_reward: bool = True

    def __post_init__(self) -> None:
        check_settings(self)


class PartialScore(NamedTuple):
    """Memory that D has of unfinished sessions; every field's first dimension is the session.

    Attributes:
        state: recurrent state [B, S].
        total: sum of the steps' scores so far [B].
        steps: steps so far [B].
    """

    state: Tensor
    total: Tensor
    steps: Tensor

    def select(self, rows: Any) -> PartialScore:
        """The partial scores of some of the sessions, in the order given."""
        return PartialScore(self.state[rows], self.total[rows], self.steps[rows])


class Discriminator(nn.Module):
    """D(tau) = sigmoid of the mean over steps of <favourite, click> (W^p r + b^p); a high logit means real.

    The favourite of a slate is the mixture of its items' embeddings by a softmax at low temperature of
    (W^d s_t + b^d)^T e(c): a differentiable argmax. Of features, it knows those of items.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        # Generated sessions have no contexts, by which they could be told from real ones.
        of_items = specs_of(config.encoder.features, "items")
        self.encoder = RecurrentEncoder(config.num_items, replace(config.encoder, features=of_items))
        self.preference = nn.Linear(config.encoder.hidden_size, config.encoder.embedding_size)  # W^d, b^d
        self.reward_factor = nn.Linear(1, 1)  # W^p, b^p

    @classmethod
    def create(cls, config: DiscriminatorConfig, *, seed: int, device: str | torch.device = "auto") -> Discriminator:
        """A new discriminator with parameters drawn from ``seed``."""
        return build(lambda: cls(config), torch.Generator().manual_seed(seed), resolve_device(device))

    def step_scores(
        self, hidden: Tensor, candidates: Tensor, mask: Tensor | None, clicks: Tensor, rewards: Tensor
    ) -> Tensor:
        """Score of each step, before the mean and the sigmoid.

        Args:
            hidden: s^d_t, [M, H].
            candidates: what the user could choose from, int64 [M, K].
            mask: False where a candidate is padding, [M, K]; None when none is.
            clicks: the choice, int64 [M].
            rewards: float32 [M].

        Returns:
            Scores [M], high for real sessions.
        """
        table = self.encoder.table
        logits = candidate_products(self.preference(hidden), table, candidates) / self.config.temperature
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf)
        # <favourite, click> = sum_j p_j <e_j, e_click>: the products are taken first, the mixture is of numbers.
        products = candidate_products(self.encoder.embedded(clicks), table, candidates)
        scores = (logits.softmax(-1) * products).sum(-1)
        if self.config.use_reward:
            scores = scores * self.reward_factor(rewards.to(scores.dtype).unsqueeze(-1)).squeeze(-1)
        return scores

    def logits_real_is_high(self, batch: StepBatch) -> Tensor:
        """Log-odds that each session of a batch is real, in the order of the batch; [B] (differentiable)."""
        scores = self.step_scores(self.encoder(batch), batch.slates, batch.slate_mask, batch.clicks, batch.rewards)
        zeros = scores.new_zeros(batch.num_sessions)
        total = zeros.index_add(0, batch.session_of_step, scores)
        # Counting by addition: PyTorch's own counting waits for a GPU.
        return total / zeros.index_add(0, batch.session_of_step, torch.ones_like(scores))

    def start(self, num_sessions: int) -> PartialScore:
        """Nothing seen yet."""
        state = self.encoder.start(num_sessions)
        return PartialScore(state, state.new_zeros(num_sessions), state.new_zeros(num_sessions))

    def observe(self, partial: PartialScore, candidates: Tensor, clicks: Tensor, rewards: Tensor) -> PartialScore:
        """Partial scores after one more step of every session; candidates [B, K], clicks and rewards [B]."""
        scores = self.step_scores(self.encoder.output(partial.state), candidates, None, clicks, rewards)
        return PartialScore(self.encoder.step(clicks, partial.state), partial.total + scores, partial.steps + 1)

    def probabilities(self, partial: PartialScore) -> Tensor:
        """D of sessions that are over, in [0, 1]; [B]."""
        return (partial.total / partial.steps).sigmoid()
