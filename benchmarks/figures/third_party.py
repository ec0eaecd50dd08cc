"""The figure of the third-party test: rewards of every algorithm, by the world in which it learned."""

from __future__ import annotations

from matplotlib.figure import Figure
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import summarize
from irecgan_gym.benchmarks.engine.tables import agents_of
from irecgan_gym.benchmarks.figures.style import (
    GREY,
    REFERENCES,
    REWARD,
    SEEING,
    fill_entry,
    interval_ends,
    legend_below,
    legend_entries,
    looks,
    seeds_text,
)

_WORLDS = {
    "env": "in the true env",
    "model": "in the user model",
    "adversarial": "in the user model, Eq 10",
    "": "from the log",
}


def third_party_figure(rows: DataFrame) -> Figure:
    """Draw the mean reward of a session: a row an algorithm, a filling a world, lines for references.

    Args:
        rows: measurements of one log; methods are named ``"algorithm/world"``.
    """
    summary, agents = summarize(rows), agents_of(rows)
    look_of = looks(agents)
    learned = [agent for agent in agents if agent not in REFERENCES]
    algorithms = list(dict.fromkeys(agent.partition("/")[0] for agent in learned))
    fills = dict(zip(_WORLDS, ("full", "left", "none", "top"), strict=True))
    figure = Figure(figsize=(8.0, 1.8 + 0.42 * len(algorithms)), layout="constrained")
    axes = figure.subplots()
    for agent in agents:
        interval = summary.get((agent, "reward/top-k"))
        if interval is None:
            continue
        if agent in REFERENCES:
            # Rewards of those who see the state are far to the right; the title says them.
            if agent not in SEEING:
                axes.axvline(interval.mean, color=GREY, linestyle=REFERENCES[agent].line, lw=1.2, label=agent)
            continue
        name, _, world = agent.partition("/")
        beside = [other for other in learned if other.partition("/")[0] == name]
        axes.errorbar(
            [interval.mean],
            [-algorithms.index(name) + 0.2 * ((len(beside) - 1) / 2 - beside.index(agent))],
            xerr=interval_ends(interval),
            color=look_of[agent].color,
            marker=look_of[agent].marker,
            fillstyle=fills[world],
            linestyle="",
            markersize=5.5,
            elinewidth=1,
        )
    axes.set_yticks([-place for place in range(len(algorithms))], algorithms)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{REWARD}, in the true environment, top-k deployment")
    worlds = [world for world in _WORLDS if any(agent.partition("/")[2] == world for agent in learned)]
    legend_below(figure, {**legend_entries([axes]), **{_WORLDS[world]: fill_entry(fills[world]) for world in worlds}})
    seeing = [f"{agent}: {summary[agent, 'reward/top-k'].mean:.1f}" for agent in SEEING if agent in agents]
    intervals = seeds_text(
        rows["seed"].nunique(), "bars: 95% intervals over seeds", "bars: 95% intervals over sessions"
    )
    axes.set_title("\n".join([intervals, *([f"({', '.join(seeing)})"] if seeing else [])]))
    return figure
