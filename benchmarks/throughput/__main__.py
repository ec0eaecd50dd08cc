"""Command line: python -m benchmarks.throughput."""

import sys

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.throughput.command import Throughput

if __name__ == "__main__":
    sys.exit(command_line(Throughput))
