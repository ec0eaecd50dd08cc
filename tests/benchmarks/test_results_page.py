"""The tables of benchmarks/RESULTS.md are those of the runs that are published with it."""

from pathlib import Path

import pytest

from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.benchmarks.results_page import fill_tables

RESULTS = Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"
HEADER = "experiment,agent,logging_policy,num_sessions,seed,metric,value\n"


def run(folder: Path, values: dict[tuple[str, str], list[float]], metric: str = "reward/top-k") -> Path:
    """Write a run folder with a metric by agent and logging policy, a value a seed, and return the folder of runs."""
    (folder / "run").mkdir()
    lines = [
        f"simulated_online,{agent},{policy},1000,{seed},{metric},{value}\n"
        for (agent, policy), of in values.items()
        for seed, value in enumerate(of)
    ]
    (folder / "run" / "results.csv").write_text(HEADER + "".join(lines))
    return folder


def page(words: str, content: str = "old\n") -> str:
    return f"before\n<!-- table: {words} -->\n{content}<!-- end of table -->\nafter <!-- a comment -->\n"


def test_the_page_of_results_shows_what_is_published() -> None:
    text = RESULTS.read_text(encoding="utf-8")
    assert text.count("<!-- table:") >= 5
    assert fill_tables(text, RESULTS.parent / "published") == text


def test_cells_are_in_the_order_of_the_paper_and_what_is_around_stays(tmp_path: Path) -> None:
    runs = run(tmp_path, {("pg", "mix"): [1, 2, 3, 4, 5], ("pg", "random"): [2, 2, 2, 2, 2], ("ac", "mix"): [1, 1]})
    filled = fill_tables(page("cells run reward/top-k"), runs)
    rows = "| agent | random(1,000) | mix(1,000) |\n| --- | --- | --- |\n| pg | 2.00 ± 0.00 | 3.00 ± 1.96 |\n"
    assert filled == page("cells run reward/top-k", "\n" + rows + "| ac | - | 1.00 |\n\n")
    assert fill_tables(filled, runs) == filled


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    runs = run(tmp_path, {("pg", "max"): [1, 5, 9], ("irecgan", "max"): [2, 6, 10]})
    filled = fill_tables(page("differences run irecgan:pg"), runs)
    assert "| irecgan less pg, top-k | +1.00 ± 0.00 |\n| irecgan less pg, sampled | - |\n" in filled


def test_planners_are_compared_by_world_and_counted(tmp_path: Path) -> None:
    runs = run(tmp_path, {("auto", "RecSim-v0/max"): [2, 2.5, 3], ("pg", "RecSim-v0/max"): [1, 1.5, 2]})
    filled = fill_tables(page("planners run auto pg"), runs)
    assert "| RecSim-v0/max (1,000) | 2.50 | 1.50 (+1.00 ± 0.00) | - | - |\n" in filled
    assert "| pg | 1 | 1 | 1 | 0 |\n" in filled
    assert fill_tables(filled, runs) == filled


def test_variants_are_compared_with_their_own_agent(tmp_path: Path) -> None:
    values = {
        ("pg", "max"): [1, 2],
        ("pg+gamma=0.5", "max"): [0, 1],
        ("lstm", "max"): [9, 9],
        ("pg+all", "max"): [3, 3],
    }
    filled = fill_tables(page("variants run reward/top-k"), run(tmp_path, values))
    assert "| --- | --- |\n| `pg` | (1.50) |\n| `pg+gamma=0.5` | -1.00 ± 0.00 |\n\n" in filled


def test_metrics_can_be_per_cent(tmp_path: Path) -> None:
    runs = run(tmp_path, {("pg", "logged"): [0.25, 0.75]}, "p@1/top-k")
    assert "| pg | 50.0 |\n" in fill_tables(page("metrics run p@1/top-k*100"), runs)


def test_doses_are_those_of_the_treatment(tmp_path: Path) -> None:
    runs = run(tmp_path, {("pgc", "max"): [100, 300]}, "treatment/sessions_seen")
    assert "| pgc, max(1,000) | - | 200 | - | - | - | - |\n" in fill_tables(page("doses run pgc"), runs)


def test_biases_are_shown_after_the_rounds_asked_for(tmp_path: Path) -> None:
    names = ("value/true", "bias/model", "bias/rescaled", "bias/rescaled-mean", "bias/eq-12", "delta/mean")
    names += ("delta/absolute", "delta-1", "delta-2/first-step", "delta-2")
    lines = [
        f"value_bias,irecgan,RecSim-v0/max,1000,{seed},{name}/round-{number:02},{value}\n"
        for number in range(4)
        for name in names
        for seed, value in enumerate((1.0, 3.0))
    ]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.csv").write_text(HEADER + "".join(lines))
    filled = fill_tables(page("biases run 0 3"), tmp_path)
    rows = [line.split(" | ") for line in filled.splitlines() if line.startswith("| RecSim-v0/max (1,000) |")]
    assert [row[1] for row in rows] == ["0", "3"]
    assert rows[0][2:4] == ["2.00 ± 12.71", "+2.00 ± 12.71"]


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"table: pie run: expected one of claims, folds, cells, .*, got pie"):
        fill_tables(page("pie run"), tmp_path)


def test_a_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no run folder"):
        fill_tables(page("cells none reward/top-k"), tmp_path)
