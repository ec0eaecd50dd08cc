"""Programs in pages of Markdown."""

import re


def programs(page):
    """The Python programs of a page, in its order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
