"""Damaged logs, plain and compressed, for every reader; and words of command lines."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from irecgan_gym.readers import read
from tests.fuzz.bad_values import VALUES, damaged, pick, shown
from tests.fuzz.endings import SCREEN, Case, SilentlyWrongError

TABLE = """session,slate,click,reward,time,user
s1,a|b|c,a,1,1,u1
s1,b|c|d,c,0,2,u1
s2,a|c|d,d,1,3,u2
s2,d|b|a,a,0.5,4,u2
s3,"a|b",b,1,5,u1
"""
TEXT = """1;0;0;;0
1;3;1;3,4,5;0
1;4;1;4,5,6;0
2;0;0;;0
2;2;1;2,3,6;0
2;6;1;6,1,2;1
"""
CHALLENGE_COLUMNS = "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters"
CHALLENGE = f"""{CHALLENGE_COLUMNS},impressions,prices
u1,s1,1,1,interaction item image,5,AU,C,mobile,,,
u1,s1,2,2,clickout item,6,AU,C,mobile,,5|6|7,1|2|3
u1,s1,3,3,clickout item,7,AU,C,mobile,,7|6|8,1|2|3
u2,s2,4,1,filter selection,Wifi,AU,C,mobile,Wifi,,
u2,s2,5,2,clickout item,8,AU,C,mobile,,8|6,2|3
u2,s2,6,3,clickout item,6,AU,C,mobile,,5|6,2|3
"""
CUP = {
    "train-queries.csv": """queryId;sessionId;userId;items;is.test
1;1;1;4,5,6;FALSE
2;1;1;5,6,7;FALSE
3;2;NA;5,6,7;FALSE
""",
    "train-clicks.csv": "queryId;timeframe;itemId\n1;7;4\n2;10;6\n3;11;7\n",
    "train-purchases.csv": "sessionId;timeframe;itemId\n1;12;6\n",
}
COMPRESSIONS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def logs(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Logs whose bytes were lost or changed, before or after they were compressed."""
    files = {
        "table": ("log.csv", TABLE),
        "irecgan-text": ("log.txt", TEXT),
        "recsys-challenge-2019": ("train.csv", CHALLENGE),
    }
    while True:
        format_name = pick(rng, (*files, "cikm-cup-2016"))
        on_error = pick(rng, ("raise", "skip"))
        suffix = pick(rng, list(COMPRESSIONS)) if format_name != "cikm-cup-2016" else pick(rng, ("", ".gz"))
        compress = COMPRESSIONS[suffix]
        before = rng.random() < 0.7
        if format_name == "cikm-cup-2016":
            name = pick(rng, list(CUP))
            contents = {f"cup/{one}": text.encode() for one, text in CUP.items()}
            broken, path = f"cup/{name}", folder / "cup"
        else:
            name, text = files[format_name]
            contents, broken, path = {name: text.encode()}, name, folder / (name + suffix)
        if before:
            way, contents[broken] = damaged(rng, contents[broken])
        contents = {f"{one}{suffix}": compress(data) for one, data in contents.items()}
        if not before:
            way, contents[broken + suffix] = damaged(rng, contents[broken + suffix])

        def run(contents=contents, path=path, format_name=format_name, on_error=on_error) -> None:
            for old in (folder / "cup").glob("*"):
                old.unlink()
            for one, data in contents.items():
                (folder / one).parent.mkdir(exist_ok=True)
                (folder / one).write_bytes(data)
            sessions, report = read(path, format_name, on_error=on_error)
            if len(str(report)) > 4 * SCREEN:
                raise SilentlyWrongError(f"a report of {len(str(report))} characters")
            sessions.statistics()

        yield Case(f"{format_name}, {broken}{suffix}{'' if before else ', compressed'}: {way}", run)


def reader_options(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Options of readers that make no sense."""
    (folder / "log.csv").write_text(TABLE)
    (folder / "log.txt").write_text(TEXT)
    (folder / "train.csv").write_text(CHALLENGE)
    options = {
        "table": ("log.csv", ("separator", "delimiter", "sort", "min_length", "max_length", "columns", "on_error")),
        "irecgan-text": ("log.txt", ("reward", "min_rows", "max_rows", "num_items", "on_error")),
        "recsys-challenge-2019": ("train.csv", ("reward", "min_length", "max_length", "on_error")),
    }
    while True:
        format_name = pick(rng, list(options))
        name, known = options[format_name]
        option, value = pick(rng, known), pick(rng, VALUES)

        def run(name=name, format_name=format_name, option=option, value=value) -> None:
            read(folder / name, format_name, **{option: value})

        yield Case(f"{format_name}: {option} = {shown(value)}", run)


WORDS = (
    "-1",
    "0",
    "1",
    "3",
    "99999999999",
    "1e30",
    "nan",
    "inf",
    "",
    "x",
    "é",
    "../x",
    "/dev/null",
    "/",
    "a,b",
    "None",
)
WORDS += (
    "--",
    "-",
    "[]",
    "{}",
    '{"num_items": 0}',
    '{"num_items": "x"}',
    "@none.json",
    "1 2",
    "random",
    "max",
    "pg",
    "\0",
)


def command_lines(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Command lines with a word that is another; they must end with a status and at most a screen of words."""
    from irecgan_gym.benchmarks.main import main

    (folder / "log.csv").write_text(TABLE)
    (folder / "log.txt").write_text(TEXT)
    out = str(folder / "out")
    lines = (
        ["read", "table", str(folder / "log.csv"), "--min-length", "1", "--separator", "|", "--delimiter", ","],
        ["read", "irecgan-text", str(folder / "log.txt"), "--num-items", "9", "--min-rows", "2"],
        ["simulate", "--out", out, "--sessions", "3", "--seed", "0"],
        ["report", str(folder), "--out", out],
        ["claims", str(folder)],
        ["plots", str(folder)],
        ["evaluate", str(folder / "log.txt"), "--sessions", "3"],
        ["online", "--dry-run", "--out", out, "--agents", "pg", "--sessions", "30", "--seeds", "2", "--preset", "fast"],
        ["rerank", "--dry-run", "--out", out, "--data", str(folder / "log.csv"), "--format", "table", "--seeds", "2"],
        ["tune", "--dry-run", "--out", out, "--agents", "pg", "--trials", "2"],
    )
    while True:
        line = list(pick(rng, lines))
        # Training is not what is tried here.
        place = int(rng.integers(2 if "--dry-run" in line else 1, len(line)))
        way = pick(rng, ("another", "another", "gone", "added"))
        word = pick(rng, WORDS)
        if way == "another":
            line[place] = word
        elif way == "gone":
            del line[place]
        else:
            line.insert(place, word)

        yield Case(" ".join(map(repr, line)), lambda line=tuple(line): _call(main, line, folder))


def _call(main: Any, line: tuple[str, ...], folder: Path) -> None:
    said, before = io.StringIO(), Path.cwd()
    (folder / "inner").mkdir(exist_ok=True)
    os.chdir(folder / "inner")  # Where files of relative names do no harm.
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(line)
        except SystemExit as error:
            status = error.code
        finally:
            os.chdir(before)
    if status not in (0, 1, 2):
        raise SilentlyWrongError(f"exit status {status!r}")
    if status and not said.getvalue().strip():
        raise SilentlyWrongError(f"exit status {status} without a word")
    if len(said.getvalue()) > 4 * SCREEN:
        raise SilentlyWrongError(f"{len(said.getvalue())} characters on standard error")
