"""Folds test each user once, methods alike, and shares are of all lists together."""

import numpy as np
import pandas as pd
import pytest

from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.rerank_folds import RerankFolds, pooled_table
from irecgan_gym.benchmarks.user_hits import read_user_hits
from irecgan_gym.evaluation.clustered import share_interval
from irecgan_gym.evaluation.metrics import mean_interval
from tests.benchmarks.test_commands import logs


def test_each_user_is_tested_once_by_what_has_not_seen_them(tmp_path, capsys):
    sessions = logs(tmp_path / "log.parquet")
    arguments = ["--data", str(tmp_path / "log.parquet"), "--format", "sessions", "--seeds", "3", "--jobs", "1"]
    arguments += ["--agents", "pg+fit.max_epochs=1", "--features", "none", "--references"]
    assert command_line(RerankFolds, [*arguments, "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    hits = read_user_hits([tmp_path / "run"])
    for _, of_method in hits.groupby("agent"):
        assert sorted(of_method["user"]) == list(range(20))
        assert of_method["lists"].sum() == sessions.num_steps
    popular = hits[hits["agent"] == "popularity"]["p@1/top-k"].sum() / sessions.num_steps
    assert f"{100 * popular:.1f} ±" in shown
    assert f"{sessions.num_steps} lists of 20 users, each tested once" in shown
    experiment = RerankFolds(data=tmp_path / "log.parquet", format="sessions", seeds=3, out=tmp_path / "run")
    for seed in range(3):
        parts = experiment.parts(seed)
        users = [set(part.users) for part in parts]
        assert set.union(*users) == set(range(20))
        assert sum(map(len, users)) == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "--seeds must be at least 2 folds, got 1"),
        ({"split_by": "time"}, "folds are of users; benchmarks.rerank splits by time"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        RerankFolds(data=tmp_path / "log.parquet", out=tmp_path / "out", **changes).check()


def test_shares_are_those_of_lists_clustered_by_user():
    rng = np.random.default_rng(0)
    users = rng.integers(30, size=200)
    found = (rng.random(200) < rng.random(30)[users]).astype(float)
    sums, sizes = np.bincount(users, found), np.bincount(users)
    interval = share_interval(sums[sizes > 0], sizes[sizes > 0])
    expected = mean_interval(found, clusters=users)
    assert interval.mean == pytest.approx(expected.mean)
    assert interval.low == pytest.approx(expected.low, rel=1e-6)
    assert np.isnan(share_interval([1.0], [2]).low)


def test_differences_are_paired_by_user():
    """Users differ much, methods by the same for each: the difference is sure where the shares are not."""
    lists, hits = np.array([10] * 8), np.arange(8.0)
    rows = [
        pd.DataFrame(
            {"agent": agent, "seed": 0, "user": range(8), "lists": lists}
            | {f"{m}/top-k": hits + more for m in ("p@1", "p@10", "mrr")}
        )
        for agent, more in (("mine", 1.0), ("last-interaction", 0.0))
    ]
    table = pooled_table(pd.concat(rows), "top-k", ("last-interaction", "lightgbm"))
    assert table.headings[:3] == ("method", "p@1 (%)", "less last-interaction")
    mine, rule = table.rows
    assert (mine[0], mine[2]) == ("mine", "+10.0 ± 0.0")
    assert mine[1].startswith("45.0 ± ")
    assert (rule[0], rule[2]) == ("last-interaction", "-")
    assert "80 lists of 8 users" in table.note
