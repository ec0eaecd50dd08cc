"""``python -m irecgan_gym.readers FORMAT PATH``: read logs, say what was read, and save them as sessions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from irecgan_gym.readers import FORMATS, PUBLIC_LOGS, ImpressionColumns, TableColumns, read
from irecgan_gym.readers.on_disk import BUCKETS, read_to_disk
from irecgan_gym.readers.report import MAX_MALFORMED
from irecgan_gym.readers.table_features import TableFeatures
from irecgan_gym.sessions import Sessions

_FEATURES = {"entries": "of the items as shown", "steps": "of the steps", "users": "of the users"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0, or 2 for input that cannot be read."""
    options = vars(_parser().parse_args(arguments))
    path, out, format_name = options.pop("path"), options.pop("out"), options.pop("format")
    on_disk = options.pop("on_disk", None)
    columns = {name.removesuffix("_column"): options.pop(name) for name in list(options) if name.endswith("_column")}
    if columns:
        kind = TableColumns if format_name == "table" else ImpressionColumns
        options["columns"] = kind(**columns)
    if format_name in ("table", "impressions"):
        features = {scope: tuple(options.pop(f"{scope}_features")) for scope in _FEATURES}
        more = {name: tuple(options.pop(name)) for name in ("labels", "categories")}
        options["features"] = TableFeatures(**features, **more)
    try:
        if options["catalogue"] is not None:
            options["catalogue"] = Sessions.load(options["catalogue"]).catalogue
        if on_disk is not None:
            dataset, report = read_to_disk(path, format_name, on_disk, **options)
            print(f"{report}\n\n{dataset.statistics()}\n\nwritten to {on_disk}")
            return 0
        options.pop("buckets", None)
        sessions, report = read(path, format_name, **options)
        print(f"{report}\n\n{sessions.statistics()}")
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
        out = one.add_mutually_exclusive_group()
        out.add_argument("--out", help="Parquet file to save the sessions to")
        if name in ("table", "impressions"):
            out.add_argument(
                "--on-disk",
                metavar="FOLDER",
                help="folder for the sessions of a log larger than memory, which is read part by part",
            )
            one.add_argument("--buckets", type=int, default=BUCKETS, help="parts of a log that is read to disk")
        one.add_argument(
            "--on-error",
            choices=("repair", "skip", "raise"),
            default="repair",
            help="a quirk is put right, left out, or ends the reading; malformed rows are left out, or end it",
        )
        one.add_argument("--max-malformed", type=float, default=MAX_MALFORMED, help="share of malformed rows")
        one.add_argument("--catalogue", help="sessions (a file of Sessions.save) whose items keep their numbers")
        one.add_argument("--extend", action="store_true", help="new items get numbers behind those of the catalogue")
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
    if name in PUBLIC_LOGS and PUBLIC_LOGS[name].labels:
        known = tuple(PUBLIC_LOGS[name].labels)
        parser.add_argument("--labels", nargs="+", choices=known, default=(), help="feedback on the items shown")
    if name == "table":
        parser.add_argument("--separator", default=defaults["separator"], help="between the items of a slate")
        parser.add_argument("--padding", nargs="*", default=(), help="names that fill short slates up")
    if name in ("table", "impressions"):
        parser.add_argument(
            "--delimiter", type=_unescaped, default=defaults["delimiter"], help=r"between the cells of a row (\t: tab)"
        )
        parser.add_argument("--sort", action="store_true", help="put the steps of a session in the order of time")
        parser.add_argument("--time-unit", choices=("s", "ms", "us", "ns"), default=defaults["time_unit"])
        parser.add_argument("--max-gap", type=float, help="seconds after which the same id is another session")
        columns = TableColumns() if name == "table" else ImpressionColumns()
        for column, default in vars(columns).items():
            parser.add_argument(f"--{column}-column", default=default, help=f"name of the {column} column")
        for scope, what in _FEATURES.items():
            option = f"--{scope}-features"
            parser.add_argument(
                option, nargs="+", default=[], metavar="COLUMN", help=f"columns that hold features {what}"
            )
        parser.add_argument(
            "--labels", nargs="+", default=[], metavar="COLUMN", help="columns of further feedback on the items shown"
        )
        parser.add_argument(
            "--categories", nargs="+", default=[], metavar="COLUMN", help="features that only look like numbers"
        )


def _unescaped(text: str) -> str:
    """A tab where it is written as in most shells and languages."""
    return text.replace(r"\t", "\t")


if __name__ == "__main__":
    sys.exit(main())
