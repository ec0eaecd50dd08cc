"""A directive that shows every number that training reports, with its unit, equation and healthy range."""

from itertools import groupby

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from irecgan_gym.logged_metrics import LOGGED_METRICS


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("logged-metrics", MetricsTable)
    return {"parallel_read_safe": True}


class MetricsTable(SphinxDirective):
    """``{logged-metrics}`` in a fenced block."""

    def run(self) -> list[nodes.Node]:
        """Return the tables, one a component."""
        return self.parse_text_to_nodes(metrics_markdown(), allow_section_headings=True)


def metrics_markdown() -> str:
    """Return the tables in MyST Markdown, a heading and a table for each component."""
    lines = []
    for component, metrics in groupby(sorted(LOGGED_METRICS), key=lambda metric: metric.name.partition("/")[0]):
        lines += [f"## {component}/", "", "| Name | Unit | Eq | Meaning | Healthy |", "| --- | --- | --- | --- | --- |"]
        for metric in metrics:
            cells = (f"`{metric.name.partition('/')[2]}`", metric.unit, metric.equation, metric.meaning, metric.healthy)
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)
