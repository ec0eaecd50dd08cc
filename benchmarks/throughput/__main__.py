"""Command line: python -m benchmarks.throughput."""

import sys

from benchmarks.throughput.command import main

if __name__ == "__main__":
    sys.exit(main())
