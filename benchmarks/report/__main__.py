"""Command line: python -m benchmarks.report RUN... --out report.html."""

import sys

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.report.page import Report

if __name__ == "__main__":
    sys.exit(command_line(Report))
