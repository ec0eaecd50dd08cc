"""Measure how fast, and in how much memory, tables are read into sessions, beside readers that only parse them.

``python -m benchmarks.reading`` writes a log of the size asked for (string ids, lists of ten, users, times, rewards),
and reads it in a process of its own with each reader: the suite's, which checks every row and makes sessions, in memory
or on disk (``read_to_disk``), and pyarrow, polars and pandas, which make a table (``+ lists``: with the texts of slates
split into lists). Rounds take turns, so that a machine that others use as well is as slow for all; the median and the
range of the rounds are shown. Then an agent learns from sessions on disk, and from the same in memory. ``--challenge
train.csv.gz`` reads the log of the RecSys Challenge 2019 instead, or a part of it, over and over under new names, until
it has as many rows as the whole.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from irecgan_gym.benchmarks import streamed_training
from irecgan_gym.benchmarks.measurement import Measurement, in_a_process, measured

_NUM_ITEMS = 20_000
_SLATE = 10
_CHUNK = 50_000
MOST_ROWS = 20_000_000
CHALLENGE_ROWS = 15_932_992
"""Rows of the training file of the RecSys Challenge 2019."""


def write_log(path: Path, rows: int, seed: int = 0) -> None:
    """Write a log of four steps a session and three sessions a user.

    Args:
        path: ends in ``.csv`` or ``.parquet``.
        rows: how many.
        seed: of the items and clicks.
    """
    import pyarrow as pa
    import pyarrow.csv as pcsv
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    names = np.array([f"sku-{number}" for number in range(_NUM_ITEMS)], dtype=object)
    writer: Any = None
    for start in range(0, rows, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, rows))
        # Neighbours in a random order of the items: different in each list, and quick to draw.
        first = rng.integers(_NUM_ITEMS, size=len(number))
        items = names[(first[:, None] + 97 * np.arange(_SLATE)) % _NUM_ITEMS]
        click = items[np.arange(len(number)), rng.integers(_SLATE, size=len(number))]
        slates = items.tolist()
        table = pa.table(
            {
                "session": [f"session-{step // 4}" for step in number.tolist()],
                "user": [f"user-{step // 12}" for step in number.tolist()],
                "time": 1_700_000_000 + number,
                "slate": ["|".join(slate) for slate in slates] if path.suffix == ".csv" else slates,
                "click": click.tolist(),
                "reward": rng.integers(2, size=len(number)),
            }
        )
        if writer is None:
            options = pcsv.WriteOptions(quoting_style="none")
            is_text = path.suffix == ".csv"
            writer = (
                pcsv.CSVWriter(path, table.schema, write_options=options)
                if is_text
                else pq.ParquetWriter(path, table.schema)
            )
        writer.write_table(table)
    writer.close()


def write_challenge(part: Path, path: Path, rows: int) -> None:
    """Write a part of the challenge's log over and over, with users and sessions of other names each time.

    Args:
        part: in the challenge's layout; compressed or not.
        path: for the log.
        rows: how many.
    """
    with gzip.open(part, "rt") if part.suffix == ".gz" else part.open() as file:
        header, *lines = file
    split = [line.split(",", 2) for line in lines]
    with path.open("w") as out:
        out.write(header)
        for number in range(-(-rows // len(split))):
            left = split[: rows - number * len(split)]
            out.writelines(f"{user}-{number},{session}-{number},{rest}" for user, session, rest in left)


def read_challenge(path: str, warm_up: str) -> tuple[int, Measurement]:
    """Read a log of the challenge, and return its steps and what that took, after another one that does not count."""
    from irecgan_gym.readers import read

    read(warm_up, "recsys-challenge-2019")
    result, taken = measured(lambda: read(path, "recsys-challenge-2019"))
    return result.sessions.num_steps, taken


def _challenge(part: Path, folder: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "train.csv"
        write_challenge(part, path, CHALLENGE_ROWS)
        steps, taken = in_a_process(read_challenge, str(path), str(part))
    print(
        f"{CHALLENGE_ROWS:,} rows, {steps:,} steps: {taken.seconds:,.1f} s, {taken.cpu_seconds:,.1f} s of processors, "
        f"{taken.peak_mb:,.0f} MB"
    )


def _sessions(path: str) -> Any:
    from irecgan_gym.readers import TableColumns, read

    return read(path, "table", columns=TableColumns(reward="reward", user="user", time="time"))


def _to_disk(path: str) -> Any:
    from irecgan_gym.readers import TableColumns, read_to_disk

    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        columns = TableColumns(reward="reward", user="user", time="time")
        return len(read_to_disk(path, "table", Path(folder) / "sessions", columns=columns).dataset)


def _pyarrow(path: str) -> Any:
    import pyarrow.csv as pcsv
    import pyarrow.parquet as pq

    return pcsv.read_csv(path) if path.endswith(".csv") else pq.read_table(path)


def _pyarrow_lists(path: str) -> Any:
    import pyarrow.compute as pc

    table = _pyarrow(path)
    return table, pc.split_pattern(table["slate"], "|")


def _polars(path: str) -> Any:
    import polars

    return polars.read_csv(path) if path.endswith(".csv") else polars.read_parquet(path)


def _polars_lists(path: str) -> Any:
    import polars

    return polars.read_csv(path).with_columns(polars.col("slate").str.split("|"))


def _pandas(path: str) -> Any:
    import pandas

    return pandas.read_csv(path) if path.endswith(".csv") else pandas.read_parquet(path)


READERS: dict[str, tuple[Callable[[str], Any], str, tuple[str, ...]]] = {
    "irecgan-gym": (_sessions, "pyarrow", (".csv", ".parquet")),
    "irecgan-gym, to disk": (_to_disk, "pyarrow", (".csv", ".parquet")),
    "pyarrow": (_pyarrow, "pyarrow", (".csv", ".parquet")),
    "pyarrow + lists": (_pyarrow_lists, "pyarrow", (".csv",)),
    "polars": (_polars, "polars", (".csv", ".parquet")),
    "polars + lists": (_polars_lists, "polars", (".csv",)),
    "pandas": (_pandas, "pandas", (".csv", ".parquet")),
}
"""Readers by name: the function, the package that it needs, and the files that it reads."""


def measure(name: str, path: str, warm_up: str) -> Measurement:
    """Read a file once in this process.

    Args:
        name: of the reader.
        path: the file.
        warm_up: a small file of the same kind, so that what is imported and made once does not count.
    """
    reader = READERS[name][0]
    reader(warm_up)
    return measured(lambda: reader(path))[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.challenge is not None:
        _challenge(options.challenge, options.folder)
        return 0
    names = [name for name, (_, package, _) in READERS.items() if importlib.util.find_spec(package) is not None]
    print(f"{options.rows:,} rows, {options.rounds} rounds")
    print()
    print("| file | reader | rows a second | CPU seconds | times irecgan-gym's CPU | peak memory (MB) |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for suffix in (".csv", ".parquet"):
            path, warm_up = Path(folder) / f"log{suffix}", Path(folder) / f"warm{suffix}"
            write_log(path, options.rows)
            write_log(warm_up, 100)
            readers = [name for name in names if suffix in READERS[name][2]]
            found: dict[str, list[Measurement]] = {name: [] for name in readers}
            for _ in range(options.rounds):
                for name in readers:
                    found[name].append(in_a_process(measure, name, str(path), str(warm_up)))
            own = statistics.median(one.cpu_seconds for one in found["irecgan-gym"])
            size = f"{path.stat().st_size / 1e6:,.0f} MB"
            for name in readers:
                print(_line(f"{suffix[1:]}, {size}", name, found[name], options.rows, own))
            path.unlink()
    if options.training:
        print()
        streamed_training.show(options.training, options.folder)
    return 0


def _line(file: str, name: str, found: list[Measurement], rows: int, own: float) -> str:
    speeds = sorted(rows / one.seconds for one in found)
    cpu = statistics.median(one.cpu_seconds for one in found)
    peak = max(one.peak_mb for one in found)
    middle = f"{statistics.median(speeds):,.0f} ({speeds[0]:,.0f} to {speeds[-1]:,.0f})"
    return f"| {file} | {name} | {middle} | {cpu:.2f} | {cpu / own:.2f} | {peak:,.0f} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=_rows, default=200_000, help=f"up to {MOST_ROWS:,}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each reader reads")
    parser.add_argument(
        "--training", type=int, nargs="*", default=[40_000], metavar="SESSIONS", help="logs that an agent learns from"
    )
    parser.add_argument("--challenge", type=Path, metavar="FILE", help="a log of the RecSys Challenge 2019")
    parser.add_argument("--folder", help="where the files are written; some 130 bytes a row")
    return parser


def _rows(text: str) -> int:
    rows = int(text)
    if not 1 <= rows <= MOST_ROWS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_ROWS:,}, got {rows}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
