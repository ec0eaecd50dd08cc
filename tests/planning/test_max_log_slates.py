import numpy as np
import pytest

from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from irecgan_gym.planning.max_log_slates import max_log_slates
from irecgan_gym.planning.optimal_slates import optimal_slates, top_slates
from irecgan_gym.planning.values import UnboundedValueError


def test_a_learner_of_max_logs_can_do_next_to_nothing_but_show_their_slates():
    gains = []
    for seed in range(8):
        mdp = draw_mdp(mdp_seed=seed, transitions="item", epsilon=0.05)
        learnt, logged = max_log_slates(mdp, 10), top_slates(mdp, 10)
        gains.append(learnt.values[0] / logged.values[0] - 1)
        assert learnt.values[0] <= optimal_slates(mdp, 10).values[0]
    assert abs(np.mean(gains)) < 0.005


def test_an_item_that_leads_nowhere_gives_its_place_to_an_unknown_one():
    """Two states; in the first, item 1 is nearly the best one and leads to the second, from which little is earned."""
    rewards = np.array([[0.9, 0.8, 0.1, 0.1], [0.02, 0.02, 0.01, 0.01]])
    transitions = np.zeros((2, 4, 2))
    transitions[:, [0, 2, 3], 0] = 1
    transitions[:, 1, 1] = 1
    learnt = max_log_slates(RecommendationMDP(rewards, transitions), 2)
    assert 0 in learnt.slates[0]
    assert 1 not in learnt.slates[0]
    assert learnt.values[0] > top_slates(RecommendationMDP(rewards, transitions), 2).values[0]


@pytest.mark.parametrize("size", [1, 4])
def test_any_size(size):
    mdp = draw_mdp(3, 4, 2, reward_scale=0.5)
    learnt = max_log_slates(mdp, size)
    assert learnt.slates.shape == (3, size)
    if size == 4:
        np.testing.assert_array_equal(learnt.slates, np.tile(np.arange(4), (3, 1)))


def test_sessions_that_need_not_end_are_refused():
    mdp = RecommendationMDP(np.array([[1.0, 1.0, 0.5]]), np.ones((1, 3, 1)))
    with pytest.raises(UnboundedValueError, match="no bound"):
        max_log_slates(mdp, 2)
