"""Takes pages that live elsewhere in the repository into the documentation, with their links turned to its pages."""

from pathlib import Path

from sphinx.application import Sphinx

_PAGES = {"benchmarks/README.md": "benchmarks", "benchmarks/RESULTS.md": "results"} | {
    f"{name}.md": name.lower() for name in ("CHANGELOG", "CONTRIBUTING")
}
_LINKS = {
    "(RESULTS.md": "(results.md",
    "(README.md#speed": "(benchmarks.md#speed",
    "(benchmarks/README.md": "(benchmarks.md",
    "(benchmarks/RESULTS.md": "(results.md",
    "(docs/images/": "(../images/",
    "(../docs/images/": "(../images/",
    "(../docs/": "(../",
    "(docs/": "(../",
    "(CHANGELOG.md": "(changelog.md",
    "(CONTRIBUTING.md": "(contributing.md",
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", _write_pages)
    return {"parallel_read_safe": True}


def _write_pages(app: Sphinx) -> None:
    for source, name in _PAGES.items():
        text = (Path(app.srcdir).parent / source).read_text(encoding="utf-8")
        for old, new in _LINKS.items():
            text = text.replace(old, new)
        page = Path(app.srcdir) / "generated" / f"{name}.md"
        page.parent.mkdir(exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
