"""The figure of biases: how far the values that a user model gives a policy are from the true one, by round."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from irecgan_gym.benchmarks.engine.summaries import summarize
from irecgan_gym.benchmarks.engine.tables import cells_of
from irecgan_gym.benchmarks.figures.online import curve
from irecgan_gym.benchmarks.figures.online_learning import metrics_by_round
from irecgan_gym.benchmarks.figures.run import Figures
from irecgan_gym.benchmarks.figures.style import Look, legend_below, legend_entries, seeds_text

_VALUES = {
    "bias/model": ("by the user model", Look("#D55E00", "o")),
    "bias/rescaled": ("rescaled by q", Look("#0072B2", "s")),
    "bias/rescaled-mean": ("rescaled by q over its mean", Look("#009E73", "^", "--")),
    "bias/eq-12": ("halves of Eq 12: rescaled, and the log's mean", Look("#CC79A7", "v", "--")),
}


def bias_figures(rows: DataFrame) -> Figures:
    """Return the figure of biases by round, if there is anything to draw."""
    return {"value-bias": lambda: bias_figure(rows)} if set(_VALUES) <= set(metrics_by_round(rows)) else {}


def bias_figure(rows: DataFrame) -> Figure:
    """Draw a panel for each cell: a value's bias by round, a line for each way to find the value.

    Args:
        rows: measurements named ``bias/model/round-03`` of one agent.
    """
    metrics, cells = metrics_by_round(rows), cells_of(rows)
    figure = Figure(figsize=(max(5.0, 3.2 * len(cells)), 3.3), layout="constrained")
    panels = figure.subplots(1, len(cells), squeeze=False, sharey=True)[0]
    for axes, ((_, policy, size), of_cell) in zip(panels, cells.items(), strict=True):
        summary, [agent] = summarize(of_cell), of_cell["agent"].unique()
        axes.axhline(0, color="black", lw=0.8)
        for measure, (label, look) in _VALUES.items():
            # Bands belong to an agent; here each line is a measure of the one agent there is.
            renamed = {(label, metric): summary[agent, metric] for metric in metrics[measure].values()}
            curve(axes, of_cell, renamed, metrics[measure], label, look)
        axes.set(title=f"{policy} ({size:,})", xlabel="round")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panels[0].set_ylabel("value less the true one")
    legend_below(figure, legend_entries(list(panels)))
    intervals = seeds_text(rows["seed"].nunique(), "bands: 95% intervals over seeds", "thin lines: seeds")
    figure.suptitle(f"bias of a policy's value, reward of a session, {intervals}", fontsize=10)
    return figure
