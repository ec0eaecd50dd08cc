"""Command line: python -m benchmarks.third_party --out runs/third-party."""

import sys

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.third_party.experiment import ThirdParty

if __name__ == "__main__":
    sys.exit(command_line(ThirdParty))
