"""Verdicts are refused where a treatment did nothing, and unequal doses are named."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from irecgan_gym.benchmarks.claims.claim import Claim, Comparison, Quantity
from irecgan_gym.benchmarks.claims.doses import TREATMENTS, Doses
from irecgan_gym.benchmarks.claims.judgement import Verdict, judge
from irecgan_gym.benchmarks.claims.paper import CLAIMS, DEPLOYED
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.claims.tables import claims_markdown, verdict_text
from irecgan_gym.benchmarks.engine.job import Job
from tests.benchmarks.run_folders import Measurement, table

TOP_K = DEPLOYED[1]
HELPS = Claim(
    "it helps",
    "IRecGAN over PGC.",
    "simulated_online",
    DEPLOYED,
    (Comparison(Quantity("irecgan", "reward"), Quantity("pgc", "reward")),),
    about=("irecgan",),
    equal_doses=True,
)
GIVEN = {"kept_round": 7.0, "policy_moved": 0.2, "discriminator_accuracy": 0.8, "policy_updates": 400.0}
CONTROL = {"kept_round": 0.0, "policy_moved": 0.0, "policy_updates": 400.0}


def rows_of(cell=("max", 200), *, doses=GIVEN, seeds_with=range(9), without=None, control=CONTROL, ahead=1.0):
    """IRecGAN ahead of PGC in nine seeds; ``without`` are the doses of seeds that are not in ``seeds_with``."""
    rows = []
    for seed, agent in itertools.product(range(9), ("irecgan", "pgc")):
        job = Job("simulated_online", agent, *cell, seed)
        reward = 3 + 0.01 * seed + (ahead + 0.001 * seed if agent == "irecgan" else 0.0)
        rows.append(Measurement(job, "reward/top-k", reward))
        of_agent = control if agent == "pgc" else doses if seed in seeds_with else {**doses, **(without or {})}
        rows += [Measurement(job, f"treatment/{name}", value) for name, value in of_agent.items()]
    return rows


def judged(*rows):
    return judge(HELPS, TOP_K, Runs(table([row for some in rows for row in some])))


def test_where_the_treatment_was_given_the_claim_is_judged():
    judgement = judged(rows_of())
    assert judgement.verdict == Verdict.HOLDS
    assert judgement.notes == ()


@pytest.mark.parametrize(
    ("dose", "reason"),
    [
        ({"kept_round": 0.0}, "irecgan: kept round 0 in 9 of 9 seeds"),
        ({"policy_moved": 0.009}, "irecgan: moved by less than 0.01 in 9 of 9 seeds"),
        ({"discriminator_accuracy": 0.54}, "irecgan: discriminator at chance in 9 of 9 seeds"),
        (
            {"kept_round": 0.0, "policy_moved": 0.0},
            "irecgan: kept round 0 in 9, moved by less than 0.01 in 9 of 9 seeds",
        ),
    ],
)
def test_a_treatment_that_did_nothing_is_refused(dose, reason):
    judgement = judged(rows_of(doses={**GIVEN, **dose}))
    assert judgement.verdict == Verdict.REFUSED
    assert judgement.evidence == ()
    [refusal] = judgement.refusals
    assert refusal.reason == reason
    # The number is shown all the same.
    assert refusal.evidence.difference.mean == pytest.approx(1.004)


@pytest.mark.parametrize(("seeds_with", "verdict"), [(range(4), Verdict.REFUSED), (range(5), Verdict.HOLDS)])
def test_most_seeds_must_have_had_it_and_then_all_count(seeds_with, verdict):
    judgement = judged(rows_of(seeds_with=seeds_with, without={"kept_round": 0.0}))
    assert judgement.verdict == verdict
    assert all(len(evidence.seeds) == 9 for evidence in judgement.evidence)


def test_seeds_that_fail_for_different_reasons_add_up():
    rows = rows_of(seeds_with=range(6), without={"kept_round": 0.0})
    rows = [
        row._replace(value=0.5) if row.metric == "treatment/discriminator_accuracy" and row.job.seed in (0, 1) else row
        for row in rows
    ]
    assert judged(rows).verdict == Verdict.REFUSED


def test_a_claim_about_all_cells_is_undecided_where_some_are_refused_unless_it_is_contradicted():
    nothing = rows_of(("mix", 200), doses={**GIVEN, "kept_round": 0.0})
    judgement = judged(rows_of(), nothing)
    assert judgement.verdict == Verdict.UNDECIDED
    assert judgement.notes == (
        "holds in the 1 comparisons that count",
        "1 comparisons refused: the treatment did nothing",
    )
    assert judged(rows_of(ahead=-1.0), nothing).verdict == Verdict.BEHIND


def test_old_runs_say_that_doses_were_not_recorded():
    judgement = judged(rows_of(doses={}, control={}))
    assert judgement.verdict == Verdict.HOLDS
    assert verdict_text(judgement) == "holds; doses of irecgan not recorded"


def test_unequal_doses_are_named():
    judgement = judged(rows_of(control={**CONTROL, "policy_updates": 800.0}), rows_of(("mix", 200)))
    assert judgement.verdict == Verdict.HOLDS
    assert judgement.notes == ("unequal doses in max(200), irecgan and pgc: policy updates 400 and 800",)
    assert judged(rows_of(control={**CONTROL, "policy_updates": 410.0})).notes == ()


def test_agents_without_an_adversarial_treatment_and_comparisons_of_one_agent_are_never_refused():
    doses = Doses(table(rows_of(doses={**GIVEN, "kept_round": 0.0})))
    assert doses.refusal("simulated_online", ("max", 200), "pgc", range(9)) == ""
    assert doses.refusal("simulated_online", ("max", 200), "irecgan", range(9)) != ""
    itself = Comparison(Quantity("irecgan", "reward"), Quantity("irecgan", "length"))
    claim = Claim("itself", "", "simulated_online", DEPLOYED, (itself,), about=("irecgan",))
    rows = rows_of(doses={**GIVEN, "kept_round": 0.0})
    rows += [row._replace(metric="length/top-k", value=0.0) for row in rows if row.metric == "reward/top-k"]
    assert judge(claim, TOP_K, Runs(table(rows))).verdict == Verdict.HOLDS
    assert judge(replace(HELPS, about=()), TOP_K, Runs(table(rows))).verdict == Verdict.HOLDS


def test_claims_are_about_treatments_of_agents_that_they_compare():
    for claim in CLAIMS:
        compared = {agent for comparison in claim.comparisons for agent in comparison.agents}
        assert set(claim.about) <= compared & set(TREATMENTS), claim.name
    about = {claim.name: claim.about for claim in CLAIMS}
    assert about["The discriminator helps"] == ("irecgan", "pgu")
    assert about["LSTMD over LSTM"] == ("lstmd",)
    assert about["PGIS under PG"] == about["LSTM offline is worst online"] == ()


def test_features_have_the_treatment_of_their_agent():
    rows = [
        row._replace(job=Job("rerank", f"{row.job.agent}+all", "logged", 9, row.job.seed))
        for row in rows_of(doses={**GIVEN, "policy_moved": 0.0})
    ]
    doses = Doses(table(rows))
    reason = "irecgan+all: moved by less than 0.01 in 9 of 9 seeds"
    assert doses.refusal("rerank", ("logged", 9), "irecgan+all", range(9)) == reason


def test_doses_are_shown():
    runs = Runs(table(rows_of()))
    text = claims_markdown([judge(HELPS, TOP_K, runs)], runs)
    assert "**Doses, simulated_online: means over seeds**" in text
    assert "| max(200) | irecgan | 9 | 0 | 7.0 | - | 400 | - | 0.80 | - | - | 0.200 | - |" in text
    assert "| max(200) | pgc | 9 | 9 | 0.0 | - | 400 | - | - | - | - | 0.000 | - |" in text
