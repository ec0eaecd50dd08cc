"""Experiments, a script a question and a folder a run; and the console command ``irecgan-gym``."""

if __name__ == "benchmarks":  # `python -m benchmarks.NAME` in a checkout; installed, it is a part of irecgan_gym.
    from irecgan_gym.benchmarks.extras import require_or_exit

    require_or_exit("benchmarks")

from irecgan_gym.benchmarks.engine.parent_watch import end_with_parent

end_with_parent()
