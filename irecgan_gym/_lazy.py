"""Names of a package that are imported when they are first asked for (PEP 562), so that importing it loads little."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    package: str, names: Mapping[str, str], subpackages: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a ``__getattr__`` and a ``__dir__`` for a package.

    Type checkers do not see them: the package imports the same names under ``TYPE_CHECKING``, so that a name that does
    not exist is an error to them.

    Args:
        package: name of the package.
        names: the names offered, with spaces between them, by the module that holds them.
        subpackages: those offered as they are, with spaces between them.
    """
    modules = {name: module for module, some in names.items() for name in some.split()}
    folders = frozenset(subpackages.split())

    def get(name: str) -> Any:
        if name in folders:
            return importlib.import_module(f"{package}.{name}")
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules, *folders})

    return get, list_names
