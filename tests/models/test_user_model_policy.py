"""The policy of a user model against Eq 1 and 2 written out."""

from __future__ import annotations

import pytest
import torch

from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import UserModelPolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig

N, K = 6, 2


@torch.no_grad()
@pytest.mark.parametrize("ranking", ["click_and_reward", "click"])
@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_items_are_ranked_by_click_and_reward(ranking, ending):
    config = UserModelConfig(N, K, ending, EncoderConfig(hidden_size=5, embedding_size=4, embedding_std=1.0))
    model = UserModel.create(config, seed=0, device="cpu")
    policy = UserModelPolicy(model, K, ranking)
    state = model.encoder.step(torch.tensor([3, 1]), model.encoder.start(2))
    everything = torch.arange(N).expand(2, -1)
    # Eq 1 over the whole catalogue as one slate; the alternative of leaving does not change the order or the ratios.
    expected = model.click_logits(model.encoder.output(state), everything).softmax(-1)
    if ranking == "click_and_reward":
        chances = [model.reward_probabilities(state, torch.full((2,), item)) for item in range(N)]
        expected = expected * torch.stack(chances, dim=1)
    expected = expected / expected.sum(1, keepdim=True)
    torch.testing.assert_close(policy.log_probabilities(model.encoder.output(state)).exp(), expected)
    assert torch.equal(policy.top(state), expected.topk(K).indices)
    slates = policy.sample(state, torch.Generator().manual_seed(0), draws=5)
    assert slates.shape == (10, K)


def test_unknown_rankings_are_refused():
    model = UserModel.create(UserModelConfig(N, K), seed=0, device="cpu")
    with pytest.raises(ValueError, match="got 'reward'"):
        UserModelPolicy(model, K, "reward")
