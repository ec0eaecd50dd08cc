"""A directive that shows the public logs with a reader: steps, columns, where to get the data, the licence."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from irecgan_gym.readers.formats import PUBLIC_LOGS, LogColumn, LogFormat


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("public-logs", PublicLogs)
    return {"parallel_read_safe": True}


class PublicLogs(SphinxDirective):
    """``{public-logs}`` in a fenced block."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each log."""
        text = "\n\n".join(log_markdown(description) for description in PUBLIC_LOGS.values())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def log_markdown(description: LogFormat) -> str:
    """Return the section of one log in MyST Markdown."""
    lines = [
        f"## {description.title}",
        "",
        f'`read(path, "{description.name}")`. {description.step}',
        "",
        f"- Data: {description.source}",
        f"- Licence: {description.licence}",
        f"- Files: {', '.join(f'`{name}`' for name in description.files)} (`.gz` and the like too)",
        *(f"- {note}" for note in description.notes),
        "",
        "| Column | Meaning | Becomes |",
        "| --- | --- | --- |",
    ]
    for column in description.columns:
        lines.append(f"| `{column.name}` | {column.meaning} | {_becomes(column)} |")
    return "\n".join(lines)


def _becomes(column: LogColumn) -> str:
    label = f'where `labels=["{column.label}"]` asks for it, a label of the item' if column.label else ""
    return "; ".join(part for part in (column.becomes, label) if part) or "not read"
