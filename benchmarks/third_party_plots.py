"""The figure of the third-party test: what every algorithm earns, by the world in which it learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from irecgan_gym.benchmarks.measurements import Measurement
from irecgan_gym.benchmarks.plot_style import COLOURS, GREY, MARKERS, REFERENCES, SEEING, legend_entries
from irecgan_gym.benchmarks.tables import MIN_SEEDS, agents_of, summarize
from matplotlib.figure import Figure


def third_party_figure(rows: Sequence[Measurement]) -> Figure:
    """Mean reward of a session: a row an algorithm, a mark a world that it learnt in, lines for the references.

    Args:
        rows: measurements of one log; methods are named ``"algorithm/world"``.
    """
    summary, agents = summarize(rows, between_seeds=True), agents_of(rows)
    learned = [agent for agent in agents if agent not in REFERENCES]
    algorithms = list(dict.fromkeys(agent.partition("/")[0] for agent in learned))
    worlds = list(dict.fromkeys(_world(agent) for agent in learned))
    figure = Figure(figsize=(8.0, 1.6 + 0.42 * len(algorithms)), layout="constrained")
    axes = figure.subplots()
    for agent in agents:
        interval = summary.get((agent, "reward/top-k"))
        # What is earned by those who see the state is far to the right; the title says it.
        if interval is not None and agent in REFERENCES and agent not in SEEING:
            axes.axvline(interval.mean, color=GREY, linestyle=REFERENCES[agent], lw=1.2, label=agent)
    for number, world in enumerate(worlds):
        for agent in learned:
            interval = summary.get((agent, "reward/top-k"))
            if interval is None or _world(agent) != world:
                continue
            name = agent.partition("/")[0]
            beside = [other for other in learned if other.partition("/")[0] == name]
            place = -algorithms.index(name) + 0.2 * ((len(beside) - 1) / 2 - beside.index(agent))
            ends = np.nan_to_num([[interval.mean - interval.low], [interval.high - interval.mean]])
            axes.errorbar(
                [interval.mean],
                [place],
                xerr=ends,
                color=COLOURS[number],
                marker=MARKERS[number],
                linestyle="",
                markersize=5,
                elinewidth=1,
                label=world,
            )
    axes.set_yticks([-place for place in range(len(algorithms))], algorithms)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("mean reward of a session in the true environment, top-k deployment")
    handles, labels = legend_entries([axes])
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    seeds = len({row.job.seed for row in rows})
    spread = "over seeds" if seeds >= MIN_SEEDS else "over sessions"
    seeing = [f"{agent}: {summary[agent, 'reward/top-k'].mean:.1f}" for agent in SEEING if agent in agents]
    lines = [f"seeds: {seeds}; bars: 95% intervals {spread}", *([f"({', '.join(seeing)})"] if seeing else [])]
    axes.set_title("\n".join(lines))
    return figure


def _world(agent: str) -> str:
    """Where a method learnt, for the legend."""
    world = agent.partition("/")[2]
    names = {"env": "in the true env", "model": "in the user model", "adversarial": "in the user model, Eq 10"}
    return names.get(world, "from the log")
