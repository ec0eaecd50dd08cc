"""``python -m tests.fuzz``: try bad input by the thousand, and write how each case ended.

Every case must end in a right result or in an error that the package raises on purpose, of at most a screen, within
seconds. The exit status is 1 where one does not.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from irecgan_gym.storage.files import write_atomically
from tests.fuzz.endings import BAD, Ending, Outcome
from tests.fuzz.targets import TARGETS, outcomes

MEMORY = 8 * 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=f"any of: {', '.join(TARGETS)}")
    parser.add_argument("--cases", type=int, default=800, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown page of how they ended")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    # What asks for more memory than this is told that there is none, rather than taking that of everyone.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    found: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(options.targets):
            found[name] = list(outcomes(name, options.cases, options.seed, Path(folder) / str(number)))
            print(line(name, found[name]), flush=True)
    text = page(found, options.cases, options.seed)
    if options.out is not None:
        write_atomically(options.out, text.encode())
    print(text)
    return int(any(outcome.ending in BAD for cases in found.values() for outcome in cases))


def line(name: str, cases: Sequence[Outcome]) -> str:
    """One row of the table."""
    counts = Counter(outcome.ending for outcome in cases)
    return f"| {name} | {len(cases):,} | " + " | ".join(f"{counts[ending]:,}" for ending in Ending) + " |"


def page(found: dict[str, list[Outcome]], number: int, seed: int) -> str:
    """The table of endings, and an example of each kind of bad one."""
    everything = [outcome for cases in found.values() for outcome in cases]
    lines = [
        f"# Bad input: {len(everything):,} cases, {number:,} of each kind, seed {seed}",
        "",
        "| Input | Cases | " + " | ".join(ending.value for ending in Ending) + " |",
        "| --- |" + " ---: |" * (len(Ending) + 1),
        *(line(name, cases) for name, cases in found.items()),
        line("all", everything),
    ]
    for name, cases in found.items():
        kinds: dict[tuple[Ending, str], list[Outcome]] = {}
        for outcome in cases:
            if outcome.ending in BAD:
                kinds.setdefault((outcome.ending, outcome.where), []).append(outcome)
        for (ending, where), members in sorted(kinds.items(), key=lambda item: -len(item[1])):
            first = members[0]
            what = f"{name}: {len(members)} x {ending.value} {where}"
            lines += ["", what, f"    {first.case}", f"    {first.message}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
