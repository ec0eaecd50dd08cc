"""The page: HTML made of run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from jinja2 import Environment, PackageLoader, StrictUndefined
from pandas import DataFrame
from rich.console import Console

from irecgan_gym.benchmarks.claims.judgement import Judgement, judge_all
from irecgan_gym.benchmarks.claims.paper import CLAIMS
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.claims.tables import COUNTS, NOTE, counts_text, dose_tables, evidence_table, name_of
from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.benchmarks.engine.summaries import measurement_tables
from irecgan_gym.benchmarks.engine.tables import read_many
from irecgan_gym.benchmarks.engine.text_table import TextTable
from irecgan_gym.benchmarks.experiments import measures_of
from irecgan_gym.benchmarks.report.run_page import read_run
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

    def execute(self, console: Console) -> None:
        """Write the page.

        Raises:
            SettingsError: no run folder was given.
        """
        if not self.runs:
            raise SettingsError("give one or more run folders")
        files = {self.out: report_html(self.runs)}
        if self.markdown is not None:
            files[self.markdown] = tables_markdown(read_many(self.runs))
        for file, text in files.items():
            write_atomically(file, text.encode())
            console.print("written:", file, soft_wrap=True)


def report_html(folders: Sequence[Path]) -> str:
    """Return the page of some run folders; the same folders give the same page.

    Nothing in it comes from elsewhere: no script, no request. Content of the folders is shown as text.

    Args:
        folders: run folders, at least one; claims are judged on all of them together.

    Raises:
        RunFolderError: a folder that is no run folder, or a damaged one.
    """
    environment = Environment(
        loader=PackageLoader("irecgan_gym.benchmarks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counts_text": counts_text, "evidence_table": evidence_table, "name_of": name_of}
    pages = [read_run(folder) for folder in folders]
    judgements: list[Judgement] = []
    doses: list[TextTable] = []
    refused = ""
    try:
        runs = Runs.read(folder for folder in folders if (folder / "results.csv").exists())
    except SettingsError as error:
        refused = str(error)
    else:
        experiments = set(runs.results["experiment"])
        judgements = judge_all(runs, [claim for claim in CLAIMS if claim.experiment in experiments])
        doses = dose_tables(judgements, runs)
    return environment.get_template("report.html.jinja").render(
        runs=pages, judgements=judgements, doses=doses, claims_refused=refused, counts=COUNTS, rules=NOTE
    )


def tables_markdown(results: DataFrame) -> str:
    """Return all tables of some runs in Markdown; runs of one experiment are put together.

    Args:
        results: measurements of any number of experiments.
    """
    parts = []
    for experiment, rows in results.groupby("experiment", sort=False):
        parts += [f"## {experiment}", *(table.section() for table in measurement_tables(rows, measures_of(rows)))]
    return "\n\n".join(parts) + "\n"
