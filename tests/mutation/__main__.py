"""Makes small changes to the code and counts those that tests notice: ``python -m tests.mutation [FOLDER ...]``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.mutation.report import REPORT, add_result, write_report
from tests.mutation.tree import FOLDERS, make_tree

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the mutants of the folders, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    # Without any, argparse looks for the empty list among the choices.
    parser.add_argument("folders", nargs="*", choices=[[], *FOLDERS], metavar="FOLDER", help="all without any")
    parser.add_argument("--sample", help="number of mutants of each folder, drawn at random; all without it")
    parser.add_argument("--seed", default="0", help="of the sample")
    parser.add_argument("--children", default="1", help="processes at a time")
    parser.add_argument("--again", action="store_true", help="run killed and explained mutants again, too")
    arguments = parser.parse_args()
    for folder in arguments.folders or FOLDERS:
        tree = make_tree(REPOSITORY, folder)
        command = [sys.executable, str(Path(__file__).with_name("run_mutmut.py")), "--out", "results.json"]
        command += ["--seed", arguments.seed, "--children", arguments.children]
        command += ["--sample", arguments.sample] if arguments.sample else []
        command += ["--again"] if arguments.again else []
        subprocess.run(command, cwd=tree, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
        add_result(folder, json.loads((tree / "results.json").read_text()))
    if unexplained := write_report():
        sys.exit(f"{unexplained} survivors are not explained: see {REPORT.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
