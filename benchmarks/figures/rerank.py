"""The figure of re-ranking: a row a method, a filling for each set of features that it was given."""

from __future__ import annotations

from matplotlib.figure import Figure
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import summarize
from irecgan_gym.benchmarks.engine.tables import agents_of
from irecgan_gym.benchmarks.figures.style import REFERENCES, fill_entry, interval_ends, legend_below, looks, seeds_text
from irecgan_gym.benchmarks.rerank_features import FEATURES, of_label

_FEATURE_NAMES = {"none": "clicks alone", "all": "all that the log says"}
_FILLS = {
    "none": "none",
    "events": "left",
    "recall": "right",
    "positions": "top",
    "events-recall": "bottom",
    "all": "full",
    "listwise": "full",
    "events-recall-listwise": "left",
}


def rerank_figure(rows: DataFrame) -> Figure:
    """Draw p@1 and p@10 of every method's top items, with intervals; one row a method, whatever its features.

    Args:
        rows: measurements of one data set.
    """
    summary, agents = summarize(rows), agents_of(rows)
    look_of = looks(agents)
    methods = list(dict.fromkeys(of_label(agent)[0] for agent in agents))
    places = [metric.partition("/")[0].removeprefix("p@") for _, metric in summary if metric.startswith("p@")]
    measures = [f"p@{place}" for place in sorted({int(place) for place in places if place.isdigit()})]
    figure = Figure(figsize=(4.2 * len(measures), 1.3 + 0.24 * len(methods)), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    learned = [agent for agent in agents if agent not in REFERENCES]
    used = [name for name in FEATURES if any(_features(agent) == name for agent in learned)]
    for axes, measure in zip(panels, measures, strict=True):
        for agent in agents:
            interval = summary.get((agent, f"{measure}/top-k"))
            if interval is not None:
                axes.errorbar(
                    interval.mean * 100,
                    methods.index(of_label(agent)[0]),
                    xerr=interval_ends(interval, 100),
                    color=look_of[agent].color,
                    marker=look_of[agent].marker or "d",
                    fillstyle="full" if agent in REFERENCES else _FILLS[_features(agent)],
                    markeredgecolor=_edge(_features(agent)),
                    markersize=5,
                    linewidth=1.2,
                )
        axes.set(title=measure, xlabel="% of lists", yticks=range(len(methods)), xlim=(0, None))
        axes.set_yticklabels(methods)
        axes.grid(visible=False, axis="y")
    panels[0].invert_yaxis()
    simple = {"simple ranking": fill_entry("full", "d")} if set(agents) & set(REFERENCES) else {}
    legend_below(
        figure, simple | {_FEATURE_NAMES.get(name, name): fill_entry(_FILLS[name], edge=_edge(name)) for name in used}
    )
    # Whatever the number of seeds: they have one test set.
    over_users = "bars: 95% intervals over the test users"
    intervals = seeds_text(rows["seed"].nunique(), over_users, over_users)
    figure.suptitle(f"clicks found by re-ranking logged lists, {intervals}", fontsize=10)
    return figure


def _edge(features: str) -> str | None:
    """Return the color of markers' edges: black where features of the entries of lists take part."""
    return "black" if FEATURES[features].listwise else None


def _features(agent: str) -> str:
    return of_label(agent)[1]
