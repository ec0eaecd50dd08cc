"""Command line: python -m benchmarks.throughput."""

import sys

from irecgan_gym.benchmarks.throughput.command import main

if __name__ == "__main__":
    sys.exit(main())
