"""Verdicts on claims from made-up runs."""

from __future__ import annotations

import numpy as np
import pytest

from irecgan_gym.benchmarks.claims import CLAIMS, Claim, Claims, Comparison, Verdict, claims_markdown, judge
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.job import Job
from tests.benchmarks.run_folders import Measurement, table

BETTER = Comparison(("a", "reward/top-k"), ("b", "reward/top-k"), except_cells=(("random", 200),))
CLAIM = Claim("a is better", "A is better than b but at random(200).", "simulated_online", (BETTER,))


def run_of(differences, *, experiment="simulated_online"):
    """Rewards of a and b, which differ by ``differences`` a cell, with some noise."""
    rng = np.random.default_rng(0)
    results = []
    for (policy, size), difference in differences.items():
        for seed in range(8):
            world = rng.random()
            for agent, reward in (("a", world + difference + 0.01 * rng.random()), ("b", world)):
                results.append(Measurement(Job(experiment, agent, policy, size, seed), "reward/top-k", reward))
    return table(results)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ({("max", 200): 1.0, ("mix", 200): 0.5}, Verdict.HOLDS),
        ({("max", 200): 1.0, ("mix", 200): -0.5}, Verdict.FAILS),
        ({("max", 200): 1.0, ("mix", 200): -0.005}, Verdict.UNDECIDED),
        ({("max", 200): 1.0, ("random", 200): -1.0}, Verdict.HOLDS),
        ({("random", 200): -1.0}, Verdict.UNMEASURED),
    ],
)
def test_a_claim_holds_only_if_every_comparison_does(differences, verdict):
    assert judge(CLAIM, run_of(differences)).verdict == verdict


def test_runs_of_other_experiments_say_nothing():
    assert judge(CLAIM, run_of({("max", 200): 1.0}, experiment="rerank")).verdict == Verdict.UNMEASURED


def test_every_claim_of_the_paper_can_be_judged():
    """A run in which every comparison comes out as the paper says makes the claim hold."""
    for claim in CLAIMS:
        values = {}
        for comparison in claim.comparisons:
            values.setdefault(comparison.smaller, 0.0)
            values[comparison.greater] = max(values.get(comparison.greater, 0.0), values[comparison.smaller] + 1.0)
        for _ in claim.comparisons:  # chains, such as PGU between PG and IRecGAN
            for comparison in claim.comparisons:
                floor = values[comparison.smaller] + 1.0
                values[comparison.greater] = max(values[comparison.greater], floor)
        results = [
            Measurement(Job(claim.experiment, agent, policy, size, seed), metric, value)
            for policy in ("random", "max", "mix")
            for size in (200, 1000)
            for seed in range(5)
            for (agent, metric), value in values.items()
        ]
        assert judge(claim, table(results)).verdict == Verdict.HOLDS, claim.name


def test_the_command_writes_all_numbers(tmp_path, capsys):
    run_of({("max", 200): 1.0}).to_csv(tmp_path / "results.csv", index=False)
    out = tmp_path / "claims.md"
    assert command_line(Claims, [str(tmp_path), "--markdown", str(out)]) == 0
    assert "IRecGAN earns most" in out.read_text()
    assert "not measured" in capsys.readouterr().out
    judgement = judge(CLAIM, run_of({("max", 200): 1.0}))
    assert "max(200) | reward/top-k: a - b | +1.0" in claims_markdown([judgement])


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert command_line(Claims, [str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err.replace("\n", "")
    assert command_line(Claims, []) == 2


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
    judgement = judge(CLAIM, table(results))
    assert judgement.verdict == Verdict.UNMEASURED
    assert judgement.missing.startswith(missing)
    assert missing in claims_markdown([judgement])
