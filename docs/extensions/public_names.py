"""Writes the API reference's first pages: the public names of each package, each with its first sentence and a link."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

PACKAGES = {
    "irecgan_gym": "The front door: `import irecgan_gym as ig`",
    "irecgan_gym.agents": "Agents and reference policies",
    "irecgan_gym.evaluation": "Measures of policies and user models",
    "irecgan_gym.models": "User models, policies, the discriminator, Eq 6",
    "irecgan_gym.planning": "Exact values and slates",
    "irecgan_gym.readers": "Readers of logs",
    "irecgan_gym.serving": "Policies in production",
    "irecgan_gym.sessions": "Logged sessions",
    "irecgan_gym.wrappers": "Wrappers of environments",
    "irecgan_gym.sb3": "Stable-Baselines3",
    "irecgan_gym.minari_exchange": "Minari",
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before Sphinx looks for its sources."""
    app.connect("builder-inited", _write_page)
    return {"parallel_read_safe": True}


def _write_page(app: Sphinx) -> None:
    page = Path(app.srcdir) / "generated" / "public-names.md"
    page.parent.mkdir(exist_ok=True)
    text = page_text()
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def page_text() -> str:
    """Return the page in MyST Markdown."""
    parts = ["# Public names", "", "A name behind which a class or a function stands links to its description.", ""]
    for name, title in PACKAGES.items():
        module = importlib.import_module(name)
        parts += [f"## {title}", "", f"`{name}`", "", "| Name | |", "| --- | --- |"]
        parts += [row for public in sorted(module.__all__, key=str.lower) if (row := _row(module, public))]
        parts.append("")
    return "\n".join(parts)


def _row(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    if inspect.ismodule(value) or name.startswith("_"):
        return ""
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return f"| `{name}` | `{_short(value)}` |"
    role = "class" if inspect.isclass(value) else "func"
    if inspect.isclass(value) and issubclass(value, BaseException):
        role = "exc"
    first = inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    first = re.sub(r":(class|func|meth|mod|attr|data):`([^`]+)`", r"{py:\1}`\2`", first).replace("``", "`")
    return f"| {{py:{role}}}`{name} <{value.__module__}.{value.__qualname__}>` | {first.replace('|', chr(92) + '|')} |"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."
