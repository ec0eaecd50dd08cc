"""Packages that the commands need beside the suite itself, and the line that installs them."""

from __future__ import annotations

import importlib.util
import sys

EXTRAS = {
    "benchmarks": ("jinja2", "matplotlib", "pandas", "rich", "tensorboard", "tyro"),
    "lightgbm": ("lightgbm",),
    "ray": ("ray",),
    "export": ("onnx", "onnxruntime", "onnxscript"),
    "serve": ("fastapi", "onnxruntime", "uvicorn"),
    "sb3": ("stable_baselines3", "sb3_contrib"),
}
"""Modules of an extra, by its name."""


def missing(*extras: str) -> str:
    """Return, in one line, what to install for some extras; nothing where all of it is there."""
    lacking = [extra for extra in extras if any(importlib.util.find_spec(module) is None for module in EXTRAS[extra])]
    return f'this command needs more: pip install "irecgan-gym[{",".join(lacking)}]"' if lacking else ""


def require_or_exit(*extras: str) -> None:
    """End the process with exit status 2 and one line where something of the extras is not installed."""
    if line := missing(*extras):
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
