"""Fixtures for all tests: one thread, and small worlds that a slow plain computation can check."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from hypothesis import settings

from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.checkpoints import StoredSchedule
from tests.stopped import Stopped

# No deadlines: a busy machine is not a bug. The same examples every time: a change is what makes a test fail.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


# Top-level packages that come with extras: a test that fails because one is not installed is skipped.
EXTRAS = (
    *("PIL", "h5py", "jinja2", "matplotlib", "minari", "moviepy", "numba", "pandas", "pygame", "ray", "rich"),
    *("sb3_contrib", "stable_baselines3", "tensorboard", "tensordict", "tianshou", "torchrl", "tyro"),
)


class _Module(pytest.Module):
    def _getobj(self):
        try:
            return super()._getobj()
        except self.CollectError as error:
            _skip_without_extra(error)
            raise


def pytest_pycollect_makemodule(module_path, parent):
    return _Module.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    try:
        return (yield)
    except Exception as error:
        _skip_without_extra(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except Exception as error:
        _skip_without_extra(error)
        raise


def _skip_without_extra(error):
    """Skip where a package that an extra brings is behind an error, and is really not there."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            missing = error.name.partition(".")[0]
            if missing in EXTRAS and missing not in sys.modules and importlib.util.find_spec(missing) is None:
                pytest.skip(f"{missing} is not installed", allow_module_level=True)
        error = error.__cause__ or error.__context__


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests run side by side; more threads than cores would only slow them down."""
    torch.set_num_threads(1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_sessions(rng, *, num_items=7, slate_size=3, num_sessions=12, max_length=5, ragged=False, leave=False):
    """Sessions without any structure, but with everything that training must cope with."""
    lengths = rng.integers(1, max_length + 1, num_sessions)
    total = int(lengths.sum())
    sizes = rng.integers(2, slate_size + 1, total) if ragged else np.full(total, slate_size)
    slates = [rng.permutation(num_items)[:size] for size in sizes]
    clicks = np.array([rng.choice(slate) for slate in slates])
    rewards = rng.integers(0, 2, total)
    last = np.cumsum(lengths) - 1
    if leave:
        clicks[last[::2]] = num_items
        rewards[last[::2]] = 0
    truncated = np.zeros(num_sessions, dtype=bool)
    truncated[1::4] = True
    return Sessions.from_columns(
        num_items=num_items,
        lengths=lengths,
        slates=np.concatenate(slates),
        slate_lengths=sizes,
        clicks=clicks,
        rewards=rewards,
        truncated=truncated,
    )


@pytest.fixture
def writes(monkeypatch):
    """Checkpoints that were written; training stops after as many as ``writes.allowed``."""

    class Writes(list):
        allowed = None

    writes, write = Writes(), StoredSchedule._write

    def counted(self, kept):
        write(self, kept)
        writes.append((kept.phase, kept.position, kept.over))
        if len(writes) == writes.allowed:
            raise Stopped

    monkeypatch.setattr(StoredSchedule, "_write", counted)
    return writes
