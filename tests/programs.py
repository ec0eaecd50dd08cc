"""Programs, commands and files in pages of Markdown."""

import re
import shlex

_FENCE = re.DOTALL | re.MULTILINE


def programs(page):
    """The Python programs of a page, in its order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=_FENCE)


def files(page):
    """The files that a page says to write, by name."""
    return dict(
        re.findall(r"^```\{code-block\} python\n:caption: (\S+)\n(.*?)^```", page.read_text("utf-8"), flags=_FENCE)
    )


def commands(page):
    """The words behind ``irecgan-gym`` of a page's commands, in its order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), flags=_FENCE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("irecgan-gym ")]
