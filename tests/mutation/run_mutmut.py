"""Runs mutmut in a tree that :mod:`tests.mutation.tree` has made, and writes down what became of the mutants.

A script and not a module: the repository itself must not be on the import path.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
from pathlib import Path

import operators
from mutmut import __main__ as mutmut
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.workers.isolation import ForkRunner
from report import read_reasons

# Of memory a process may ask for: a changed number must not take down the machine.
_MAX_BYTES = 8 * 2**30
_DETECTED = ("killed", "timeout", "segfault", "suspicious")


def _results() -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        found |= data.exit_code_by_key
    return found


def _survivor(name: str, path: Path) -> dict[str, str]:
    """Return where the mutant is, and what it changes."""
    diff = get_diff_for_mutant(name, path=path).splitlines()[2:]
    mangled = name.rpartition(".")[2].partition("__mutmut")[0]
    return {
        "file": str(path.relative_to("irecgan_gym")),
        "function": mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", "."),
        "before": " ".join(line[1:].strip() for line in diff if line.startswith("-")),
        "after": " ".join(line[1:].strip() for line in diff if line.startswith("+")),
    }


def _explained() -> set[str]:
    """Return the survivors of earlier runs that have been explained: there is no need to run them again."""
    known, found = read_reasons(), set()
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if code is not None and status_by_exit_code[code] not in _DETECTED:
                survivor = _survivor(name, path)
                if (survivor["file"], survivor["function"], survivor["after"]) in known:
                    found.add(name)
    return found


def _write(names: set[str], out: Path) -> None:
    survivors, total, killed, run = [], 0, 0, 0
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        total += len(data.exit_code_by_key)
        for name, code in data.exit_code_by_key.items():
            if name in names and code is not None:
                run += 1
                detected = status_by_exit_code[code] in _DETECTED
                killed += detected
                survivors += [] if detected else [_survivor(name, path)]
    counts = {"total": total, "chosen": len(names), "run": run, "killed": killed}
    out.write_text(json.dumps({**counts, "survivors": survivors}))


def main() -> None:
    """Run the mutants of the tree in the current folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="number of mutants, drawn at random; all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--children", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="run killed and explained mutants again, too")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (_MAX_BYTES, _MAX_BYTES))
    operators.install()
    if not Path("mutants/mutmut-stats.json").exists():
        # All tests are run now to see what they reach, and must pass: there is no need to run them twice.
        ForkRunner.run_clean_tests = lambda runner, tests: 0
    Path("mutants").mkdir(exist_ok=True)
    mutmut.set_mutant_under_test("mutant_generation")
    with mutmut.CatchOutput(spinner_title="Generating mutants"):
        mutmut.copy_src_dir()
        mutmut.create_mutants(1)
    results = _results()
    names = sorted(results)
    total = len(names)
    print(f"{total} mutants")
    if arguments.sample is not None and arguments.sample < total:
        names = sorted(random.Random(arguments.seed).sample(names, arguments.sample))
    settled = _explained() | {name for name, code in results.items() if status_by_exit_code[code] in _DETECTED}
    open_ones = [name for name in names if arguments.again or name not in settled]
    try:
        if open_ones:
            mutmut._run(tuple(open_ones), arguments.children)
    finally:
        _write(set(names), arguments.out)


if __name__ == "__main__":
    main()
