"""The policy that a user model suggests: rank the whole catalogue by what users click and what it earns."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.models.user_model import UserModel

Ranking = Literal["click_and_reward", "click"]


class UserModelPolicy(CataloguePolicy):
    """pi(i in a_t | s_t) in proportion to p(click on i) p(reward of i), Eq 1 and 2 over all items at once.

    Args:
        user_model: its parameters are shared, not copied.
        slate_size: items shown at a time, k.
        ranking: ``"click_and_reward"``, or ``"click"`` to leave the reward out (the authors' code ranks by clicks).
    """

    def __init__(self, user_model: UserModel, slate_size: int, ranking: Ranking = "click_and_reward") -> None:
        if ranking not in ("click_and_reward", "click"):
            raise ValueError(f"ranking must be 'click_and_reward' or 'click', got {ranking!r}")
        super().__init__(user_model.config.num_items, slate_size)
        self.user_model = user_model
        self.encoder = user_model.encoder
        self.ranking = ranking

    def logits(self, hidden: Tensor) -> Tensor:
        """See :meth:`~irecgan_gym.models.slate_policy.CataloguePolicy.logits`."""
        clicks = self.user_model.catalogue_click_logits(hidden)
        if self.ranking == "click":
            return clicks
        return clicks + self.user_model.catalogue_reward_logits(hidden).sigmoid().log()
