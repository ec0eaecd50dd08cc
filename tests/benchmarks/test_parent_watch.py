"""Processes end with the parent that was named to them, also while they load their libraries."""

import os
import signal
import subprocess
import sys
import time

import pytest

from irecgan_gym.benchmarks.engine.parent_watch import named_as_parent

CHILD = "import irecgan_gym.benchmarks, os, time; print(os.getpid(), flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
from irecgan_gym.benchmarks.engine.parent_watch import named_as_parent
with named_as_parent():
    subprocess.Popen([sys.executable, "-c", {CHILD!r}])
time.sleep(60)
"""


def is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One that has ended, and whose new parent has not looked yet, is no process any more.
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks at processes as Linux shows them")
def test_a_child_ends_with_a_parent_that_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert is_there(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while is_there(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_there(child)
    parent.stdout.close()


def test_a_process_whose_parent_is_another_ends_at_once():
    with named_as_parent():
        environment = {**os.environ, "IRECGAN_GYM_PARENT": "1"}
    assert "IRECGAN_GYM_PARENT" not in os.environ
    assert subprocess.run([sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE).returncode == 1
