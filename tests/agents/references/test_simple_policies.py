"""Random and popular slates: their laws, what popularity counts, and copies on disk."""

import numpy as np
import pytest

from irecgan_gym.agents import MaxReward, PopularityPolicy, RandomPolicy
from irecgan_gym.mdp import draw_mdp
from irecgan_gym.sessions import Sessions


def log():
    """Item 0 clicked once in three impressions, item 1 twice in three, item 2 never in two; items 3 and 4 not shown."""
    return Sessions.from_columns(
        num_items=5,
        lengths=[1, 1, 1, 1],
        slates=[[0, 1], [0, 1], [0, 2], [1, 2]],
        clicks=[0, 1, 5, 1],
        rewards=[1, 1, 0, 1],
    )


def scores(policy):
    everything = Sessions.from_columns(num_items=5, lengths=[1], slates=[[0, 1, 2, 3, 4]], clicks=[0], rewards=[0])
    return np.exp(policy.slate_scores(everything))


@pytest.mark.parametrize("smoothing", [1.0, 0.5])
def test_popularity_counts_clicks_or_clicks_an_impression(smoothing):
    by_clicks = PopularityPolicy(5, 2, smoothing=smoothing).learn(log())
    odds = np.array([1, 2, 0, 0, 0]) + smoothing
    np.testing.assert_allclose(scores(by_clicks), odds / odds.sum(), rtol=1e-6)
    by_impression = PopularityPolicy(5, 2, smoothing=smoothing, per_impression=True).learn(log())
    # Three clicks in eight impressions.
    odds = (np.array([1, 2, 0, 0, 0]) + smoothing * 3 / 8) / (np.array([3, 3, 2, 0, 0]) + smoothing)
    np.testing.assert_allclose(scores(by_impression), odds / odds.sum(), rtol=1e-6)
    assert PopularityPolicy(5, 2).smoothing == 1
    assert not PopularityPolicy(5, 2).per_impression
    with pytest.raises(ValueError, match=r"smoothing must be positive, got 0\.0"):
        PopularityPolicy(5, 2, smoothing=0.0)


def test_nothing_is_known_before_learning_and_of_logs_without_a_click():
    np.testing.assert_allclose(scores(PopularityPolicy(5, 2)), 0.2, rtol=1e-6)
    np.testing.assert_allclose(scores(RandomPolicy(5, 2).learn(log())), 0.2, rtol=1e-6)
    silent = Sessions.from_columns(num_items=5, lengths=[1], slates=[[0, 1]], clicks=[5], rewards=[0])
    policy = PopularityPolicy(5, 2, per_impression=True).learn(silent)
    # One click is supposed, in two impressions.
    odds = 0.5 / np.array([2, 2, 1, 1, 1])
    np.testing.assert_allclose(scores(policy), odds / odds.sum(), rtol=1e-6)


def test_slates_are_drawn_in_proportion_and_the_top_ones_in_order():
    policy = PopularityPolicy(5, 2, seed=3).learn(log())
    slates, state = policy.predict(np.full(40_000, 5))
    assert state is None
    assert (slates[:, 0] != slates[:, 1]).all()
    share = np.array([2, 3, 1, 1, 1]) / 8
    np.testing.assert_allclose(np.bincount(slates[:, 0], minlength=5) / 40_000, share, atol=0.01)
    second = [sum(share[a] * share[b] / (1 - share[a]) for a in range(5) if a != b) for b in range(5)]
    np.testing.assert_allclose(np.bincount(slates[:, 1], minlength=5) / 40_000, second, atol=0.01)
    assert policy.predict(np.array([5, 1]), deterministic=True)[0].tolist() == [[1, 0], [1, 0]]


def test_the_seed_decides_slates_and_the_order_of_equal_items():
    first, again, other = (PopularityPolicy(50, 10, seed=seed) for seed in (0, 0, 1))
    observed = np.full(20, 50)
    top = first.predict(observed, deterministic=True)[0]
    assert len(set(top[0])) == 10
    assert np.array_equal(again.predict(observed, deterministic=True)[0], top)
    assert not np.array_equal(other.predict(observed, deterministic=True)[0], top)
    for policy in (PopularityPolicy, RandomPolicy):
        first, again, other = (policy(50, 10, seed=seed) for seed in (0, 0, 1))
        drawn = first.predict(observed)[0]
        assert np.array_equal(again.predict(observed)[0], drawn)
        assert not np.array_equal(other.predict(observed)[0], drawn)
        other.set_random_seed(0)
        assert np.array_equal(other.predict(observed)[0], drawn)


def test_the_order_of_equal_items_that_a_seed_stands_for():
    """Written down: published results name seeds."""
    assert PopularityPolicy(8, 8, seed=0).predict(8, deterministic=True)[0].tolist() == [4, 0, 6, 1, 5, 7, 3, 2]


def test_random_slates_are_of_different_items_all_as_likely():
    slates, _ = RandomPolicy(5, 2).predict(np.full(20_000, 5), deterministic=True)
    assert (slates[:, 0] != slates[:, 1]).all()
    pairs = np.bincount(slates[:, 0] * 5 + slates[:, 1], minlength=25).reshape(5, 5)
    np.testing.assert_allclose(pairs[~np.eye(5, dtype=bool)] / 20_000, 1 / 20, atol=0.01)


@pytest.mark.parametrize("options", [{}, {"per_impression": True, "smoothing": 0.5}])
def test_a_saved_policy_comes_back_as_it_was(options, tmp_path):
    policy = PopularityPolicy(5, 2, seed=4, **options).learn(log())
    policy.save(tmp_path / "policy")
    again = PopularityPolicy.load(tmp_path / "policy")
    assert (again.num_items, again.slate_size, again.seed) == (5, 2, 4)
    assert (again.per_impression, again.smoothing) == (policy.per_impression, policy.smoothing)
    np.testing.assert_array_equal(scores(again), scores(policy))
    np.testing.assert_array_equal(again.predict(np.full(9, 5))[0], policy.predict(np.full(9, 5))[0])


def test_states_at_their_borders():
    mdp = draw_mdp(3, 5, 0)
    policy = MaxReward(mdp, 2)
    assert policy.predict(np.array([0, 2]))[0].tolist() == mdp.ranked_items()[[0, 2], :2].tolist()
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=f"MaxReward observes states from 0 to 2, got {wrong}"):
            policy.predict(np.array([0, wrong]))
