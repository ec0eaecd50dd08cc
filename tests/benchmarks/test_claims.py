"""Verdicts on claims from made-up runs of known effect."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from irecgan_gym.benchmarks.claims.claim import Claim, Comparison, Quantity, Setting, Statistic
from irecgan_gym.benchmarks.claims.command import Claims
from irecgan_gym.benchmarks.claims.judgement import Verdict, judge, judge_all
from irecgan_gym.benchmarks.claims.margins import margin_of
from irecgan_gym.benchmarks.claims.paper import CLAIMS, DEPLOYED
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.claims.tables import claims_markdown, claims_tables, counts_text
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.evaluation.comparisons import Finding
from tests.benchmarks.run_folders import Measurement, table

SAMPLED, TOP_K = DEPLOYED
BETTER = Comparison(Quantity("a", "reward"), Quantity("b", "reward"), except_cells=(("random", 200),))
CLAIM = Claim("a is better", "A is better than b but at random(200).", "simulated_online", DEPLOYED, (BETTER,))
NINE = list(itertools.product(("random", "max", "mix"), (200, 1000, 10000)))


def rows_of(differences, *, experiment="simulated_online", seeds=8, noise=0.01, rng=None):
    """Rewards of a and b, which differ by ``differences`` a cell, with some noise."""
    rng = np.random.default_rng(0) if rng is None else rng
    results = []
    for (policy, size), difference in differences.items():
        for seed in range(seeds):
            world = 3 + rng.random()
            for agent, reward in (("a", world + difference + noise * rng.normal()), ("b", world)):
                results.append(Measurement(Job(experiment, agent, policy, size, seed), "reward/top-k", reward))
    return results


def run_of(differences, **options):
    return Runs(table(rows_of(differences, **options)))


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ({("max", 200): 1.0, ("mix", 200): 0.5}, Verdict.HOLDS),
        ({("max", 200): 1.0, ("mix", 200): -0.5}, Verdict.BEHIND),
        ({("max", 200): 1.0, ("mix", 200): 0.0}, Verdict.UNDECIDED),
        ({("max", 200): 0.0, ("mix", 200): 0.0}, Verdict.EQUIVALENT),
        ({("max", 200): 1.0, ("random", 200): -1.0}, Verdict.HOLDS),
        ({("random", 200): -1.0}, Verdict.UNMEASURED),
    ],
)
def test_a_claim_is_judged_by_all_of_its_comparisons(differences, verdict):
    judgement = judge(CLAIM, TOP_K, run_of(differences))
    assert judgement.verdict == verdict
    assert len(judgement.findings) == len(judgement.evidence) == len(set(differences) - {("random", 200)})


def test_every_deployment_has_a_verdict():
    sampled = [row._replace(metric="reward/sampled", value=-row.value) for row in rows_of({("max", 200): 1.0})]
    runs = Runs(table(rows_of({("max", 200): 1.0}) + sampled))
    verdicts = {judgement.setting.name: judgement.verdict for judgement in judge_all(runs, [CLAIM])}
    assert verdicts == {"sampled": Verdict.BEHIND, "top-k": Verdict.HOLDS}
    sampled, top_k = claims_tables(judge_all(runs, [CLAIM]))
    assert (sampled.caption, top_k.caption) == ("Claims of the paper, sampled", "Claims of the paper, top-k")
    assert top_k.rows[0][:3] == ("a is better", "holds", "1 / 0 / 0 / 0 / 0")


def test_without_an_effect_nine_cells_are_rarely_contradicted():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(40):
        shared = rng.normal(size=10)  # what a seed's training does in all of its cells
        rows = rows_of(dict.fromkeys(NINE, 0.0), seeds=10, noise=0.3, rng=rng)
        rows = [row._replace(value=row.value + 0.3 * shared[row.job.seed] * (row.job.agent == "a")) for row in rows]
        verdicts.append(judge(CLAIM, TOP_K, Runs(table(rows))).verdict)
    assert sum(verdict in (Verdict.HOLDS, Verdict.BEHIND) for verdict in verdicts) <= 4
    # The other way, were one unlucky cell enough, is tested with the families themselves.


def test_one_unlucky_cell_is_not_enough():
    """The interval of one cell of nine is on the wrong side of 0, by as much as chance puts one there."""
    differences = np.array([-0.8, -0.1, -0.6, -0.2, -0.5, -0.9, 0.1, -0.6, -0.3, 0.05])
    rows = []
    for (policy, size), seed in itertools.product(NINE, range(10)):
        value = differences[seed] if (policy, size) == ("mix", 1000) else differences[seed] + 0.4
        for agent, reward in (("a", value), ("b", 0.0)):
            rows.append(Measurement(Job("simulated_online", agent, policy, size, seed), "reward/top-k", reward))
    judgement = judge(CLAIM, TOP_K, Runs(table(rows)))
    [unlucky] = [evidence for evidence in judgement.evidence if evidence.cell == ("mix", 1000)]
    assert unlucky.difference.high < 0
    assert judgement.verdict == Verdict.UNDECIDED
    alone = Runs(table([row for row in rows if row.job.logging_policy == "mix" and row.job.num_sessions == 1000]))
    assert judge(CLAIM, TOP_K, alone).verdict == Verdict.BEHIND


def test_differences_are_paired_by_seed():
    """Seeds differ by hundreds, methods by one: only pairs can tell."""
    rng = np.random.default_rng(0)
    rows = [
        Measurement(Job("simulated_online", agent, "max", 200, seed), "reward/top-k", world + more)
        for seed, world in enumerate(100 * rng.random(12))
        for agent, more in (("a", 1 + 0.1 * rng.random()), ("b", 0.0))
    ]
    rows.append(Measurement(Job("simulated_online", "b", "max", 200, 99), "reward/top-k", 1e6))
    [evidence] = judge(CLAIM, TOP_K, Runs(table(rows))).evidence
    assert evidence.seeds == tuple(range(12))
    assert 1 < evidence.difference.low < evidence.difference.mean < evidence.difference.high < 1.1


def test_differences_below_the_margin_are_said_to_be_small():
    judgement = judge(CLAIM, TOP_K, run_of({("max", 200): 0.03}, noise=0.001))
    assert judgement.verdict == Verdict.HOLDS
    assert judgement.notes == ("1 of the differences found are below the margin",)


def test_logs_of_two_policies_are_compared_by_seed():
    worse = Comparison(Quantity("a", "reward"), Quantity("a", "reward", "mix"), policies=("max",))
    claim = Claim("mix is worse", "", "simulated_online", DEPLOYED, (worse,))
    judgement = judge(claim, TOP_K, run_of({("max", 200): 1.0, ("mix", 200): 0.0}))
    [evidence] = judgement.evidence
    assert (evidence.cell, judgement.verdict) == (("max", 200), Verdict.HOLDS)
    assert "a: reward/top-k - reward/top-k after mix | +1." in claims_markdown([judgement], Runs(table([])))


def test_spreads_are_compared_as_ratios():
    rng = np.random.default_rng(0)
    wilder = Comparison(Quantity("a", "reward"), Quantity("b", "reward"), statistic=Statistic.SPREAD)
    claim = Claim("a is wilder", "", "simulated_online", DEPLOYED, (wilder,))
    rows = [
        Measurement(Job("simulated_online", agent, "max", 200, seed), "reward/top-k", scale * rng.normal())
        for seed in range(10)
        for agent, scale in (("a", 9.0), ("b", 1.0))
    ]
    judgement = judge(claim, TOP_K, Runs(table(rows)))
    assert judgement.verdict == Verdict.HOLDS
    text = claims_markdown([judgement], Runs(table([])))
    assert "standard deviation over seeds of reward/top-k: a / b | x " in text
    assert "| x 1.25 |" in text


def test_runs_of_other_experiments_say_nothing():
    runs = run_of({("max", 200): 1.0}, experiment="rerank")
    assert judge(CLAIM, TOP_K, runs).verdict == Verdict.UNMEASURED


def test_what_is_not_measured_keeps_a_claim_from_holding():
    more = Claim("a is best", "", "simulated_online", DEPLOYED, (BETTER, _against("c")))
    judgement = judge(more, TOP_K, run_of({("max", 200): 1.0, ("mix", 200): 1.0}))
    assert judgement.verdict == Verdict.UNDECIDED
    assert judgement.findings == (Finding.AHEAD,) * 2
    assert judgement.notes == (
        "holds in the 2 comparisons that count",
        "2 comparisons not measured (reward of a and c)",
    )
    assert judge(more, TOP_K, run_of({("max", 200): -1.0})).verdict == Verdict.BEHIND


def _against(other):
    return Comparison(Quantity("a", "reward"), Quantity(other, "reward"))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_every_claim_of_the_paper_says_what_it_is_about(claim):
    assert claim.settings
    assert all(isinstance(setting, Setting) for setting in claim.settings)
    assert all(margin_of(comparison) > 0 for comparison in claim.comparisons)
    assert len({setting.name for setting in claim.settings}) == len(claim.settings)


def test_claims_have_names_of_their_own():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_the_command_writes_all_numbers(tmp_path, capsys):
    table(rows_of({("max", 200): 1.0})).to_csv(tmp_path / "results.csv", index=False)
    out = tmp_path / "claims.md"
    assert command_line(Claims, [str(tmp_path), "--markdown", str(out)]) == 0
    assert "IRecGAN earns most" in out.read_text()
    assert "not measured" in capsys.readouterr().out
    runs = run_of({("max", 200): 1.0})
    judgement = judge(CLAIM, TOP_K, runs)
    assert counts_text(judgement) == "1 / 0 / 0 / 0 / 0"
    text = claims_markdown([judgement], runs)
    mean = judgement.evidence[0].difference.mean
    assert mean == pytest.approx(1, abs=0.01)
    assert f"max(200) | reward/top-k: a - b | {mean:+.3f} (" in text
    assert "| 0.1 | 8 | as said |" in text
    assert "**Doses, simulated_online: not recorded**" in text


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert command_line(Claims, [str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err.replace("\n", "")
    assert command_line(Claims, []) == 2


def test_two_runs_of_the_same_jobs_are_refused(tmp_path, capsys):
    for name in ("fast", "paper"):
        (tmp_path / name).mkdir()
        table(rows_of({("max", 200): 1.0})).to_csv(tmp_path / name / "results.csv", index=False)
    assert command_line(Claims, [str(tmp_path / "fast"), str(tmp_path / "paper")]) == 2
    assert "two runs hold measurements of a on max(200), seed 0" in " ".join(capsys.readouterr().err.split())


def test_features_that_nothing_was_given_are_left_out_where_others_tell():
    settings = (*(Setting(name, name) for name in ("top-k", "sampled")), Setting("top-k, all", "top-k", "all"))
    claim = replace(CLAIM, settings=settings)

    def shown(*agents):
        results = [
            Measurement(Job("simulated_online", agent, "max", 200, seed), "reward/top-k", float(seed))
            for agent in agents
            for seed in range(5)
        ]
        return [one.setting.name for one in judge_all(Runs(table(results)), [claim])]

    assert shown("a", "b") == ["top-k", "sampled"]
    assert shown("a+all", "b+all") == ["top-k, all"]
    assert shown("a", "b", "a+all", "b+all") == ["top-k", "sampled", "top-k, all"]
    assert shown("c") == ["top-k", "sampled", "top-k, all"]


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ([], "no run of simulated_online"),
        ([("a", "max", 200, seed) for seed in range(5)], "no results of b (reward/top-k)"),
        ([(agent, "random", 200, seed) for agent in "ab" for seed in range(5)], "no logs that it is about"),
        (
            [(agent, "max", 200, seed) for agent in "ab" for seed in range(4)],
            "fewer than 5 seeds of both sides (4 in all)",
        ),
    ],
)
def test_what_is_not_measured_says_why(rows, missing):
    results = [
        Measurement(Job("simulated_online", agent, policy, size, seed), "reward/top-k", float(seed))
        for agent, policy, size, seed in rows
    ]
    runs = Runs(table(results))
    judgement = judge(CLAIM, TOP_K, runs)
    assert judgement.verdict == Verdict.UNMEASURED
    assert judgement.missing.startswith(missing)
    assert missing in claims_markdown([judgement], runs)
