"""The report holds what the run folders hold, as text, in a page that stands alone."""

from __future__ import annotations

import itertools
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from irecgan_gym.agents import AGENT_NAMES
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.summaries import measurement_tables
from irecgan_gym.benchmarks.experiments import measures_of
from irecgan_gym.benchmarks.report.page import Report, report_html, tables_markdown
from tests.benchmarks.run_folders import NASTY, Measurement, table, write_grid_run, write_rerank_run

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Elements with their attributes, the text of each, and the text of tables."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.tables, self.text = [], [], []
        self._open = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [write_grid_run(folder / "figure-2"), write_rerank_run(folder / "rerank")]


@pytest.fixture(scope="module")
def text(runs):
    return report_html(runs)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_nothing_comes_from_elsewhere(page):
    assert page.of("script") == page.of("link") == page.of("iframe") == []
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "data", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/svg+xml;base64,")), (tag, attributes)
    [policy] = [of["content"] for of in page.of("meta") if of.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_what_folders_hold_is_text(page):
    words = "".join(page.text)
    assert words.count(NASTY) == 2
    assert "pgis-max-200-seed0" in words
    assert "1 job failed" in words


def test_every_figure_and_table_is_there_for_those_who_cannot_see(page):
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    assert len(page.of("img")) >= 12
    assert all(image["alt"].startswith("Plot. ") and len(image["alt"]) > 40 for image in page.of("img"))
    assert all(heading["scope"] in ("col", "row") for heading in page.of("th"))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    labels = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
    links = {link["href"].removeprefix("#") for link in page.of("a")}
    assert labels | links <= set(names)
    assert page.of("html") == [{"lang": "en"}]


def test_grids_have_a_table_a_metric_and_a_column_a_cell(page):
    tables = {tuple(table[0]): table for table in page.tables}
    headings = (
        "agent",
        *(f"{policy} ({size:,})" for policy in ("random", "max", "mix") for size in (200, 1000, 10000)),
    )
    assert [row[0] for row in tables[headings][1:]][:2] == ["random", "belief"]
    assert len([table for table in page.tables if tuple(table[0]) == headings]) == 6
    [iqm] = [table for table in page.tables if table[0][1:2] == ["interquartile mean of the reward"]]
    assert iqm[1] == ["belief", "1.00", "1.00 to 1.00", "100% (100% to 100%)"]
    assert iqm[-1] == ["random", "0.00", "0.00 to 0.00", "-"]


def test_claims_are_judged_over_all_runs(page):
    words = " ".join(" ".join(page.text).split())
    assert "IRecGAN earns most, sampled: " in words
    assert "IRecGAN earns most, top-k: " in words
    assert "LSTMD over LSTM, top-k: " in words
    assert "Doses of irecgan not recorded." in words
    [unmeasured] = [item for item in words.split("Not measured")[1:]]
    assert "PGIS under PG, top-k." in unmeasured
    assert "Missing: no results of pgis (p@1/top-k)." in unmeasured
    assert "LSTM offline is worst online" not in words


def test_two_runs_of_the_same_jobs_are_shown_but_not_judged(runs):
    words = " ".join(" ".join(Page(report_html([runs[1], runs[1]])).text).split())
    assert "Not judged: two runs hold measurements of random on logged(1650), seed 0, rerank" in words
    assert "LSTMD over LSTM" not in words


def test_settings_and_versions(page):
    tables = {tuple(table[0]): {row[0]: row[1:] for row in table[1:]} for table in page.tables}
    agents = tables[("setting", *AGENT_NAMES)]
    gammas = dict(zip(AGENT_NAMES, agents["gamma"], strict=True))
    assert gammas["pg"] == "0.9"
    assert gammas["lstm"] == ""
    versions = tables["version of", "2025-01-31T12:00:00+00:00", "2025-02-01T09:30:00+00:00"]
    assert versions["torch"] == ["none", "none"]
    assert versions["numpy"] == ["2.4.6", "2.4.6"]
    assert "0123456789ab and changes" in page.text


def test_numbers_are_those_of_the_rows():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    rows = [
        Measurement(Job("simulated_online", "pg", "max", 200, seed), "reward/top-k", value)
        for seed, value in enumerate(values)
    ]
    [found] = measurement_tables(table(rows), measures_of(table(rows)))
    half = 2.776445 * np.std(values, ddof=1) / np.sqrt(5)
    assert found.rows == [("pg", f"3.00 ± {half:.2f}")]
    assert found.note == "5 seeds; ± is half of a 95% interval over seeds."
    [few] = measurement_tables(table(rows[:2]), measures_of(table(rows)))
    assert few.rows == [("pg", "1.50")]
    assert few.note.endswith("over the sessions or users of a seed.")


def test_experiments_that_it_does_not_know():
    job = Job("another", "pg", "max", 200, 0)
    rows = [Measurement(job, metric, 0.5) for metric in ("regret", "regret_low", "regret_high", "regret/round-3")]
    [found] = measurement_tables(table(rows), measures_of(table(rows)))
    assert found.headings == ("agent", "regret")


def test_the_same_folder_gives_the_same_page(runs):
    assert report_html(runs[1:]) == report_html(runs[1:])


def test_tables_in_markdown_put_runs_of_one_experiment_together():
    rows = [
        Measurement(Job("simulated_online", "a|b", "max", size, seed), "reward/top-k", float(seed))
        for size in (200, 1000)  # Two runs: one a size.
        for seed in range(5)
    ]
    assert tables_markdown(table(rows)).splitlines() == [
        "## simulated_online",
        "",
        "**Reward of a session, top-k: every agent by log**",
        "",
        "| agent | max (200) | max (1,000) |",
        "| --- | --- | --- |",
        "| a\\|b | 2.00 ± 1.96 | 2.00 ± 1.96 |",
        "",
        "5 seeds; ± is half of a 95% interval over seeds.",
    ]


def test_the_command_writes_tables_in_markdown(tmp_path, runs):
    out = tmp_path / "tables.md"
    assert command_line(Report, [*map(str, runs), "--out", str(tmp_path / "page.html"), "--markdown", str(out)]) == 0
    headings = [line for line in out.read_text().splitlines() if line.startswith("## ")]
    assert headings == ["## simulated_online", "## rerank"]


def test_the_command_writes_the_page_of_a_run_without_results(tmp_path):
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"experiment": "simulated_online", "agents": {}}))
    before = sorted(folder.iterdir())
    assert command_line(Report, [str(folder), "--out", str(tmp_path / "report.html")]) == 0
    assert "No job has finished." in Page((tmp_path / "report.html").read_text()).text
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("files", "message"),
    [({}, "is no run folder"), ({"config.json": "{"}, "not valid JSON")],
)
def test_folders_that_are_no_runs(tmp_path, capsys, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert command_line(Report, [str(tmp_path), "--out", str(tmp_path / "report.html")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()
