"""The sequence generation score q_D(tau_0:t) of Eq 6: how real a session looks, from its beginning alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.discriminator import Discriminator, PartialScore
from irecgan_gym.models.predictor_policy import PolicyLike, as_rollout_policy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Catalogue, Sessions

_STATE_ELEMENTS = 2**25
"""Numbers in the recurrent states of the user model and the discriminator that are held at a time (128 MB)."""
_GPU_STATE_ELEMENTS = 2**28
"""The same on a GPU (1 GB): few large batches keep it busy."""


class Prefixes(NamedTuple):
    """State of B unfinished sessions; every field's first dimension is the session.

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
        policy: draws their slates: a :class:`~irecgan_gym.models.predictor_policy.RolloutPolicy`, a trained model of
            Stable-Baselines3 (or anything with its ``predict``), or a function from the last clicks to slates.
        discriminator: D, which scores them.
        num_rollouts: completions of each prefix, N.
        max_session_steps: length at which a completion is cut, prefix included.
    """

    def __init__(
        self,
        user_model: UserModel,
        policy: PolicyLike,
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
        known = getattr(policy, "catalogue", None)
        if isinstance(known, Catalogue):
            user_model.catalogue.check_agrees(known, "the user model", "the policy")
        self.user_model = user_model
        self.policy = as_rollout_policy(policy, user_model.config.num_items, user_model.device)
        self.discriminator = discriminator
        self.num_rollouts = num_rollouts
        self.max_session_steps = max_session_steps

    def with_policy(self, policy: PolicyLike) -> SequenceScore:
        """The same score with another roll-out policy."""
        return SequenceScore(
            self.user_model,
            policy,
            self.discriminator,
            num_rollouts=self.num_rollouts,
            max_session_steps=self.max_session_steps,
        )

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
            self.user_model.advance(prefixes.user, slates, clicks),
            self.policy.observe(clicks, prefixes.policy),
            self.discriminator.observe(prefixes.partial, self.user_model.candidates(slates), clicks, rewards),
            prefixes.length + 1,
        )

    @torch.no_grad()
    def score(self, prefixes: Prefixes, finished: Tensor, generator: torch.Generator) -> Tensor:
        """q_D(tau_0:t) of each session.

        Args:
            prefixes: B sessions of at least one step.
            finished: which of them are over, bool [B].
            generator: on the models' device.

        Returns:
            Scores in [0, 1], [B].
        """
        scores = self.discriminator.probabilities(prefixes.partial)
        open_rows = (~finished & (prefixes.length < self.max_session_steps)).nonzero().squeeze(1)
        for rows in torch.split(open_rows, max(1, self._sessions_at_a_time // self.num_rollouts)):
            if len(rows):
                scores[rows] = self._complete(prefixes.select(rows), generator)
        return scores

    @torch.no_grad()
    def score_sessions(self, sessions: Sessions, generator: torch.Generator) -> Tensor:
        """q_D(tau_0:t) of every step of whole sessions, as :meth:`score` gives it step by step.

        All prefixes of many sessions are completed in one batch. The last step of a session, whether the user ended
        it or it was cut, is scored by D itself.

        Args:
            sessions: generated or logged, with the leaving step where users leave.
            generator: on the models' device.

        Returns:
            Scores in [0, 1] in the order of the steps, [T].
        """
        scores = self.discriminator.preference.weight.new_empty(sessions.num_steps)
        data = SessionTensors(sessions, leave_option=self.user_model.leave_option, device=self.user_model.device)
        longest = int(sessions.lengths.max()) if len(sessions) else 1
        for batch in data.all(max(1, self._sessions_at_a_time // longest)):
            following = batch.next_rows
            scores[batch.steps] = self.score(self._prefixes(batch, following), following < 0, generator)
        return scores

    @property
    def _sessions_at_a_time(self) -> int:
        """Sessions whose recurrent states are held at a time, so that memory is bounded."""
        width = self.user_model.encoder.state_size + self.discriminator.encoder.state_size
        elements = _GPU_STATE_ELEMENTS if self.user_model.device.type == "cuda" else _STATE_ELEMENTS
        return max(1, elements // width)

    def _prefixes(self, batch: StepBatch, following: Tensor) -> Prefixes:
        """Return the prefixes after every step of some sessions, [M]; states are undefined after the last steps.

        ``following`` is the row of each step's next one.
        """
        user = self.user_model.states_before(batch)
        acting = _states_before(batch, self.policy.start, self.policy.observe)
        judging = _states_before(batch, self.discriminator.encoder.start, self.discriminator.encoder.step)
        total = self.discriminator.step_scores(
            self.discriminator.encoder.output(judging), batch.slates, batch.slate_mask, batch.clicks, batch.rewards
        )
        length = torch.empty_like(batch.clicks)
        first = before = 0
        for time, size in enumerate(batch.batch_sizes.tolist()):
            length[first : first + size] = time + 1
            if time > 0:
                total[first : first + size] += total[before : before + size]
            before, first = first, first + size
        # The state after a step is the state before the next one of its session.
        partial = PartialScore(judging[following], total, length.to(total.dtype))
        return Prefixes(user[following], acting[following], partial, length)

    def _complete(self, prefixes: Prefixes, generator: torch.Generator) -> Tensor:
        """Mean score of N completions of each session, [B]; completions that end leave the batch."""
        judge, user_model = self.discriminator, self.user_model
        # Completions begin as N references to one state; states are copied when a completion takes its first step.
        origin = torch.arange(len(prefixes.length), device=prefixes.length.device).repeat_interleave(self.num_rollouts)
        user, acting, judging = prefixes.user, prefixes.policy, prefixes.partial.state
        total, length = prefixes.partial.total[origin], prefixes.length[origin]
        scores, rows = torch.empty_like(total), torch.arange(len(origin), device=origin.device)
        # The completions of a session draw their first slates from one state, so its logits are computed once.
        slates = self.policy.sample(acting, generator, draws=self.num_rollouts)
        while True:
            clicks, rewards, ended = user_model.respond_from(user_model.encoder.output(user)[origin], slates, generator)
            hidden = judge.encoder.output(judging)[origin]
            total = total + judge.step_scores(hidden, user_model.candidates(slates), None, clicks, rewards)
            length = length + 1
            # Of those that go on, too: what they end with replaces it. Picking out the rest would wait for a GPU.
            scores[rows] = judge.probabilities(PartialScore(hidden, total, length))
            going = (~ended & (length < self.max_session_steps)).nonzero().squeeze(1)
            if len(going) == 0:
                return scores.view(-1, self.num_rollouts).mean(1)
            rows, total, length, clicks, origin = (column[going] for column in (rows, total, length, clicks, origin))
            user = user_model.advance(user[origin], slates[going], clicks)
            judging = judge.encoder.step(clicks, judging[origin])
            acting = self.policy.observe(clicks, acting[origin])
            origin = torch.arange(len(rows), device=rows.device)
            slates = self.policy.sample(acting, generator)


def _states_before(
    batch: StepBatch, start: Callable[[int], Tensor], observe: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Recurrent states before every step of some sessions, [M, S]."""
    state = start(batch.num_sessions)
    states, first = [state], batch.num_sessions
    for size in batch.batch_sizes.tolist()[1:]:
        state = observe(batch.previous_clicks[first : first + size], state[:size])
        states.append(state)
        first += size
    return torch.cat(states)
