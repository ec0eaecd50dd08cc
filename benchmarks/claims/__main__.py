"""Command line: python -m benchmarks.claims RUN... --markdown claims.md."""

import sys

from irecgan_gym.benchmarks.claims.command import Claims
from irecgan_gym.benchmarks.engine.command import command_line

if __name__ == "__main__":
    sys.exit(command_line(Claims))
