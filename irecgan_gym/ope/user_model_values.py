"""Values of logged steps by a neural user model, in which the policy to be judged goes on; loads torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.models.predictor_policy import PolicyLike, as_rollout_policy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.ope.off_policy_data import OffPolicyData
from irecgan_gym.ope.policies import slate_matrix
from irecgan_gym.ope.value_model import ValueColumns
from irecgan_gym.sessions import Sessions

_STATES_AT_ONCE = 4096


class UserModelValues:
    """Mean discounted rewards of roll-outs in a user model, from every logged step on.

    Q(h_t, A_t) begins with the logged slate, V(h_t) with a slate of the policy. Both are means of independent roll-outs
    and so right on average, as far as the user model is: doubly robust estimates stay unbiased, the direct method is
    what the model says.

    Args:
        user_model: says what users click and earn (Eq 1 and 2).
        policy: the policy to be judged as it acts: one of the suite's networks, or anything with ``predict``. It must
            be the ``target_policy`` of the data.
        draws: roll-outs a step.
        max_steps: steps after which a session is cut, counted from its start.
        seed: of the roll-outs.
    """

    def __init__(
        self, user_model: UserModel, policy: PolicyLike, *, draws: int = 10, max_steps: int = 40, seed: int = 0
    ) -> None:
        self._user_model = user_model
        self._policy = as_rollout_policy(policy, user_model.config.num_items, user_model.device)
        self._draws = draws
        self._max_steps = max_steps
        self._seed = seed

    @torch.no_grad()
    def values(self, data: OffPolicyData) -> ValueColumns:
        """See :class:`irecgan_gym.ope.value_model.ValueModel`."""
        generator = torch.Generator(self._user_model.device).manual_seed(self._seed)
        config = self._user_model.config
        slates = torch.from_numpy(slate_matrix(data.sessions, config.num_items, config.slate_size))
        users, actors = self._states(data.sessions, slates)
        ages = torch.from_numpy(data.step_in_session)
        columns: list[NDArray[np.float64]] = []
        for first_slates in (slates, None):
            parts = [
                self._rollouts(
                    users[chunk],
                    actors[chunk],
                    ages[chunk],
                    None if first_slates is None else first_slates[chunk],
                    data.gamma,
                    generator,
                )
                for chunk in (slice(first, first + _STATES_AT_ONCE) for first in range(0, len(users), _STATES_AT_ONCE))
            ]
            columns.append(torch.cat(parts).cpu().numpy())
        return ValueColumns(*columns)

    def _states(self, sessions: Sessions, slates: Tensor) -> tuple[Tensor, Tensor]:
        """States of the user model and of the policy before each logged step, whose slates are [T, k]; [T, S] each."""
        running = np.arange(len(sessions))
        user, actor = self._user_model.encoder.start(len(running)), self._policy.start(len(running))
        users = torch.empty(sessions.num_steps, user.shape[1], dtype=user.dtype, device=user.device)
        actors = torch.empty(sessions.num_steps, actor.shape[1], dtype=actor.dtype, device=actor.device)
        for step in range(int(sessions.lengths.max(initial=0))):
            places = sessions.offsets[running] + step
            users[places], actors[places] = user, actor
            going_on = sessions.lengths[running] > step + 1
            running = running[going_on]
            clicks = torch.from_numpy(sessions.clicks[places[going_on]].astype(np.int64)).to(user.device)
            rows = torch.from_numpy(np.flatnonzero(going_on)).to(user.device)
            # What a click says of a user depends on what else was shown, where the model knows hidden states.
            shown = slates[torch.from_numpy(places[going_on])].to(user.device)
            user = self._user_model.advance(user[rows], shown, clicks)
            actor = self._policy.observe(clicks, actor[rows])
        return users, actors

    def _rollouts(
        self,
        users: Tensor,
        actors: Tensor,
        ages: Tensor,
        first_slates: Tensor | None,
        gamma: float,
        generator: torch.Generator,
    ) -> Tensor:
        """Mean discounted reward from each state on, float64 [B]."""
        device, number = users.device, len(users)
        user, actor = (states.repeat_interleave(self._draws, dim=0) for states in (users, actors))
        left = (self._max_steps - ages).repeat_interleave(self._draws).to(device)
        rows = torch.arange(len(user), device=device)
        earned = torch.zeros(len(user), dtype=torch.float64, device=device)
        discount = 1.0
        shown = None if first_slates is None else first_slates.repeat_interleave(self._draws, dim=0).to(device)
        while len(rows):
            slates = self._policy.sample(actor, generator) if shown is None else shown
            shown = None
            response = self._user_model.respond(user, slates, generator)
            earned[rows] += discount * response.rewards.double()
            left = left - 1
            going_on = ~response.ended & (left > 0)
            rows, left, clicks = rows[going_on], left[going_on], response.clicks[going_on]
            user = self._user_model.advance(user[going_on], slates[going_on], clicks)
            actor = self._policy.observe(clicks, actor[going_on])
            discount *= gamma
        return earned.view(number, self._draws).mean(dim=1)
