"""The sequence generation score q_D(tau_0:t) of Eq 6: how real a session looks, from its beginning alone."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from irecgan_gym.models.discriminator import Discriminator, PartialScore
from irecgan_gym.models.user_model import UserModel


class RolloutPolicy(Protocol):
    """What completes sessions in a roll-out; :class:`~irecgan_gym.models.slate_policy.SlatePolicy` is one."""

    def start(self, num_sessions: int) -> Tensor:
        """States of new sessions, [B, S]."""

    def observe(self, clicks: Tensor, state: Tensor) -> Tensor:
        """States after one more click; ``clicks`` int64 [B], ``state`` [B, S]."""

    def sample(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """A slate of different items for each session, int64 [B, k]."""


class Prefixes(NamedTuple):
    """What is known of B unfinished sessions; every field's first dimension is the session.

    Attributes:
        user: the user model's states.
        policy: the roll-out policy's states.
        partial: the discriminator's.
        length: steps so far, int64 [B].
    """

    user: Tensor
    policy: Tensor
    partial: PartialScore
    length: Tensor

    def select(self, rows: Any) -> Prefixes:
        """Some of the sessions, in the order given; repeating a row branches its session."""
        return Prefixes(self.user[rows], self.policy[rows], self.partial.select(rows), self.length[rows])


class SequenceScore:
    """Scores prefixes by the mean D of N completions, and finished sessions by D itself (Eq 6).

    Args:
        user_model: U, which plays the user in the completions.
        policy: draws their slates.
        discriminator: D, which scores them.
        num_rollouts: completions of each prefix, N.
        max_session_steps: length at which a completion is cut, prefix included.
    """

    def __init__(
        self,
        user_model: UserModel,
        policy: RolloutPolicy,
        discriminator: Discriminator,
        *,
        num_rollouts: int = 5,
        max_session_steps: int = 40,
    ) -> None:
        if num_rollouts < 1:
            raise ValueError(f"num_rollouts must be at least 1, got {num_rollouts}")
        if max_session_steps < 1:
            raise ValueError(f"max_session_steps must be at least 1, got {max_session_steps}")
        if discriminator.config.num_items != user_model.config.num_items:
            raise ValueError(
                f"the discriminator knows {discriminator.config.num_items} items, "
                f"the user model {user_model.config.num_items}"
            )
        self.user_model = user_model
        self.policy = policy
        self.discriminator = discriminator
        self.num_rollouts = num_rollouts
        self.max_session_steps = max_session_steps

    @torch.no_grad()
    def start(self, num_sessions: int) -> Prefixes:
        """Sessions in which nothing has happened yet."""
        return Prefixes(
            self.user_model.encoder.start(num_sessions),
            self.policy.start(num_sessions),
            self.discriminator.start(num_sessions),
            torch.zeros(num_sessions, dtype=torch.int64, device=self.user_model.device),
        )

    @torch.no_grad()
    def observe(self, prefixes: Prefixes, slates: Tensor, clicks: Tensor, rewards: Tensor) -> Prefixes:
        """Every session one step longer; slates [B, k], clicks [B], rewards [B]."""
        return Prefixes(
            self.user_model.encoder.step(clicks, prefixes.user),
            self.policy.observe(clicks, prefixes.policy),
            self.discriminator.observe(prefixes.partial, self.user_model.candidates(slates), clicks, rewards),
            prefixes.length + 1,
        )

    @torch.no_grad()
    def score(self, prefixes: Prefixes, finished: Tensor, generator: torch.Generator) -> Tensor:
        """q_D(tau_0:t) of each session.

        All completions of all prefixes run in one batch from branched states; those that end leave it.

        Args:
            prefixes: B sessions of at least one step.
            finished: which of them are over, bool [B].
            generator: on the models' device.

        Returns:
            Scores in [0, 1], [B].
        """
        scores = self.discriminator.probabilities(prefixes.partial)
        open_rows = (~finished & (prefixes.length < self.max_session_steps)).nonzero().squeeze(1)
        if len(open_rows):
            completed = self._complete(prefixes.select(open_rows.repeat_interleave(self.num_rollouts)), generator)
            scores[open_rows] = completed.view(-1, self.num_rollouts).mean(1)
        return scores

    def _complete(self, prefixes: Prefixes, generator: torch.Generator) -> Tensor:
        """Run every session to its end and score it, [B]."""
        scores = torch.empty_like(prefixes.partial.total)
        rows = torch.arange(len(scores), device=scores.device)
        while len(rows):
            slates = self.policy.sample(prefixes.policy, generator)
            response = self.user_model.respond(prefixes.user, slates, generator)
            prefixes = self.observe(prefixes, slates, response.clicks, response.rewards)
            ended = response.ended | (prefixes.length >= self.max_session_steps)
            scores[rows[ended]] = self.discriminator.probabilities(prefixes.partial.select(ended))
            going = (~ended).nonzero().squeeze(1)
            rows, prefixes = rows[going], prefixes.select(going)
        return scores
