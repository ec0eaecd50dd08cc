"""The figures of a report: SVG inside the page, with their words as alternative text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.figure import Figure

from irecgan_gym.benchmarks.experiments import figures_of
from irecgan_gym.benchmarks.figures.run import run_figures
from irecgan_gym.benchmarks.figures.style import STYLE

About = Literal["grid", "cell", "training"]
_ABOUT: dict[str, About] = {"figure2-": "grid", "training-": "training"}
"""By the beginning of a figure's name."""


@dataclass(frozen=True)
class PageFigure:
    """A figure inside a page.

    Attributes:
        title: over it.
        alt: what it shows, in words.
        width: at which its text has the size of the page's, in CSS pixels.
        source: of the image, a data URI.
        about: the whole grid of cells, the results of one cell, or its training.
    """

    title: str
    alt: str
    width: int
    source: str
    about: About


def page_figures(folder: Path) -> list[PageFigure]:
    """Return all figures of a run, drawn from its tables; nothing is written."""
    # Text as paths: an image inside a page has no fonts but those of whoever reads it.
    with mpl.rc_context(STYLE | {"svg.fonttype": "path"}):
        return [_page_figure(name, draw()) for name, draw in run_figures(folder, figures_of).items()]


def _page_figure(name: str, figure: Figure) -> PageFigure:
    title = figure.get_suptitle() or name.replace("-", " ")
    figure.suptitle("")  # It is the caption, which a narrow screen shows whole.
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    panels = [" ".join(axes.get_title().split()) for axes in figure.get_axes() if axes.get_title()]
    legend = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return PageFigure(
        title=title[0].upper() + title[1:],
        alt=". ".join(filter(None, ("Plot", _listed("panels", panels), _listed("shown are", legend)))) + ".",
        # Figures are made for 72 points an inch with text of 9 points; pages have text of 16 pixels.
        width=round(figure.get_figwidth() * 100),
        source="data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode("ascii"),
        about=next((about for prefix, about in _ABOUT.items() if name.startswith(prefix)), "cell"),
    )


def _listed(what: str, names: Sequence[str]) -> str:
    return f"{what}: {'; '.join(names)}" if names else ""
