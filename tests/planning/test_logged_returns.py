import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.logging_policies import LOGGING_POLICIES, make_logging_policy
from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from irecgan_gym.planning.values import logged_returns


@pytest.mark.parametrize("name", LOGGING_POLICIES)
def test_returns_are_the_means_of_logged_ones(name):
    mdp = draw_mdp(3, 8, 1, "item")
    sessions = gym.make("RecSim-v0", mdp=mdp, slate_size=2, logging_policy=name).unwrapped.collect(60_000, seed=4)
    observed = sessions.returns_to_go(1 + 3 * sessions.rewards, 0.8)
    clicks = make_logging_policy(name, mdp, 2).click_probabilities()
    expected = logged_returns(mdp, clicks, gamma=0.8, lambda_r=3.0)
    compared = 0
    for state in range(3):
        for item in range(8):
            found = observed[(sessions.states == state) & (sessions.clicks == item)]
            if len(found) < 200:
                continue
            # Five standard errors: for one comparison in two million to fail by chance.
            assert abs(found.mean() - expected[state, item]) < 5 * found.std() / np.sqrt(len(found))
            compared += 1
    assert compared >= 6


def test_without_discount_and_constant_returns_are_values():
    # One state, two items that always are shown together: W = 1 + 2 rho with rho the chance of a success, a step.
    mdp = RecommendationMDP(np.array([[0.5, 0.25]]), np.ones((1, 2, 1)))
    clicks = make_logging_policy("max", mdp, 2).click_probabilities()
    np.testing.assert_allclose(clicks, [[2 / 3, 1 / 3]])
    success = 2 / 3 * 0.5 + 1 / 3 * 0.25
    value = (1 + 2 * success) / (1 - success)
    expected = 1 + 2 * np.array([[0.5, 0.25]]) + np.array([[0.5, 0.25]]) * value
    np.testing.assert_allclose(logged_returns(mdp, clicks, gamma=1.0, lambda_r=2.0), expected)
