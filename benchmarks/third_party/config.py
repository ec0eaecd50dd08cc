"""Settings of the training of algorithms of other libraries."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SESSION_STEPS = 40
"""Length at which sessions are cut while algorithms learn, as it is in the logs."""


@dataclass(frozen=True)
class ThirdPartyConfig:
    """Settings of the training of algorithms of other libraries.

    Attributes:
        timesteps: slates that each learns from.
        num_envs: users side by side.
        history: clicks that they see, H.
        gamma: discount factor of a slate.
        discriminator_updates: times that the discriminator learns on the way, evenly spread, the first before all.
        num_rollouts: completions for each score of Eq 6, N.
        lambda_r: weight of a reward of the user model in Eq 10.
    """

    timesteps: int = 20_000
    num_envs: int = 256
    history: int = 1
    gamma: float = 0.9
    discriminator_updates: int = 5
    num_rollouts: int = 5
    lambda_r: float = 3.0
