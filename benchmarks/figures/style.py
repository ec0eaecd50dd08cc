"""Looks that the figures share: one color and marker a method everywhere; and how figures are written."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from irecgan_gym.benchmarks.engine.statistics import MIN_SEEDS
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.storage.files import write_atomically

# Okabe and Ito's colors, which stay apart for color-blind readers, and a brown; markers repeat the distinction.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F4F24")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "<", ">", "p", "*")
GREY = "#8c8c8c"
SEEING = ("max-reward", "optimal")
"""References that see the user's state, and earn far more than any agent that does not."""
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "irecgan-gym",
}
REWARD = "reward of a session (successful clicks)"
"""Label of axes that show rewards."""


@dataclass(frozen=True)
class Look:
    """Look of a method.

    Attributes:
        color: of lines, markers and bars.
        marker: of points; empty for none.
        line: matplotlib's line style.
        hatch: of bars; empty for none.
    """

    color: str
    marker: str
    line: Any = "-"
    hatch: str = ""


REFERENCES = {
    "random": Look(GREY, "", ":", "///"),
    "popularity": Look(GREY, "", "-.", "..."),
    "logging-policy": Look(GREY, "", "--", "|||"),
    "max-reward": Look(GREY, "", (0, (4, 1, 1, 1, 1, 1)), "+++"),
    "blind": Look(GREY, "", (0, (2, 1, 2, 3)), "\\\\|"),
    "belief": Look(GREY, "", (0, (6, 1.5)), "\\\\\\"),
    "optimal": Look(GREY, "", (0, (1, 1)), "xxx"),
    "pg-limit": Look(GREY, "", (0, (3, 1, 1, 1)), "ooo"),
    "co-click": Look(GREY, "", (0, (5, 1, 1, 1)), "---"),
    "logged-order": Look(GREY, "", (0, (2, 2)), "**"),
    "last-interaction": Look(GREY, "", (0, (8, 2)), "OO"),
    "max-log-belief": Look(GREY, "", (0, (1, 3)), "..o"),
}
"""Policies and rankings that agents are compared with."""
_METHODS = (
    ("irecgan", "pg", "lstm", "lstmd", "pgis", "ac", "pgu", "pgc"),
    ("acu", "pg-online", "lstm-offline", "pg-online&offline", "ppo", "a2c", "dqn", "sac"),
    ("recurrent-ppo", "maskable-ppo"),
)
_PLANNERS = {
    "auto_planner": Look("#D55E00", "*"),
    "choice_planner": Look("#CC79A7", "P", "--"),
    "latent_planner": Look("#7F4F24", "X", "--"),
    "latent-planner": Look("#7F4F24", "X", "--"),
    "posterior-sampling": Look("#D55E00", "*", "--"),
    "tabular_pg": Look("#009E73", "v", "--"),
    "auto": Look("#D55E00", "*"),
    "tabular-pg": Look("#009E73", "v", "--"),
    "tabular-pg-last-click": Look("#56B4E9", "^", "--"),
    "choice": Look("#CC79A7", "P", "--"),
    "latent": Look("#7F4F24", "X", "--"),
}
_KNOWN = {
    name: Look(COLORS[place], MARKERS[(place + 5 * again) % len(MARKERS)], ("-", "--", ":")[again])
    for again, names in enumerate(_METHODS)
    for place, name in enumerate(names)
} | _PLANNERS


def looks(agents: Sequence[str]) -> dict[str, Look]:
    """Return the look of each method, the same in every figure: colors for those that learn, grey for references.

    The variant of a method (``pg+all``, ``ppo/model``) has the method's look. Names that the suite does not know get a
    look of their own that depends on the name, unless another method of the figure has it.
    """
    found: dict[str, Look] = {}
    strangers = []
    for agent in agents:
        known = REFERENCES.get(agent) or _KNOWN.get(agent.partition("+")[0].partition("/")[0])
        if known is None:
            strangers.append(agent)
        else:
            found[agent] = known
    taken = {(look.color, look.marker) for look in found.values()}
    for agent in sorted(strangers):
        start = zlib.crc32(agent.encode())
        for place in range(start, start + len(COLORS) * len(MARKERS)):
            # The lengths have a common divisor: a step of one in both would miss combinations.
            color, marker = COLORS[place % len(COLORS)], MARKERS[place // len(COLORS) % len(MARKERS)]
            if (color, marker) not in taken:
                break
        taken.add((color, marker))
        found[agent] = Look(color, marker, "--")
    return {agent: found[agent] for agent in agents}


def plot_line(axes: Axes, places: Sequence[float], values: Any, look: Look, **more: Any) -> Line2D:
    """Draw a line with the look of a method."""
    style = {"color": look.color, "marker": look.marker, "linestyle": look.line, "markersize": 3.5, **more}
    [line] = axes.plot(places, values, **style)
    return line


def interval_ends(interval: Interval, scale: float = 1.0) -> NDArray[np.float64]:
    """Return the lengths of an error bar, [2, 1]; 0 where the interval is not known."""
    ends = [[interval.mean - interval.low], [interval.high - interval.mean]]
    return np.nan_to_num(ends) * scale


def seeds_text(seeds: int, over_seeds: str, otherwise: str) -> str:
    """Return the number of seeds and, by that number, one of two explanations of the intervals."""
    count = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return f"{count} ({over_seeds if seeds >= MIN_SEEDS else otherwise})"


def legend_below(figure: Figure, entries: Mapping[str, Artist | tuple[Artist, ...]]) -> None:
    """Put one legend under all panels, in as many rows as its width needs.

    Args:
        figure: gets the legend.
        entries: handles by label; several handles of a label stand side by side.
    """
    if not entries:
        return
    per_row = max(1, int(figure.get_figwidth() / (1.0 + 0.075 * max(map(len, entries)))))
    figure.legend(  # type: ignore[call-overload]
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=min(len(entries), per_row),
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)},
        # Room for a whole dash pattern, also where a bar stands beside the line.
        handlelength=5 if any(isinstance(entry, tuple) for entry in entries.values()) else 3,
    )


def legend_entries(panels: Sequence[Axes]) -> dict[str, Artist]:
    """Return the handles of the legends of several panels by label, each label once."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    return entries


def fill_entry(fill: Any, marker: str = "o", edge: str | None = None) -> Line2D:
    """Return a handle for a filling of markers and the color of their edges, whatever the color of the filling."""
    return Line2D(
        [], [], color=GREY, marker=marker, linestyle="", markersize=6, fillstyle=fill, markeredgecolor=edge or GREY
    )


def save_figure(figure: Figure, stem: Path) -> Path:
    """Write a figure as PNG and SVG; equal tables give equal files.

    Args:
        figure: what to write.
        stem: the files' path without their endings.

    Returns:
        The PNG file.
    """
    for kind in ("png", "svg"):
        data = io.BytesIO()
        if kind == "png":
            FigureCanvasAgg(figure)
            figure.savefig(data, format="png", dpi=150)
        else:
            figure.savefig(data, format="svg", metadata={"Date": None})
        write_atomically(stem.with_name(f"{stem.name}.{kind}"), data.getvalue())
    return stem.with_name(f"{stem.name}.png")
