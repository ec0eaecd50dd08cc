"""Numba is used where it is and works, and not missed where it is not."""

import os
import subprocess
import sys

import pytest

from irecgan_gym.kernels import jit

PLAY = (
    "import sys, gymnasium as gym, numpy as np, irecgan_gym\n"
    "env = gym.make_vec('RecSim-v0', num_envs=8)\n"
    "env.reset(seed=0)\n"
    "print([env.step(np.zeros((8, 10), dtype=int))[0].tolist() for _ in range(4)])\n"
    "print(env.unwrapped.collect(5, seed=0).clicks.tolist())\n"
)


def output(program, **environment):
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return result.stdout


def test_without_numba_everything_works_alike():
    missing = "import sys; sys.modules['numba'] = None\n"
    assert output(missing + PLAY) == output(PLAY)


def test_numba_can_be_switched_off():
    program = "from irecgan_gym.kernels import jit, loading\nprint(loading.load_kernels())\n"
    assert output(program, NUMBA_DISABLE_JIT="1") == "None\n"


def test_single_envs_do_not_load_numba():
    program = (
        "import sys, gymnasium as gym, irecgan_gym\n"
        "env = gym.make('RecSim-v0'); env.reset(seed=0); env.step(env.action_space.sample())\n"
        "print('numba' in sys.modules)\n"
    )
    assert output(program) == "False\n"


def test_without_a_place_for_the_cache_kernels_are_compiled_all_the_same(monkeypatch):
    numba = pytest.importorskip("numba")

    def nowhere(*arguments, cache=False, **options):
        if cache:
            return lambda function: (_ for _ in ()).throw(RuntimeError("cannot cache function: no locator available"))
        return numba.core.decorators.njit(*arguments, **options)

    monkeypatch.setattr(numba, "njit", nowhere)
    double = jit.compiled(lambda number: 2 * number)
    assert double(21) == 42
    assert double.signatures
