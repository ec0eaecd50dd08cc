import numpy as np
import torch

from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.ope import DirectMethod, OffPolicyData
from irecgan_gym.ope.agent_policies import as_evaluation_policy
from irecgan_gym.ope.user_model_values import UserModelValues
from irecgan_gym.sessions import Sessions

SIZES = EncoderConfig(embedding_size=3, hidden_size=4)
GAMMA = 0.7


def exact_value(model, policy, user, actor, slate, steps):
    """Expected discounted reward by listing everything that can happen; the first slate given, or the policy's."""
    slates = [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    if slate is None:
        weights = policy.log_probabilities(policy.encoder.output(actor)).exp()[0].double().tolist()
        chances = [weights[a] * weights[b] / (1 - weights[a]) for a, b in slates]
    else:
        slates, chances = [slate], [1.0]
    total = 0.0
    for shown, chance in zip(slates, chances, strict=True):
        clicks = model.click_probabilities(user, torch.tensor([shown]))[0]
        for click, click_chance in zip(shown, clicks.tolist(), strict=True):
            success = float(model.reward_probabilities(user, torch.tensor([click]))[0])
            worth = 1.0
            if steps > 1:
                clicked = torch.tensor([click])
                after = model.encoder.step(clicked, user), policy.observe(clicked, actor)
                worth += GAMMA * exact_value(model, policy, *after, None, steps - 1)
            total += chance * click_chance * success * worth
    return total


@torch.no_grad()
def test_rollouts_have_the_values_that_listing_gives():
    model = UserModel.create(UserModelConfig(3, 2, encoder=SIZES), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(3, 2, SIZES), torch.Generator().manual_seed(1), torch.device("cpu"))
    sessions = Sessions.from_columns(num_items=3, lengths=[2], slates=[[2, 0], [1, 2]], clicks=[0, 1], rewards=[1, 0])
    target = as_evaluation_policy(policy)
    data = OffPolicyData.create(sessions, target, target, gamma=GAMMA)
    values = UserModelValues(model, policy, draws=4000, max_steps=2, seed=0)
    found = values.values(data)

    user, actor = model.encoder.start(1), policy.start(1)
    clicked = torch.tensor([0])
    later = model.encoder.step(clicked, user), policy.observe(clicked, actor)
    shown = [exact_value(model, policy, user, actor, [2, 0], 2), exact_value(model, policy, *later, [1, 2], 1)]
    chosen = [exact_value(model, policy, user, actor, None, 2), exact_value(model, policy, *later, None, 1)]
    np.testing.assert_allclose(found.shown, shown, atol=0.05)
    np.testing.assert_allclose(found.chosen, chosen, atol=0.05)
    assert np.isclose(DirectMethod(values).estimate_policy_value(data), found.chosen[0])
