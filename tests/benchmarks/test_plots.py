"""Figures and tables come from the rows alone."""

import io
import itertools

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.summaries import Measure, measurement_tables, normalized_rows, summarize
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.experiments import figures_of
from irecgan_gym.benchmarks.figures.online import coverage_grid_figure, online_figure, reward_grid_figure
from irecgan_gym.benchmarks.figures.rerank import rerank_figure
from irecgan_gym.benchmarks.figures.run import draw
from irecgan_gym.benchmarks.figures.style import looks
from irecgan_gym.benchmarks.plots import Plots
from tests.benchmarks.run_folders import Measurement, TrainingRecord, table, write_rows

TWELVE = tuple(f"agent{number}" for number in range(12))


def online_rows(seeds, agents=("logging-policy", "random", "irecgan", "pg"), policies=("max",), sizes=(200,)):
    rng = np.random.default_rng(0)
    rows = []
    for policy, size in itertools.product(policies, sizes):
        for seed in range(seeds):
            for agent in agents:
                job = Job("simulated_online", agent, policy, size, seed)
                kinds = ("logged",) if agent == "logging-policy" else ("top-k", "sampled")
                for kind in kinds:
                    reward = {"random": 1.0, "belief": 5.0, "optimal": 9.0}.get(agent, rng.uniform(2, 4))
                    values = {"reward": reward, "reward_low": reward - 0.1, "reward_high": reward + 0.1, "length": 3.0}
                    values |= {f"coverage@{r}": rng.uniform() for r in range(1, 11)}
                    rows += [Measurement(job, f"{name}/{kind}", value) for name, value in values.items()]
    return rows


def rerank_rows():
    rows = []
    for agent, precision in (("random", 0.04), ("popularity", 0.06), ("irecgan", 0.08)):
        job = Job("rerank", agent, "logged", 1000, 0)
        for kind in ("top-k", "sampled"):
            for name, value in (("p@1", precision), ("p@10", 5 * precision), ("mrr", 2 * precision)):
                ends = ((name, value), (f"{name}_low", value - 0.01), (f"{name}_high", value + 0.01))
                rows += [Measurement(job, f"{metric}/{kind}", number) for metric, number in ends]
    return rows


def training_rows():
    return [
        TrainingRecord(Job("simulated_online", agent, "max", 200, seed), metric, float(step), step)
        for agent in ("irecgan", "pg")
        for seed in range(2)
        for metric in ("train/policy_loss", "disc/accuracy")
        for step in range(3)
    ]


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


@pytest.mark.parametrize("seeds", [1, 2, 6])
def test_online_figures_from_results_alone(tmp_path, seeds):
    (tmp_path / "results.csv").write_text(write_rows(Measurement, online_rows(seeds)))
    written = draw(tmp_path, figures_of)
    assert [path.name for path in written] == ["simulated_online-max-200.png"]
    assert is_png(written[0])
    svg = written[0].with_suffix(".svg").read_text()
    for label in ("irecgan", "pg", "random", "logging-policy", "top-k"):
        assert f">{label}<" in svg


def test_a_figure_a_cell_and_the_training(tmp_path):
    (tmp_path / "results.csv").write_text(write_rows(Measurement, online_rows(2, policies=("max", "mix"))))
    (tmp_path / "training.csv").write_text(write_rows(TrainingRecord, training_rows()))
    assert command_line(Plots, [str(tmp_path)]) == 0
    assert {path.name for path in (tmp_path / "plots").glob("*.png")} == {
        "simulated_online-max-200.png",
        "simulated_online-mix-200.png",
        "training-max-200.png",
        "figure2-reward.png",
        "figure2-coverage-top-k.png",
        "figure2-coverage-sampled.png",
    }


def panels(figure):
    return {axes.get_title(): axes for axes in figure.get_axes()}


@pytest.mark.parametrize(("agents", "seeds"), [(("pg",), 1), (TWELVE, 2), (TWELVE, 6)])
def test_a_grid_has_a_panel_a_cell_and_a_row_an_agent(agents, seeds):
    rows = online_rows(seeds, ("logging-policy", "random", *agents), ("random", "mix"), (1000, 200))
    found = panels(reward_grid_figure(table(rows), "reward", "mean reward"))
    assert list(found) == [
        "random, 200 sessions",
        "random, 1,000 sessions",
        "mix, 200 sessions",
        "mix, 1,000 sessions",
    ]
    labels = [label.get_text() for label in found["mix, 200 sessions"].get_yticklabels()]
    assert labels == ["random", *agents]
    for axes in found.values():
        # Two deployments of each, with an interval.
        assert len(axes.containers) == 2 * (1 + len(agents))
    for deployment in ("top-k", "sampled"):
        figure = coverage_grid_figure(table(rows), deployment)
        assert set(panels(figure)) == set(found)
        assert len(figure.legends[0].get_texts()) == 2 + len(agents)


def test_points_are_the_means_over_seeds():
    rows = online_rows(6, ("random", "pg"), ("max",), (200, 1000))
    axes = panels(reward_grid_figure(table(rows), "reward", "mean reward"))["max, 1,000 sessions"]
    rewards = [
        row.value for row in rows if (row.job.agent, row.job.num_sessions, row.metric) == ("pg", 1000, "reward/top-k")
    ]
    [point] = axes.containers[2].lines[0].get_xdata()
    assert point == pytest.approx(np.mean(rewards))


def test_a_grid_that_is_not_finished():
    rows = [*online_rows(1, ("random", "pg"), ("max",), (200,)), *online_rows(1, ("random",), ("mix",), (1000,))]
    found = panels(reward_grid_figure(table(rows), "reward", "mean reward"))
    assert len(found["max, 200 sessions"].containers) == 4
    assert len(found["mix, 1,000 sessions"].containers) == 2
    assert len(found["mix, 200 sessions"].containers) == 0
    assert len(coverage_grid_figure(table(rows), "top-k").get_axes()) == 4


def test_scales_of_the_references(tmp_path):
    names = ("random", "belief", "optimal", "pg")
    (tmp_path / "results.csv").write_text(write_rows(Measurement, online_rows(2, names, ("max", "mix"))))
    assert {path.name for path in draw(tmp_path, figures_of)} >= {
        "figure2-reward-belief.png",
        "figure2-reward-optimal.png",
    }
    rows = normalized_rows(table(online_rows(2, names, ("max", "mix"))))
    axes = panels(reward_grid_figure(rows, "normalized", "reward"))["max, 200 sessions\n(optimal: 2.0)"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["random", "belief", "pg"]
    points = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert points[:4] == [0, 0, 1, 1]
    assert 0.25 <= points[4] <= 0.75


def test_twelve_agents_look_different():
    found = looks(["random", "belief", *TWELVE])
    assert len({(look.color, look.marker) for agent, look in found.items() if agent in TWELVE}) == 12
    figure = online_figure(table(online_rows(2, ("logging-policy", "random", *TWELVE))))
    assert len(figure.legends[0].get_texts()) == 14
    bars = figure.get_axes()[2].containers
    assert len([bar for bar in bars if bar.get_label() in TWELVE]) == 12


def test_rerank_figure(tmp_path):
    (tmp_path / "results.csv").write_text(write_rows(Measurement, rerank_rows()))
    [path] = draw(tmp_path, figures_of)
    assert is_png(path)
    assert ">p@10<" in path.with_suffix(".svg").read_text()


def test_drawing_again_gives_the_same_files(tmp_path):
    (tmp_path / "results.csv").write_text(write_rows(Measurement, rerank_rows()))
    first = {path.name: path.read_bytes() for path in draw(tmp_path, figures_of)[0].parent.iterdir()}
    second = {path.name: path.read_bytes() for path in draw(tmp_path, figures_of)[0].parent.iterdir()}
    assert first == second


def test_no_results_no_figures(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.csv"):
        draw(tmp_path, figures_of)


def test_summary_over_few_and_many_seeds():
    few = summarize(table(online_rows(2)))["pg", "reward/top-k"]
    assert few.half_width == pytest.approx(0.1)
    rewards = [row.value for row in online_rows(6) if row.job.agent == "pg" and row.metric == "reward/top-k"]
    many = summarize(table(online_rows(6)))["pg", "reward/top-k"]
    assert many.mean == pytest.approx(np.mean(rewards))
    assert many.half_width == pytest.approx(2.570582 * np.std(rewards, ddof=1) / np.sqrt(6), rel=1e-5)


def test_tables_show_every_agent_that_was_measured():
    [found] = measurement_tables(table(rerank_rows()), [Measure("p@1/top-k", "p@1", 100, 1), Measure("mrr/no", "no")])
    assert found.rows == [("random", "4.0 ± 1.0"), ("popularity", "6.0 ± 1.0"), ("irecgan", "8.0 ± 1.0")]


def test_wide_tables_are_printed_in_parts_of_eighty_columns():
    names = [f"metric {number}" for number in range(12)]
    found = text_table("caption", ("agent", *names), [("an-agent", *[f"{n}.25 ± 0.50" for n in range(12)])])
    text = io.StringIO()
    found.print(Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("an-agent" in line for line in lines) == 3
    for number in range(12):
        assert sum(f" {number}.25 ± 0.50" in line for line in lines) == 1


def test_a_method_looks_the_same_in_every_figure():
    everywhere = looks(["random", "irecgan", "pg", "lstm", "lstmd", "pgis", "ac", "pgu", "acu", "pgc"])
    assert looks(["pg", "own-agent", "irecgan"])["irecgan"] == everywhere["irecgan"]
    assert looks(["pg+all"])["pg+all"] == everywhere["pg"]
    assert looks(["ppo/model"])["ppo/model"] == looks(["ppo/env", "ppo"])["ppo/env"]
    assert len({(look.color, look.marker, look.line) for look in everywhere.values()}) == 10
    # Unknown ones depend on their name alone, not on who else is there.
    assert looks(["mine:Agent"])["mine:Agent"] == looks(["irecgan", "pg", "mine:Agent", "random"])["mine:Agent"]


def test_hatches_of_references_are_in_the_legend():
    [legend] = online_figure(table(online_rows(2))).legends
    patches = [handle for handle in legend.findobj(Rectangle) if handle.get_hatch()]
    assert [patch.get_hatch() for patch in patches] == ["///"]
    assert [text.get_text() for text in legend.get_texts()] == ["logging-policy", "random", "irecgan", "pg"]


def test_axes_say_their_unit():
    rows = table(online_rows(2))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in online_figure(rows).get_axes()]
    assert labels[0] == ("r (number of best items)", "share found")
    assert labels[2] == ("deployment", "successful clicks")
    for axes in rerank_figure(table(rerank_rows())).get_axes():
        assert axes.get_xlabel() == "% of lists"
