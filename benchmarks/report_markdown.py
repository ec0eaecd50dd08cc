"""The tables of runs in Markdown, for a results page that is kept with the code."""

from __future__ import annotations

from collections.abc import Sequence

from irecgan_gym.benchmarks.measurements import Measurement
from irecgan_gym.benchmarks.report_tables import PageTable, measurement_tables


def tables_markdown(results: Sequence[Measurement]) -> str:
    """All tables of some runs; runs of one experiment are put together.

    Args:
        results: measurements of any number of experiments.
    """
    parts = []
    for experiment in dict.fromkeys(row.job.experiment for row in results):
        tables = measurement_tables([row for row in results if row.job.experiment == experiment])
        parts += [f"## {experiment}", *(_table(table) for table in tables)]
    return "\n\n".join(parts) + "\n"


def _table(table: PageTable) -> str:
    lines = [f"**{table.caption}**", "", _row(table.headings), _row(["---"] * len(table.headings))]
    lines += [_row(row) for row in table.rows]
    return "\n".join([*lines, "", table.note] if table.note else lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
