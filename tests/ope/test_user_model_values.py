import numpy as np
import torch

from irecgan_gym.models.belief_user_model import BeliefUserModel
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.ope import DirectMethod, OffPolicyData
from irecgan_gym.ope.agent_policies import as_evaluation_policy
from irecgan_gym.ope.user_model_values import UserModelValues
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.sessions import Sessions

SIZES = EncoderConfig(embedding_size=3, hidden_size=4)
GAMMA = 0.7
SLATES = [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
"""All slates of two of three items."""


def slates_of(policy, actor, slate):
    """Slates that may be shown with their probabilities; the one given, or those of the policy."""
    if slate is not None:
        return [(slate, 1.0)]
    weights = policy.log_probabilities(policy.encoder.output(actor)).exp()[0].double().tolist()
    return [([a, b], weights[a] * weights[b] / (1 - weights[a])) for a, b in SLATES]


def exact_value(model, policy, user, actor, slate, steps):
    """Expected discounted reward by listing everything that can happen; the first slate given, or the policy's."""
    total = 0.0
    for shown, chance in slates_of(policy, actor, slate):
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


def hidden_value(world, policy, state, actor, slate, steps):
    """The same of users whose state is known, by listing their states as well."""
    total = 0.0
    for shown, chance in slates_of(policy, actor, slate):
        for click in shown:
            chosen = world.weights[state, click] / world.weights[state, shown].sum()
            worth = 1.0
            if steps > 1:
                after = policy.observe(torch.tensor([click]), actor)
                worth += GAMMA * sum(
                    move * hidden_value(world, policy, reached, after, None, steps - 1)
                    for reached, move in enumerate(world.moves.table()[state, click])
                )
            total += chance * chosen * world.successes[state, click] * worth
    return total


@torch.no_grad()
def test_what_was_shown_beside_a_click_tells_of_hidden_states():
    # Users of the first kind choose item 0 and go on; users of the other kind choose item 2, and leave.
    world = LearnedWorld(
        start=np.array([0.5, 0.5]),
        weights=np.array([[9.0, 1.0, 0.1], [0.1, 1.0, 9.0]]),
        successes=np.array([[0.9, 0.9, 0.9], [0.3, 0.3, 0.3]]),
        moves=Moves.of(np.array([[0.95, 0.05], [0.1, 0.9]]), np.array([[1.0, 1.0], [1.0, 0.5], [0.5, 1.0]])),
    )
    policy = build(lambda: SlatePolicy(3, 2, SIZES), torch.Generator().manual_seed(1), torch.device("cpu"))
    # The same click beside two different items, and one step more.
    logged = [([2, 1], 1), ([0, 1], 1)]
    sessions = Sessions.from_columns(
        num_items=3,
        lengths=[2, 2],
        slates=[logged[0][0], [0, 1], logged[1][0], [0, 1]],
        clicks=[logged[0][1], 0, logged[1][1], 0],
        rewards=[1, 0, 1, 0],
    )
    target = as_evaluation_policy(policy)
    data = OffPolicyData.create(sessions, target, target, gamma=GAMMA)
    found = UserModelValues(BeliefUserModel(world, 2), policy, draws=4000, max_steps=3, seed=0).values(data)

    start = policy.start(1)
    shown, chosen = [], []
    for slate, click in logged:
        # Bayes's rule over both states before the click and both after it.
        clicked = world.start * world.weights[:, click] / world.weights[:, slate].sum(axis=1)
        belief = (clicked * world.successes[:, click]) @ world.moves.table()[:, click]
        belief /= belief.sum()
        actor = policy.observe(torch.tensor([click]), start)
        for first, column in (([0, 1], shown), (None, chosen)):
            again = slate if first else None
            column.append(sum(world.start[s] * hidden_value(world, policy, s, start, again, 3) for s in range(2)))
            column.append(sum(belief[s] * hidden_value(world, policy, s, actor, first, 2) for s in range(2)))
    assert abs(chosen[1] - chosen[3]) > 0.2
    np.testing.assert_allclose(found.shown, shown, atol=0.05)
    np.testing.assert_allclose(found.chosen, chosen, atol=0.05)
