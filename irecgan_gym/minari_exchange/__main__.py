"""``python -m irecgan_gym.minari_exchange``: turn sessions in Parquet into a Minari dataset, or one into sessions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from irecgan_gym.minari_exchange import read_minari, write_minari
from irecgan_gym.sessions import Sessions


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0, or 2 for input that cannot be read or must not be overwritten."""
    options = vars(_parser().parse_args(arguments))
    command, path, dataset_id = options.pop("command"), options.pop("path"), options.pop("dataset_id")
    try:
        if command == "write":
            sessions = Sessions.load(path)
            write_minari(sessions, dataset_id, **options)
        else:
            sessions = read_minari(dataset_id)
            sessions.save(path)
        print(sessions.statistics())
        print(f"\nsaved to {dataset_id if command == 'write' else path}")
    # A ValueError is an id (Minari's) or what is no session (SessionsError).
    except (ImportError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m irecgan_gym.minari_exchange", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="sessions to a Minari dataset")
    write.add_argument("path", help="Parquet file of sessions")
    write.add_argument("dataset_id", help="(namespace/)name-v(version) of the new dataset")
    write.add_argument("--author", help="of the data")
    write.add_argument("--author-email", help="their address")
    write.add_argument("--code-permalink", help="link to the code that made the data")
    write.add_argument("--description", help="a sentence or more")
    read = commands.add_parser("read", help="a Minari dataset to sessions")
    read.add_argument("dataset_id", help="(namespace/)name-v(version) of a dataset in Minari's folder")
    read.add_argument("path", help="Parquet file to save the sessions to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
