"""Planning in worlds that are small enough for exact answers, at the borders of its methods."""

from itertools import combinations

import numpy as np
import pytest

from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from irecgan_gym.planning.belief_filter import BeliefFilter, LoggedClickFilter
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.blind_slates import _after, _exchange, _search, blind_slates, fixed_slate_values
from irecgan_gym.planning.max_log_slates import max_log_knowledge
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.ratio_slates import _largest, best_ratio_slates, slate_ratios
from irecgan_gym.planning.values import item_values


@pytest.fixture(autouse=True)
def _no_rounding_errors_in_silence():
    with np.errstate(all="raise"):
        yield


def test_sessions_start_in_the_first_state():
    mdp = draw_mdp(3, 5, 0)
    clicks = make_logging_policy("random", mdp, 2).click_probabilities()
    for filter_ in (BeliefFilter(mdp), LoggedClickFilter(mdp, clicks)):
        assert filter_.start(2).tolist() == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("users", [2, 3])
def test_users_are_filtered_each_by_itself(users):
    mdp = draw_mdp(3, 8, 2, "softmax")
    filter_ = LoggedClickFilter(mdp, make_logging_policy("max", mdp, 2).click_probabilities())
    shown, never = mdp.ranked_items()[0, [0, -1]]
    beliefs = np.random.default_rng(0).dirichlet(np.ones(3), size=users)
    clicks = np.array([shown, never, shown][:users])
    alone = [filter_.update(beliefs[[user]], clicks[[user]])[0] for user in range(users)]
    np.testing.assert_allclose(filter_.update(beliefs, clicks), alone, rtol=1e-14)


def best_pair(mdp, size):
    """The value of the best of all pairs of a first and a later slate."""
    slates = np.array(list(combinations(range(mdp.num_items), size)))
    earned = []
    for values in fixed_slate_values(mdp, slates):
        worth = np.tile(item_values(mdp, values)[0], (len(slates), 1))
        earned.append(slate_ratios(np.tile(mdp.rewards[0], (len(slates), 1)), worth, slates).max())
    return max(earned)


def test_the_first_slate_is_chosen_once_more_after_the_later_one():
    # In this world the first choice of both slates is worth 6% less.
    mdp = draw_mdp(5, 7, 59, "item")
    assert blind_slates(mdp, 3).value == pytest.approx(best_pair(mdp, 3), rel=1e-10)


def test_one_who_sees_nothing_and_shows_everything():
    mdp = draw_mdp(3, 4, 0)
    found = blind_slates(mdp, 4)
    assert found.first.tolist() == found.later.tolist() == [0, 1, 2, 3]
    assert found.value == pytest.approx(fixed_slate_values(mdp, found.later[None])[0, 0])


def test_the_only_exchange_is_looked_at():
    mdp = RecommendationMDP(np.array([[0.2, 0.6]]), np.ones((1, 2, 1)))
    slate, value = _exchange(mdp, np.array([0]), np.array([0.5]))
    assert slate.tolist() == [1]
    assert value == pytest.approx(0.5 * 0.6 / 0.4)


def test_equal_items_are_not_exchanged_for_ever():
    mdp = RecommendationMDP(np.array([[0.5, 0.5, 0.5, 0.25]]), np.ones((1, 4, 1)))
    slate, value = _exchange(mdp, np.array([0, 3]), np.array([1.0]))
    assert 3 not in slate
    assert value == pytest.approx(1)


@pytest.mark.parametrize("scale", [1.0, 1e-7])
def test_small_improvements_count_where_little_is_earned(scale):
    drawn = draw_mdp(3, 6, 1, "item")
    mdp = RecommendationMDP(scale * drawn.rewards, drawn.transitions)
    arrivals = _after(mdp, np.array([0, 1])).arrivals
    slates = np.array(list(combinations(range(6), 2)))
    reached = fixed_slate_values(mdp, slates) @ arrivals
    for slate in slates:
        found, value = _exchange(mdp, slate, arrivals)
        neighbors = np.isin(slates, found).sum(axis=1) >= 1
        assert value == pytest.approx(reached[neighbors].max(), rel=1e-10, abs=0)


@pytest.mark.parametrize("scale", [1.0, 1e-7])
def test_a_search_ends_where_the_first_slate_is_best_for_the_later_one(scale):
    drawn = draw_mdp(4, 6, 5, "item")
    rewards = drawn.rewards.copy()
    rewards[0] *= scale
    mdp = RecommendationMDP(rewards, drawn.transitions)
    slates = np.array(list(combinations(range(6), 2)))
    for later in slates:
        found = _search(mdp, later)
        worth = np.tile(item_values(mdp, fixed_slate_values(mdp, found.later[None])[0])[0], (len(slates), 1))
        ratios = slate_ratios(np.tile(rewards[0], (len(slates), 1)), worth, slates)
        assert found.value == pytest.approx(ratios.max(), rel=1e-10, abs=0)


def test_what_endless_max_logs_tell():
    # Item 0 is shown, the others are from U(0, 0.8): of mean 0.4 and mean square 0.64 / 3. V = 0.8 (1 + V) = 4.
    knowledge = max_log_knowledge(RecommendationMDP(np.array([[0.8, 0.4, 0.2]]), np.ones((1, 3, 1))), 1)
    np.testing.assert_allclose(knowledge.weights, [[0.8, 0.4, 0.4]])
    np.testing.assert_allclose(knowledge.values, [[4, 8 / 3, 8 / 3]], rtol=1e-9)


def test_the_worth_of_later_steps_is_exact_where_little_is_earned():
    # V = r (1 + V).
    knowledge = max_log_knowledge(RecommendationMDP(np.array([[1e-3, 1e-4]]), np.ones((1, 2, 1))), 1)
    np.testing.assert_allclose(knowledge.values[0, 0], 1e-3 / (1 - 1e-3), rtol=1e-10)


def search_of_belief_slates(seed, users):
    """A search in a small world, and beliefs of some users."""
    mdp = draw_mdp(4, 9, seed, ("softmax", "dirichlet", "item")[seed % 3], reward_scale=(1.0, 0.1)[seed % 2])
    values = item_values(mdp, optimal_slates(mdp, 3).values)
    return mdp.rewards, values, np.random.default_rng(seed).dirichlet(np.full(4, 0.5), size=users)


@pytest.mark.parametrize("seed", range(4))
def test_a_search_for_a_belief_starts_from_the_best_of_three_slates(seed):
    weights, values, beliefs = search_of_belief_slates(seed, 60)
    search = BeliefSlates(weights, values, 3)
    starts, scores = search._start(beliefs)
    expected = []
    for belief in beliefs:
        mean_weights = sum(p * w for p, w in zip(belief, weights, strict=True))
        mean_worth = sum(p * w * q for p, w, q in zip(belief, weights, values, strict=True))
        mean_values = sum(p * q for p, q in zip(belief, values, strict=True))
        likeliest = int(belief.argmax())
        slates = [
            best_ratio_slates(weights[likeliest], values[likeliest], 3),
            best_ratio_slates(mean_weights, mean_worth / mean_weights, 3),
            best_ratio_slates(mean_weights, mean_values, 3),
        ]
        expected.append(max(search.scores(belief[None], slate[None])[0] for slate in slates))
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    np.testing.assert_allclose(search.scores(beliefs, starts), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_steps_go_to_the_items_of_the_largest_gradient(seed):
    weights, values, beliefs = search_of_belief_slates(seed, 60)
    search, rng = BeliefSlates(weights, values, 3), np.random.default_rng(seed)
    starts = np.sort(np.stack([rng.permutation(9)[:3] for _ in beliefs]), axis=1)
    found, scores = search._climb(beliefs, starts, search.scores(beliefs, starts))
    for belief, slate, reached, score in zip(beliefs, starts, found, scores, strict=True):
        while True:
            gradient = np.zeros(9)
            for p, w, q in zip(belief, weights, values, strict=True):
                total = w[slate].sum()
                gradient += p * w * (q - (w * q)[slate].sum() / total) / total
            candidate = np.sort(np.argsort(-gradient)[:3])
            before, after = (search.scores(belief[None], items[None])[0] for items in (slate, candidate))
            if after <= before * (1 + 1e-12):
                break
            slate = candidate
        assert reached.tolist() == slate.tolist()
        assert score == pytest.approx(before, rel=1e-12)


def test_users_are_looked_at_in_parts_as_well_as_all_together(monkeypatch):
    weights, values, beliefs = search_of_belief_slates(1, 200)
    search = BeliefSlates(weights, values, 3)
    together = search.choose(beliefs)
    climbed, _ = search._climb(beliefs, *search._start(beliefs))
    assert (together != climbed).any(axis=1)[20:].any()
    for exchanges in (1, 50 * 27):
        monkeypatch.setattr("irecgan_gym.planning.belief_slates._MAX_EXCHANGES", exchanges)
        np.testing.assert_array_equal(search.choose(beliefs), together)


def test_the_scale_of_what_clicks_are_worth_does_not_matter():
    weights, values, beliefs = search_of_belief_slates(1, 60)
    expected = BeliefSlates(weights, values, 3).choose(beliefs)
    np.testing.assert_array_equal(BeliefSlates(weights, values * 2.0**-30, 3).choose(beliefs), expected)


def test_where_nothing_is_worth_anything_the_search_ends():
    weights, values, beliefs = search_of_belief_slates(1, 3)
    assert BeliefSlates(weights, np.zeros_like(values), 3).choose(beliefs).shape == (3, 3)


@pytest.mark.parametrize("size", [1, 3])
def test_steps_in_a_large_catalogue_go_to_the_items_of_the_largest_gradient(size):
    rng = np.random.default_rng(0)
    weights, values, beliefs = rng.uniform(0.1, 1, (4, 600)), rng.uniform(1, 2, (4, 600)), rng.dirichlet(np.ones(4), 40)
    search = BeliefSlates(weights, values, size)
    starts = np.tile(np.arange(size), (40, 1))
    found, _ = search._climb(beliefs, starts, search.scores(beliefs, starts))
    totals, worth = weights[:, found].sum(axis=2), (weights * values)[:, found].sum(axis=2)
    gradients = (
        (beliefs.T / totals)[:, :, None] * weights[:, None] * (values[:, None] - (worth / totals)[..., None])
    ).sum(0)
    best = np.sort(np.argsort(-gradients, axis=1)[:, :size], axis=1)
    # Where the search ended, no step to those items improves the slate.
    assert (search.scores(beliefs, best) <= search.scores(beliefs, found) * (1 + 1e-12)).all()


def test_of_equal_scores_the_lower_ids_are_taken():
    scores = np.tile([1.0, 2.0, 2.0], 300)
    assert _largest(scores, 5).tolist() == [1, 2, 4, 5, 7]
