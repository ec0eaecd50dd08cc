"""``python -m irecgan_gym.readers FORMAT PATH``: read logs, say what was read, and save them as sessions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from irecgan_gym.readers import FORMATS, TableColumns, read


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0, or 2 for input that cannot be read."""
    options = vars(_parser().parse_args(arguments))
    path, out, format_name = options.pop("path"), options.pop("out"), options.pop("format")
    columns = {name.removesuffix("_column"): options.pop(name) for name in list(options) if name.endswith("_column")}
    if columns:
        options["columns"] = TableColumns(**columns)
    try:
        sessions, report = read(path, format_name, **options)
        print(report)
        print()
        print(sessions.statistics())
        if out is not None:
            sessions.save(out)
            print(f"\nsaved to {out}")
    # A ValueError is an option that makes no sense, a row (ReaderError) or a result (SessionsError).
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m irecgan_gym.readers", description=__doc__)
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    for name, reader in FORMATS.items():
        summary = (reader.__doc__ or "").partition("\n")[0].replace("``", "")
        one = formats.add_parser(name, help=summary, description=summary)
        one.add_argument("path", help="the file, or the folder of a format of several files")
        one.add_argument("--out", help="Parquet file to save the sessions to")
        one.add_argument(
            "--on-error", choices=("raise", "skip"), default="raise", help="a malformed row ends the reading, or counts"
        )
        _add_options(one, name)
    return parser


def _add_options(parser: argparse.ArgumentParser, name: str) -> None:
    """The options of one format, with its reader's own defaults."""
    defaults: dict[str, Any] = FORMATS[name].__kwdefaults__ or {}
    for option in ("min_length", "max_length", "max_items", "min_rows", "max_rows"):
        if option in defaults:
            parser.add_argument(f"--{option.replace('_', '-')}", type=int, default=defaults[option])
    if name == "recsys-challenge-2019":
        parser.add_argument("--reward", choices=("last", "every"), default=defaults["reward"])
    if name == "irecgan-text":
        parser.add_argument("--reward", choices=("success", "purchase"), default=defaults["reward"])
        parser.add_argument("--num-items", type=int, help="size of the catalogue: items keep their ids")
    if name == "table":
        parser.add_argument("--separator", default=defaults["separator"], help="between the items of a slate")
        parser.add_argument(
            "--delimiter", type=_unescaped, default=defaults["delimiter"], help=r"between the cells of a row (\t: tab)"
        )
        parser.add_argument("--sort", action="store_true", help="put the steps of a session in the order of time")
        for column, default in vars(TableColumns()).items():
            parser.add_argument(f"--{column}-column", default=default, help=f"name of the {column} column")


def _unescaped(text: str) -> str:
    """A tab where it is written as in most shells and languages."""
    return text.replace(r"\t", "\t")


if __name__ == "__main__":
    sys.exit(main())
