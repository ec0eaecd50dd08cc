"""Every claim of the paper, on a made-up run in which all of it is as the paper says, and on its opposite."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from irecgan_gym.benchmarks.claims.claim import Statistic
from irecgan_gym.benchmarks.claims.derived import round_rows
from irecgan_gym.benchmarks.claims.judgement import Verdict, judge
from irecgan_gym.benchmarks.claims.paper import CLAIMS
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.tables import JOB
from tests.benchmarks.run_folders import Measurement, table

CELLS = {
    "simulated_online": [(policy, size) for policy in ("random", "max", "mix") for size in (200, 1000)],
    "online_learning": [("online", 200)],
    "rerank": [("logged", 1650)],
}
SETTINGS = [(claim, setting) for claim in CLAIMS for setting in claim.settings]


def levels(claim):
    """A level for every quantity of a claim in every cell, higher for what is said to be greater."""
    places = {}
    for _ in claim.comparisons:  # chains, such as PGU between PG and IRecGAN
        for one in claim.comparisons:
            smaller, greater = one.smaller, one.greater
            places.setdefault(smaller, 1)
            places[greater] = max(places.get(greater, 1), places[smaller] + 1)
    found = {}
    for side, place in sorted(places.items(), key=lambda pair: pair[0].logging_policy is not None):
        for cell in CELLS[claim.experiment]:
            if side.logging_policy in (None, cell[0]):
                found[side.agent, side.metric, cell] = place
    return found


def run_of(claim, setting, sign):
    """Measurements by seed, and hits by user, in which every comparison comes out as said, or the other way."""
    rng = np.random.default_rng(0)
    spreads = {one.statistic for one in claim.comparisons} == {Statistic.SPREAD}
    rows, hits = [], []
    for (agent, metric, cell), place in levels(claim).items():
        name = agent if setting.features == "none" else f"{agent}+{setting.features}"
        metric = f"{metric}/{setting.deployment}" if setting.deployment else metric
        for seed in range(10):
            noise = rng.normal()
            value = 10.0 ** (sign * place) * noise if spreads else sign * place + 0.01 * noise
            job = Job(claim.experiment, name, *cell, seed)
            rows.append(Measurement(job, metric, value))
            of_users = {"user": np.arange(40), "lists": 2, metric: sign * 0.1 * place + 0.01 * rng.random(40)}
            hits.append(
                pd.DataFrame(of_users).assign(**dict(zip(JOB, (job.experiment, name, *cell, seed), strict=True)))
            )
    columns = [hit.set_index([*JOB, "user", "lists"]) for hit in hits]
    together = pd.concat(columns).groupby(level=[*JOB, "user", "lists"]).first().reset_index()
    return Runs(table(rows), together)


@pytest.mark.parametrize(("claim", "setting"), SETTINGS, ids=lambda one: one.name)
def test_every_claim_of_the_paper_can_hold(claim, setting):
    judgement = judge(claim, setting, run_of(claim, setting, 1))
    assert judgement.verdict == Verdict.HOLDS, judgement.notes
    assert not any("not measured" in note for note in judgement.notes)


@pytest.mark.parametrize(("claim", "setting"), SETTINGS, ids=lambda one: one.name)
def test_every_claim_of_the_paper_can_be_contradicted(claim, setting):
    assert judge(claim, setting, run_of(claim, setting, -1)).verdict == Verdict.BEHIND


def test_gain_and_roughness_of_rounds_by_hand():
    job = Job("online_learning", "pg-online", "online", 200, 3)
    values = {"round-02": 0.4, "round-01": 0.2, "round-03": 0.3, "last": 0.7}
    results = table([Measurement(job, f"coverage@1/{name}", value) for name, value in values.items()])
    found = {row.metric: row.value for row in round_rows(results).itertuples()}
    assert found == {
        "coverage@1/gain": pytest.approx(0.5),
        "coverage@1/roughness": pytest.approx(np.log(np.std([0.2, -0.1], ddof=1))),
    }
    assert set(round_rows(results)["seed"]) == {3}


def test_a_steady_rise_has_no_roughness_and_other_experiments_have_no_rounds():
    job = Job("online_learning", "pg-online", "online", 200, 0)
    steady = [Measurement(job, f"reward/round-{number:02}", float(number)) for number in range(1, 5)]
    assert round_rows(table(steady)).empty
    assert round_rows(table([Measurement(job, "reward/top-k", 1.0)])).empty
