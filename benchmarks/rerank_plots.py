"""The figure of re-ranking: a line a method, a mark for each set of features that it was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from irecgan_gym.benchmarks.measurements import Measurement
from irecgan_gym.benchmarks.plot_style import COLOURS, GREY, MARKERS, legend_below, legend_entries
from irecgan_gym.benchmarks.rerank_features import FEATURES, SEPARATOR
from irecgan_gym.benchmarks.tables import MIN_SEEDS, agents_of, summarize
from matplotlib.figure import Figure

_FEATURE_NAMES = {"none": "clicks alone", "all": "all that the log says"}


def rerank_figure(rows: Sequence[Measurement]) -> Figure:
    """p@1 and p@10 of every method's top items, with intervals; one line for a method with several sets of features.

    Args:
        rows: measurements of one data set.
    """
    summary, agents = summarize(rows, between_seeds=True), agents_of(rows)
    methods = list(dict.fromkeys(agent.partition(SEPARATOR)[0] for agent in agents))
    trained = {agent.partition(SEPARATOR)[0] for agent in agents if SEPARATOR in agent}
    measures = sorted(
        {row.metric.partition("/")[0] for row in rows if row.metric.startswith("p@") and "_" not in row.metric},
        key=lambda measure: int(measure.removeprefix("p@")),
    )
    figure = Figure(figsize=(4.2 * len(measures), 1.2 + 0.24 * len(methods)), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    for axes, measure in zip(panels, measures, strict=True):
        for agent in agents:
            method, _, features = agent.partition(SEPARATOR)
            interval = summary.get((agent, f"{measure}/top-k"))
            if interval is None:
                continue
            place = list(FEATURES).index(features or "none")
            plain = method not in trained and not features
            axes.errorbar(
                interval.mean * 100,
                methods.index(method),
                xerr=np.nan_to_num([[interval.mean - interval.low], [interval.high - interval.mean]]) * 100,
                color=GREY if plain else COLOURS[place],
                marker="o" if plain else MARKERS[place],
                markersize=5,
                linewidth=1.2,
                label="simple ranking" if plain else _FEATURE_NAMES.get(features or "none", features),
            )
        axes.set(title=f"{measure} (%)", yticks=range(len(methods)), xlim=(0, None))
        axes.set_yticklabels(methods)
        axes.grid(visible=False, axis="y")
    panels[0].invert_yaxis()
    legend_below(figure, *legend_entries(panels))
    seeds = len({row.job.seed for row in rows})
    over = "seeds" if seeds >= MIN_SEEDS else "the test users"
    figure.suptitle(f"clicks found by re-ranking logged lists (bars: 95% intervals over {over})", fontsize=10)
    return figure
