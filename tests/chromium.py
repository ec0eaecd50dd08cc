"""Headless Chromium, for tests of what people see."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")

_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)


@dataclass(frozen=True)
class Visit:
    """What came of opening a page.

    Attributes:
        stdout: the page's elements, with ``--dump-dom``.
        console: lines that the page wrote to the console: errors and what its policy has blocked.
    """

    stdout: str
    console: tuple[str, ...]


def visit(page, *options):
    """Open a file in a browser of its own."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [CHROMIUM, *_QUIET, f"--user-data-dir={profile}", *options, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return Visit(done.stdout, tuple(line for line in done.stderr.splitlines() if ":CONSOLE" in line))
