"""Every env and wrapper in worker processes of other libraries, by every start method; ``make processes`` tries all."""

import multiprocessing
from functools import partial
from itertools import product

import numpy as np
import pytest

from tests.start_methods import LIBRARIES, METHODS, Everything, agrees, everything, play


@pytest.fixture(scope="module")
def expected():
    return play(partial(Everything, everything()), "gymnasium", None, steps=1)[1][0]


# Spawned once: each start loads all libraries.
@pytest.mark.parametrize(
    ("library", "method"), [pair for pair in product(LIBRARIES, METHODS) if pair != ("stable-baselines3", "spawn")]
)
def test_everything_plays_in_a_process_of_its_own(library, method, expected):
    pytest.importorskip("stable_baselines3")
    # Loaded once, by the server.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.start_methods"])
    seen = play(partial(Everything, everything()), library, method, steps=1)[1][0]
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("wrapper", ["sequential", "adversarial"])
def test_what_they_give_passes_between_processes(wrapper, library):
    pytest.importorskip("stable_baselines3")
    [make] = [one for one in everything() if (one.world, one.wrapper) == ("UserModel-v0", wrapper)]
    assert agrees(make, library, "fork")
