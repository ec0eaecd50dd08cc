"""Learning on-policy: updates from fresh sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from irecgan_gym.agents.policy_gradient import policy_gradient_epoch
from irecgan_gym.agents.returns import ReturnsData, offline_rewards
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.sessions import Sessions


class OnPolicyUpdates:
    """REINFORCE on sessions that the policy has just played (Eq 8; with the constant 1 of Eq 10 in the rewards).

    The optimizer lives as long as the policy acts: its moments are kept from update to update.

    Args:
        policy: trained in place.
        fit: learning rate and clipping.
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of a step's reward against the constant 1 of Eq 10.
    """

    def __init__(self, policy: SlatePolicy, fit: FitConfig, *, gamma: float, lambda_r: float) -> None:
        self._policy = policy
        self._optimizer = ClippedAdamW(policy, fit, "online/policy_loss")
        self._fit = fit
        self._gamma = gamma
        self._lambda_r = lambda_r

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self._optimizer.load_state_dict(state)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def update(self, sessions: Sessions) -> float:
        """One step of gradient over all the sessions, which must come from the policy as it is; the mean loss a step.

        A second step from the same sessions would no longer be on-policy, so there is none.
        """
        rewards = offline_rewards(sessions, self._lambda_r)
        data = ReturnsData(sessions, rewards, self._gamma, self._policy.device)
        # All in one batch, so that their order and the generator make no difference.
        loss = policy_gradient_epoch(
            self._policy,
            data,
            self._optimizer,
            len(sessions),
            np.random.default_rng(0),
            precision=self._fit.precision,
        )
        self._optimizer.mean_norm()  # On a GPU, this is where a loss that is no number is an error.
        return loss
