"""One page of run folders: what was measured, what it says of the paper's claims, and how it was made.

python -m benchmarks.report runs/figure-2 runs/online-learning --out report.html
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from irecgan_gym.benchmarks.claims import CLAIMS, cell_name, counts_text, judge, range_text, sides_text
from irecgan_gym.benchmarks.command import SettingsError, run_command
from irecgan_gym.benchmarks.report_markdown import tables_markdown
from irecgan_gym.benchmarks.report_run import read_run
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console

from irecgan_gym.storage.files import write_atomically


@dataclass(frozen=True)
class Report:
    """Make one self-contained HTML page of run folders: figures, tables, claims, settings, versions and failures."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, of one or more experiments."""
    out: Path = Path("report.html")
    """The page."""
    markdown: Path | None = None
    """File for the tables alone, in Markdown; runs of one experiment are put together in them."""


def report_html(folders: Sequence[Path]) -> str:
    """The page of some run folders; the same folders give the same page.

    Nothing in it comes from elsewhere: no script, no request. Whatever the folders hold is shown as text.

    Args:
        folders: of runs, at least one; claims are judged on all of them together.

    Raises:
        RunFolderError: a folder that is no run folder, or a damaged one.
    """
    environment = Environment(
        loader=PackageLoader("benchmarks"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell_name": cell_name,
        "counts_text": counts_text,
        "range_text": range_text,
        "sides_text": sides_text,
    }
    runs = [read_run(folder) for folder in folders]
    results = [row for run in runs for row in run.results]
    experiments = {row.job.experiment for row in results}
    judgements = [judge(claim, results) for claim in CLAIMS if claim.experiment in experiments]
    return environment.get_template("report.html.jinja").render(runs=runs, judgements=judgements)


def run(settings: Report, console: Console) -> Path:
    """Write the page.

    Raises:
        SettingsError: no run folder was given.
    """
    if not settings.runs:
        raise SettingsError("give one or more run folders")
    write_atomically(settings.out, report_html(settings.runs).encode())
    console.print("written:", settings.out, soft_wrap=True)
    if settings.markdown is not None:
        results = [row for folder in settings.runs for row in read_run(folder).results]
        write_atomically(settings.markdown, tables_markdown(results).encode())
        console.print("written:", settings.markdown, soft_wrap=True)
    return settings.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    settings = tyro.cli(Report, args=arguments)
    return run_command(lambda console: run(settings, console))


if __name__ == "__main__":
    sys.exit(main())
