"""Tables of docstrings, which are written as in Markdown, for autodoc, which reads reStructuredText."""

import re
from collections.abc import Iterator
from itertools import groupby

from sphinx.application import Sphinx

_RULE = re.compile(r"\s*\|(\s*:?-+:?\s*\|)+\s*")


def setup(app: Sphinx) -> dict[str, bool]:
    """Turn them before napoleon reads the docstrings."""
    app.connect("autodoc-process-docstring", _turn_tables, priority=400)
    return {"parallel_read_safe": True}


def _turn_tables(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = with_list_tables(lines)


def with_list_tables(lines: list[str]) -> list[str]:
    """The same lines, with directives ``list-table`` in place of tables.

    Args:
        lines: of a docstring.
    """
    turned: list[str] = []
    for is_row, group in groupby(lines, key=lambda line: line.lstrip().startswith("|")):
        block = list(group)
        turned += _list_table(block) if is_row and len(block) > 1 and _RULE.fullmatch(block[1]) else block
    return turned


def _list_table(block: list[str]) -> Iterator[str]:
    margin = block[0][: len(block[0]) - len(block[0].lstrip())]
    yield from ("", f"{margin}.. list-table::", f"{margin}   :header-rows: 1", "")
    for row in (block[0], *block[2:]):
        for place, cell in enumerate(row.strip().strip("|").split("|")):
            # Code as reStructuredText writes it; what is written so already stays.
            text = re.sub(r"(?<![:`])`([^`]+)`(?!`)", r"``\1``", cell.strip())
            yield f"{margin}   {'* -' if place == 0 else '  -'} {text}"
    yield ""
