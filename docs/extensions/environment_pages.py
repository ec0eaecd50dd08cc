"""Writes a page an environment class from its docstring, which is Markdown in the form of Gymnasium's own pages."""

import inspect
import re
from itertools import groupby
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from sphinx.application import Sphinx

import irecgan_gym  # noqa: F401 (registers the envs)

_FOLDER = "generated/environments"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", _write_pages)
    app.connect("autodoc-process-docstring", _point_to_page)
    return {"parallel_read_safe": True}


def _write_pages(app: Sphinx) -> None:
    folder = Path(app.srcdir) / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for specs in _specs_by_class():
        page = folder / f"{_page_name(specs)}.md"
        text = page_text(specs)
        # A page that is as it was is not to be read again.
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _specs_by_class() -> list[list[EnvSpec]]:
    """The suite's registered envs, those of one class together."""
    ours = [spec for spec in gym.registry.values() if str(spec.entry_point).startswith("irecgan_gym.")]
    return [list(specs) for _, specs in groupby(ours, key=lambda spec: spec.entry_point)]


def _page_name(specs: list[EnvSpec]) -> str:
    return specs[0].id.lower()


def page_text(specs: list[EnvSpec]) -> str:
    """The page of a class, in MyST Markdown.

    Args:
        specs: the ids under which it is registered.
    """
    cls = load_env_creator(specs[0].entry_point)
    summary, _, body = inspect.cleandoc(cls.__doc__).partition("\n\n")
    rows = []
    for spec in specs:
        given = ", ".join(f"`{name}={value!r}`" for name, value in spec.kwargs.items())
        rows.append(f"| `{spec.id}` | {given or 'the defaults'} | {spec.max_episode_steps or 'none'} |")
    return "\n".join(
        [
            f"# {specs[0].id}",
            "",
            summary,
            "",
            "| Id | Arguments | Time limit |",
            "| --- | --- | --- |",
            *rows,
            "",
            # Roles as MyST writes them.
            re.sub(r":(class|func|meth|mod|attr|data):`([^`]+)`", r"{py:\1}`\2`", body),
            "",
            f"Code: {{py:class}}`{cls.__module__}.{cls.__name__}`.",
            "",
        ]
    )


def _point_to_page(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """In the API reference, the first line of an env's docstring, and where the rest is."""
    for specs in _specs_by_class():
        if obj is load_env_creator(specs[0].entry_point):
            lines[1:] = ["", f"All about it: :doc:`/{_FOLDER}/{_page_name(specs)}`.", ""]
