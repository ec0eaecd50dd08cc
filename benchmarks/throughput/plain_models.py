"""The networks and losses written plainly in PyTorch, one session at a time: what a first version would be.

Modules have the parameter names of the suite's own, so that ``load_state_dict`` copies weights from one to the other.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.sessions import Session


class PlainEncoder(nn.Module):
    """Embeddings and PyTorch's LSTM or GRU over the clicks of one session."""

    def __init__(self, num_items: int, config: EncoderConfig) -> None:
        super().__init__()
        self.num_items = num_items
        self.embedding = nn.Embedding(num_items + 1, config.embedding_size)
        network = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.rnn = network(config.embedding_size, config.hidden_size, config.num_layers)

    def forward(self, clicks: Tensor) -> Tensor:
        """The states before each of the clicks of a session, [T, H]; ``clicks`` [T]."""
        first = torch.full((1,), self.num_items, device=clicks.device)
        previous = torch.cat([first, clicks[:-1]])
        outputs: Tensor = self.rnn(self.embedding(previous).unsqueeze(1))[0].squeeze(1)
        return outputs


class PlainPolicy(nn.Module):
    """Eq 4: a softmax over all items."""

    def __init__(self, num_items: int, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = PlainEncoder(num_items, config)
        self.head = nn.Linear(config.hidden_size, num_items)

    def loss(self, clicks: Tensor, returns: Tensor) -> Tensor:
        """Minus the sum over a session of return times log pi (Eq 8-10); clicks and returns [T]."""
        logits = self.head(self.encoder(clicks))
        # Where the user left, no item was chosen: such a step counts nothing.
        errors = F.cross_entropy(logits, clicks, reduction="none", ignore_index=self.encoder.num_items)
        return (returns * errors).sum()


class PlainUserModel(nn.Module):
    """Eq 1 and 2."""

    def __init__(self, num_items: int, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = PlainEncoder(num_items, config)
        self.click_head = nn.Linear(config.hidden_size, config.embedding_size)
        self.reward_head = nn.Linear(config.hidden_size, config.embedding_size)

    def click_logits(self, hidden: Tensor, candidates: Tensor) -> Tensor:
        """V^c of Eq 1 for one step; ``hidden`` [H], ``candidates`` [K] to [K]."""
        return _products(self.click_head(hidden), self.encoder.embedding(candidates))

    def reward_logit(self, hidden: Tensor, click: Tensor) -> Tensor:
        """Log-odds of a reward of 1 (Eq 2) for one step; scalars but ``hidden``, [H]."""
        return _products(self.reward_head(hidden), self.encoder.embedding(click.unsqueeze(0)))[0]

    def loss(self, candidates: list[Tensor], clicks: Tensor, rewards: Tensor, lambda_p: float) -> Tensor:
        """Minus Eq 3 of one session.

        Args:
            candidates: what the user chose from at each step, T tensors.
            clicks: [T].
            rewards: [T].
            lambda_p: weight of the reward term.
        """
        total = clicks.new_zeros((), dtype=torch.float32)
        for hidden, options, click, reward in zip(self.encoder(clicks), candidates, clicks, rewards, strict=True):
            place = (options == click).nonzero()[0]
            total = total + F.cross_entropy(self.click_logits(hidden, options).unsqueeze(0), place)
            if int(click) != self.encoder.num_items:
                odds = self.reward_logit(hidden, click)
                total = total + lambda_p * F.binary_cross_entropy_with_logits(odds, reward)
        return total


class PlainDiscriminator(nn.Module):
    """D of appendix 1 with a reward factor."""

    def __init__(self, num_items: int, config: EncoderConfig, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.encoder = PlainEncoder(num_items, config)
        self.preference = nn.Linear(config.hidden_size, config.embedding_size)
        self.reward_factor = nn.Linear(1, 1)

    def logit(self, candidates: list[Tensor], clicks: Tensor, rewards: Tensor) -> Tensor:
        """Log-odds that a session is real; arguments as in :meth:`PlainUserModel.loss`."""
        scores = []
        for hidden, options, click, reward in zip(self.encoder(clicks), candidates, clicks, rewards, strict=True):
            vectors = self.encoder.embedding(options)
            weights = (_plain_products(self.preference(hidden), vectors) / self.temperature).softmax(-1)
            clicked = self.encoder.embedding(click)
            scores.append(weights @ _plain_products(clicked, vectors) * self.reward_factor(reward.unsqueeze(0))[0])
        return torch.stack(scores).mean()


def _products(query: Tensor, vectors: Tensor) -> Tensor:
    """Dot products over sqrt(E); ``query`` [E], ``vectors`` [K, E] to [K]."""
    return _plain_products(query, vectors) / math.sqrt(len(query))


def _plain_products(query: Tensor, vectors: Tensor) -> Tensor:
    """Dot products, as of matrices: PyTorch's counter does not see those of a matrix and a vector."""
    return (query.unsqueeze(0) @ vectors.T).squeeze(0)


def candidates_of(session: Session, num_items: int, leave_option: bool, device: torch.device) -> list[Tensor]:
    """Return the items that a user chose from at each step: the slate, and "no click" where users may leave."""
    end = [num_items] if leave_option else []
    return [torch.tensor([*slate.tolist(), *end], device=device) for slate in session.slates]
