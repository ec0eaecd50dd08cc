"""Hits by user are kept and read as they are, and claims on re-ranking are judged by them."""

from __future__ import annotations

import numpy as np
import pytest

from irecgan_gym.benchmarks.claims.claim import Claim, Comparison, Quantity
from irecgan_gym.benchmarks.claims.judgement import Verdict, judge
from irecgan_gym.benchmarks.claims.paper import DEPLOYED
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.user_hits import read_user_hits, user_of_list, write_user_hits
from irecgan_gym.evaluation.reranking import evaluate_reranking
from irecgan_gym.sessions import Sessions
from tests.benchmarks.run_folders import Measurement, table

TOP_K = DEPLOYED[1]
BETTER = Claim("a is better", "", "rerank", DEPLOYED, (Comparison(Quantity("a", "p@1"), Quantity("b", "p@1")),))


class ClickFirst:
    """Puts the click of a list first, with the probability of its user."""

    def __init__(self, chances, rng):
        self._chances, self._rng = chances, rng

    def slate_scores(self, sessions):
        chance = self._chances[user_of_list(sessions)][sessions.step_of_entry]
        is_click = sessions.slate_items == sessions.clicks[sessions.step_of_entry]
        hit = (self._rng.random(sessions.num_steps))[sessions.step_of_entry] < chance
        return np.where(is_click, np.where(hit, 1.0, -1.0), 0.0).astype(np.float32)


def logs(num_users=60, lists=3):
    rng = np.random.default_rng(0)
    slates = np.array([rng.permutation(20)[:12] for _ in range(num_users * lists)])
    return Sessions.from_columns(
        num_items=20,
        lengths=[lists] * num_users,
        slates=slates,
        clicks=slates[:, 4],
        rewards=np.zeros(len(slates)),
        users=np.arange(num_users)[::-1],
    )


def evaluated(folder, chances, agents=("a", "b"), seeds=range(5)):
    """A run of re-ranking in which agents hit with the given chances of users."""
    sessions, rng, rows = logs(), np.random.default_rng(1), []
    for seed in seeds:
        for agent in agents:
            job = Job("rerank", agent, "logged", 60, seed)
            result = evaluate_reranking(ClickFirst(chances[agent], rng), sessions, deterministic=True, seed=seed)
            write_user_hits(folder, job, user_of_list(sessions), {"top-k": result})
            rows += [Measurement(job, name, value) for name, value in result.as_metrics("top-k").items()]
    return Runs(table(rows), read_user_hits([folder]))


def test_what_is_read_is_what_was_measured(tmp_path):
    chances = np.linspace(0, 1, 60)
    runs = evaluated(tmp_path, {"a": chances}, agents=("a",), seeds=(3,))
    hits = runs.user_hits
    assert (set(hits["agent"]), set(hits["seed"]), set(hits["lists"])) == ({"a"}, {3}, {3})
    assert hits["user"].tolist() == list(range(60))
    assert hits["p@1/top-k"].iloc[0] == 0
    assert hits["p@1/top-k"].iloc[-1] == 3
    measured = runs.results.set_index("metric")["value"]
    for name in ("p@1/top-k", "p@10/top-k", "mrr/top-k"):
        assert hits[name].sum() / hits["lists"].sum() == pytest.approx(measured[name])


def test_lists_that_do_not_count_and_users_that_are_not_known(tmp_path):
    sessions = Sessions.from_columns(
        num_items=20,
        lengths=[1, 2],
        slates=[*range(12), *range(5), *range(12)],
        slate_lengths=[12, 5, 12],
        clicks=[0, 1, 2],
        rewards=[0, 0, 0],
    )
    result = evaluate_reranking(ClickFirst(np.ones(2), np.random.default_rng(0)), sessions, deterministic=True, seed=0)
    job = Job("rerank", "m:Own+all", "logged", 2, 0)
    write_user_hits(tmp_path, job, user_of_list(sessions), {"top-k": result})
    hits = read_user_hits([tmp_path])
    assert hits[["user", "lists"]].to_numpy().tolist() == [[0, 1], [1, 1]]
    assert set(hits["agent"]) == {"m:Own+all"}
    assert read_user_hits([tmp_path / "elsewhere"]).empty


def test_claims_are_judged_by_users(tmp_path):
    rng = np.random.default_rng(2)
    skill = rng.uniform(0, 0.5, size=60)  # users differ far more than agents do
    runs = evaluated(tmp_path, {"a": skill + 0.3, "b": skill})
    judgement = judge(BETTER, TOP_K, runs)
    assert judgement.verdict == Verdict.HOLDS
    [evidence] = judgement.evidence
    assert evidence.difference.num_pairs == 60
    assert evidence.difference.mean == pytest.approx(0.3, abs=0.1)


def test_older_runs_are_not_judged(tmp_path):
    runs = evaluated(tmp_path, {"a": np.full(60, 0.9), "b": np.full(60, 0.1)})
    judgement = judge(BETTER, TOP_K, Runs(runs.results))
    assert judgement.verdict == Verdict.UNMEASURED
    assert judgement.missing.startswith("hits of test users were not kept")
    assert judge(BETTER, TOP_K, runs).verdict == Verdict.HOLDS
