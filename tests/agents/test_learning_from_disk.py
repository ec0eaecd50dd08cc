"""Agents learn from sessions on disk what they learn from the same in memory, for the same order of batches."""

import numpy as np
import pytest
import torch

from irecgan_gym.agents import AC, LSTM, PG, PGC, PGIS, ChoicePlanner
from irecgan_gym.agents.streamed_returns import propensities_are_known
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.streams import windows
from irecgan_gym.sessions import CatalogueError, Sessions
from irecgan_gym.sessions.dataset import SessionDataset
from tests.conftest import random_sessions


@pytest.fixture
def sessions(rng):
    found = random_sessions(rng, num_items=9, num_sessions=40, leave=True)
    chances = rng.uniform(0.2, 1.0, found.num_steps)
    return Sessions.from_columns(**found.to_columns() | {"propensities": chances})


def settings_of(kind, **options):
    shape = EncoderConfig(embedding_size=4, hidden_size=5)
    return kind.config_type(encoder=shape, fit=FitConfig(batch_size=8, max_epochs=2), **options)


def learned(kind, log, validation=None, **options):
    agent = kind(9, 3, settings_of(kind, **options), seed=4, device="cpu").learn(log, validation)
    return [value for network in agent.networks().values() for value in network.state_dict().values()]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PG, {"selection": "off_policy"}),
        (PG, {"selection": "objective"}),
        (PGIS, {}),
        (AC, {}),
        (LSTM, {"ending": "leave"}),
        (PGC, {"rounds": 2}),
    ],
)
def test_with_all_parts_in_memory_the_bits_are_the_same(tmp_path, sessions, kind, options):
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    for one, other in zip(learned(kind, dataset, **options), learned(kind, sessions, **options), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", [PG, PGIS, AC])
def test_part_by_part_the_bits_are_those_of_memory_in_that_order(tmp_path, sessions, kind, monkeypatch):
    """Of nine parts, four are in memory at a time; memory is given the very order that comes of it."""
    offline, held_out = sessions.split((0.8, 0.2), seed=1)
    numbered = Sessions.from_columns(**offline.to_columns() | {"users": np.arange(len(offline))})
    dataset = SessionDataset.write(tmp_path / "log", numbered, sessions_a_part=4)

    def shuffled(tensors, batch_size, generator, ranks):
        for window in windows(dataset, batch_size, generator):
            yield from (tensors.batch(window.sessions.users[batch]) for batch in window.batches)

    from_disk = learned(kind, dataset, held_out)
    another_order = learned(kind, offline, held_out)
    monkeypatch.setattr(SessionTensors, "shuffled", shuffled)
    for one, other in zip(from_disk, learned(kind, offline, held_out), strict=True):
        assert torch.equal(one, other)
    assert not all(map(torch.equal, from_disk, another_order))


def test_estimated_propensities_come_part_by_part(tmp_path, rng):
    sessions = random_sessions(rng, num_items=9, num_sessions=40)
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    assert not propensities_are_known(dataset)
    one, other = (learned(PGIS, log, logging_policy_fit=FitConfig(max_epochs=1)) for log in (dataset, sessions))
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first, second)
    with pytest.raises(ValueError, match="the sessions have none"):
        learned(PGIS, dataset, propensities="logged")


def test_agents_that_need_whole_logs_load_them(tmp_path, rng):
    sessions = random_sessions(rng, num_items=9, num_sessions=40)
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    assert not ChoicePlanner.streams
    one, other = (ChoicePlanner(9, 3, seed=1).learn(log) for log in (dataset, sessions))
    np.testing.assert_array_equal(one.world.weights, other.world.weights)
    with pytest.raises(CatalogueError, match="9 items"):
        PG(8, 3, device="cpu").learn(dataset)
