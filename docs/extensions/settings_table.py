"""A directive that shows the settings of a configuration dataclass: names, defaults, and what its docstring says."""

import dataclasses
import importlib
import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("settings", SettingsTable)
    return {"parallel_read_safe": True}


class SettingsTable(SphinxDirective):
    """``{settings} irecgan_gym.agents.pg.PGConfig`` in a fenced block."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        module, _, name = self.arguments[0].rpartition(".")
        return self.parse_text_to_nodes(settings_markdown(getattr(importlib.import_module(module), name)))


def settings_markdown(config_type: type) -> str:
    """The table in MyST Markdown.

    Raises:
        ValueError: a setting that no docstring explains.
    """
    meanings: dict[str, str] = {}
    for cls in reversed(config_type.__mro__):
        meanings |= _meanings(cls)
    lines = ["| Setting | Default | Meaning |", "| --- | --- | --- |"]
    for field in dataclasses.fields(config_type):
        if field.name not in meanings:
            raise ValueError(f"the docstring of {config_type.__name__} does not explain {field.name}")
        meaning = re.sub(r":(class|func|meth|mod|attr|data):`([^`]+)`", r"{py:\1}`\2`", meanings[field.name])
        meaning = meaning.replace("|", r"\|").replace("``", "`")
        lines.append(f"| `{field.name}` | {_default(field)} | {meaning} |")
    return "\n".join(lines)


def _meanings(cls: type) -> dict[str, str]:
    """What the section "Attributes" of a class's own docstring says, by attribute."""
    section = re.search(r"^Attributes:\n((?:[ \t]+.*\n?|\n)+)", inspect.cleandoc(cls.__doc__ or ""), re.MULTILINE)
    if section is None:
        return {}
    found = re.findall(r"^    (\w+): ((?:.*\n?(?:        .*\n?)*))", section[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _default(field: dataclasses.Field[Any]) -> str:
    """The default as code; of nested settings, the class and what differs from its own defaults."""
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is dataclasses.MISSING:
        return "required"
    value = field.default_factory()
    if not dataclasses.is_dataclass(value):
        return f"`{value!r}`"
    cls = type(value)
    changed = [
        f"{inner.name}={getattr(value, inner.name)!r}"
        for inner in dataclasses.fields(value)
        if inner.default is not dataclasses.MISSING and getattr(value, inner.name) != inner.default
    ]
    reference = f"{{py:class}}`~{cls.__module__}.{cls.__name__}`"
    return f"{reference} with `{', '.join(changed)}`" if changed else reference
