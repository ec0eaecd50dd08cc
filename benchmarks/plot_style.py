"""What the figures share: colours, markers and lines that tell agents apart, and how figures are written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from irecgan_gym.storage.files import write_atomically

# Okabe and Ito's colours, which stay apart for colour-blind readers; markers and hatches repeat the distinction.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8c8c8c"
SEEING = ("max-reward", "optimal")
"""References that see the user's state, and earn far more than any agent that does not."""
# What agents are compared with, and the lines that stand for it.
REFERENCES: dict[str, Any] = {
    "random": ":",
    "popularity": "-.",
    "logging-policy": "--",
    "max-reward": (0, (4, 1, 1, 1, 1, 1)),
    "belief": (0, (6, 1.5)),
    "optimal": (0, (1, 1)),
    "pg-limit": (0, (3, 1, 1, 1)),
}
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


@dataclass(frozen=True)
class Look:
    """How an agent is drawn.

    Attributes:
        colour: of lines, markers and bars.
        marker: on points; empty for none.
        line: matplotlib's line style.
    """

    colour: str
    marker: str
    line: Any


def looks(agents: Sequence[str]) -> dict[str, Look]:
    """Colours for the learned agents, grey for what they are compared with.

    The first seven agents have a colour and a marker each; later ones have the colours again, with other markers and
    broken lines.
    """
    learned = [agent for agent in agents if agent not in REFERENCES]
    found = {}
    for number, agent in enumerate(learned):
        again, place = divmod(number, len(COLOURS))
        found[agent] = Look(COLOURS[place], MARKERS[(place + 3 * again) % len(MARKERS)], ("-", "--", ":")[again % 3])
    return found | {agent: Look(GREY, "", REFERENCES[agent]) for agent in agents if agent in REFERENCES}


def legend_below(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """One legend under all panels, in as many rows as its width needs."""
    per_row = max(1, int(figure.get_figwidth() / 1.3))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), per_row))


def legend_entries(panels: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    """What legends of several panels would show, each label once."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    return list(entries.values()), list(entries)


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
