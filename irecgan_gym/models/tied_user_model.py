"""Recurrent model of choice whose users click on an item in proportion to the chance that the click succeeds."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.user_model import UserModel, UserModelConfig


class TiedUserModel(UserModel):
    """A user model with one head for both answers: the weight of choice of an item is its chance of success.

    It is the recurrent member of the choice models whose :class:`~irecgan_gym.models.appeal.AppealConfig` has
    ``link="tied"``: what is not clicked tells of successes, and what succeeds tells of choices. With the two heads of
    :class:`~irecgan_gym.models.user_model.UserModel`, the two have nothing in common but the embeddings.

    Args:
        config: shape; rewards are 0 or 1, and places and features of entries make no difference.
    """

    def __init__(self, config: UserModelConfig) -> None:
        super().__init__(config)
        if config.reward_kind != "bernoulli" or self.positions is not None or self.entries is not None:
            raise ValueError("a chance that is a weight of choice takes rewards of 0 or 1, no places and no entries")
        del self.reward_head

    def click_logits(
        self, hidden: Tensor, candidates: Tensor, *, position_bias: bool = False, batch: StepBatch | None = None
    ) -> Tensor:
        """Logarithm of the chance of success of each candidate; see the base class."""
        return F.logsigmoid(super().click_logits(hidden, candidates))

    def catalogue_click_logits(self, hidden: Tensor) -> Tensor:
        """Logarithm of the chance of success of every item; see the base class."""
        return F.logsigmoid(super().catalogue_click_logits(hidden))

    def _reward_queries(self, hidden: Tensor) -> Tensor:
        queries: Tensor = self.click_head(hidden)
        return queries[:, None]
