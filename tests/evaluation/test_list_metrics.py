"""Metrics of ranked lists: exact answers, the order of entries, intervals, and metrics by name."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.evaluation import (
    RankedLists,
    catalogue_coverage,
    diversity,
    evaluate_online,
    evaluate_reranking,
    load_metric,
    measure,
    ndcg,
    recall,
)
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions

TWO_LISTS = Sessions.from_columns(
    num_items=8, lengths=[2], slates=[[0, 1, 2, 3], [4, 5, 0, 1]], clicks=[2, 4], rewards=[1, 0]
)


def reranked(scores, sessions=TWO_LISTS, length=1):
    return RankedLists.reranked(
        sessions, np.array(scores, dtype=float), np.random.default_rng(0), min_list_length=length
    )


def test_ndcg_and_recall_of_known_ranks():
    # The click 2 comes third (1, 0, 2, 3), the click 4 first.
    lists = reranked([3, 4, 2, 1, 9, 1, 2, 3])
    assert lists.click_ranks.tolist() == [2, 0]
    assert lists.entry_ranks.tolist() == [1, 0, 2, 3, 0, 3, 2, 1]
    np.testing.assert_allclose(ndcg(3)(lists), [1 / np.log2(4), 1])
    np.testing.assert_allclose(ndcg(2)(lists), [0, 1])
    np.testing.assert_allclose(recall(2)(lists), [0, 1])
    np.testing.assert_allclose(recall(3)(lists), [1, 1])


def test_catalogue_coverage_is_over_all_lists():
    lists = reranked([3, 4, 2, 1, 9, 1, 2, 3])
    # First two: {1, 0} and {4, 1}.
    assert catalogue_coverage(2)(lists) == 3 / 8
    assert catalogue_coverage(1)(lists) == 2 / 8
    assert catalogue_coverage(4)(lists) == 6 / 8
    # Lists that do not count hold nothing.
    assert catalogue_coverage(4)(reranked([3, 4, 2, 1, 9, 1, 2, 3], length=5)) == 0


def test_diversity_by_category_and_by_vector():
    lists = reranked([3, 4, 2, 1, 9, 1, 2, 3])
    # First three: {1, 0, 2} and {4, 1, 0}.
    np.testing.assert_allclose(diversity([7, 7, 9, 9, 9, 7, 7, 7], 3)(lists), [2 / 3, 2 / 3])
    np.testing.assert_allclose(diversity([1, 2, 2, 3, 4, 5, 6, 7], 3)(lists), [2 / 3, 1])
    assert np.isnan(diversity(np.arange(8), 1)(lists)).all()


@given(st.integers(0, 1000))
def test_diversity_of_vectors_is_the_mean_over_pairs(seed):
    rng = np.random.default_rng(seed)
    sessions = random_sessions(rng, ragged=True, leave=True)
    vectors = rng.normal(size=(7, 3))
    lists = RankedLists.as_shown(sessions)
    slates = [slate for session in sessions for slate in session.slates]
    expected = []
    for slate in slates:
        pairs = itertools.combinations(vectors[slate[:2]], 2)
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        expected.append(1 - np.mean(cosines))
    np.testing.assert_allclose(diversity(vectors, 2)(lists), expected)


@given(st.integers(0, 1000))
def test_entries_are_ranked_by_score_and_agree_with_the_click(seed):
    rng = np.random.default_rng(seed)
    sessions = random_sessions(rng, ragged=True, leave=True)
    # Few values, so that many are equal.
    scores = rng.integers(0, 3, len(sessions.slate_items)).astype(float)
    lists = reranked(scores, sessions)
    for step in range(sessions.num_steps):
        entries = slice(*sessions.slate_offsets[step : step + 2])
        ranks = lists.entry_ranks[entries]
        assert sorted(ranks) == list(range(len(ranks)))
        assert (np.diff(scores[entries][np.argsort(ranks)]) <= 0).all()
        clicked = sessions.slate_items[entries] == sessions.clicks[step]
        assert ranks[clicked].tolist() == ([lists.click_ranks[step]] if clicked.any() else [])
    assert (lists.counted == (lists.click_ranks >= 0)).all()


def test_ties_are_broken_at_random():
    sessions = Sessions.from_columns(
        num_items=4,
        lengths=np.ones(4000, int),
        slates=np.tile([0, 1, 2, 3], (4000, 1)),
        clicks=[2] * 4000,
        rewards=[0] * 4000,
    )
    ranks = reranked(np.zeros(16000), sessions).entry_ranks.reshape(-1, 4)
    # Each of the 4 items at each of the 4 places with probability 1/4, within 5 standard errors.
    shares = [np.bincount(column, minlength=4) / 4000 for column in ranks.T]
    assert np.abs(np.array(shares) - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 4000)


def test_means_have_intervals_clustered_by_user_and_numbers_have_none():
    sessions = random_sessions(np.random.default_rng(3), num_sessions=40)
    lists = RankedLists.as_shown(sessions)
    result = measure(
        {
            "lists": lambda lists: np.where(lists.click_ranks == 0, np.nan, lists.click_ranks),
            "sessions": lambda lists: lists.sessions.lengths,
            "all": lambda lists: 3.5,
        },
        lists,
    )
    assert result["lists"].mean == lists.click_ranks[lists.click_ranks > 0].mean()
    assert result["lists"].low < result["lists"].mean < result["lists"].high
    assert result["sessions"].mean == sessions.lengths.mean()
    assert result["all"].mean == 3.5
    assert np.isnan(result["all"].low)
    with pytest.raises(ValueError, match=r"metric 'odd' must return one number, .* got shape \(3,\)"):
        measure({"odd": lambda lists: np.zeros(3)}, lists)
    with pytest.raises(ValueError, match="metric 'none' has no value"):
        measure({"none": lambda lists: np.full(lists.sessions.num_steps, np.nan)}, lists)


class OldestFirst:
    def slate_scores(self, sessions):
        return -sessions.slate_items.astype(np.float32)


def test_reranking_reports_further_metrics():
    options = {"deterministic": True, "seed": 0, "at": (1, 2), "min_list_length": 2}
    sessions = random_sessions(np.random.default_rng(3), num_sessions=40)
    plain = evaluate_reranking(OldestFirst(), sessions, **options)
    result = evaluate_reranking(
        OldestFirst(),
        sessions,
        **options,
        metrics={"recall@2": recall(2), "ndcg@1": ndcg(1), "coverage": catalogue_coverage(1)},
    )
    assert result.metrics["recall@2"] == result.precision[2] == plain.precision[2]
    assert result.metrics["ndcg@1"] == result.precision[1]
    metrics = result.as_metrics("top-k")
    assert metrics["recall@2_low/top-k"] == result.precision[2].low
    assert metrics["coverage/top-k"] == result.metrics["coverage"].mean


def test_online_evaluation_reports_further_metrics():
    policy = RandomPolicy(50, 10)
    plain, result = (
        evaluate_online(policy, "RecSim-v0", 200, deterministic=False, seed=0, metrics=metrics)
        for metrics in (None, {"clicks": lambda lists: lists.sessions.lengths, "coverage": catalogue_coverage(10)})
    )
    assert plain.reward == result.reward
    assert result.metrics["clicks"] == result.length
    assert result.metrics["coverage"].mean == 1
    assert result.as_metrics("sampled")["coverage/sampled"] == 1


def test_metrics_by_name(monkeypatch, tmp_path):
    lists = reranked([3, 4, 2, 1, 9, 1, 2, 3])
    np.testing.assert_array_equal(load_metric("ndcg@3")(lists), ndcg(3)(lists))
    assert load_metric("catalogue_coverage@2")(lists) == 3 / 8
    (tmp_path / "metrics_of_this_test.py").write_text(
        "def clicks(lists):\n    return float((lists.click_ranks >= 0).sum())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_metric("metrics_of_this_test:clicks")(lists) == 2
    for name, message in (
        ("ndcg", "metric must be ndcg@K, .* or module:function, got 'ndcg'"),
        ("nope@3", "got 'nope@3'"),
        ("metrics_of_this_test:nope", "cannot be imported: .*nope"),
        ("no_such_module:f", "cannot be imported: No module named"),
        ("ndcg@0", "k must be an integer of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            load_metric(name)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (np.zeros((8, 2)), r"items\[0\] is a vector of length 0"),
        (np.zeros(8), "vectors .* or categories, integers"),
    ],
)
def test_descriptions_of_items_are_checked(items, message):
    with pytest.raises(ValueError, match=message):
        diversity(items, 2)
    with pytest.raises(ValueError, match="describes 3 items, the sessions have 8"):
        diversity(np.arange(3), 2)(reranked(np.arange(8)))
