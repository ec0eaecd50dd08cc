"""Agents learn from sessions on disk what they learn from the same in memory, for the same order of batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from irecgan_gym.agents import (
    AC,
    ACU,
    LSTM,
    LSTMD,
    PG,
    PGC,
    PGIS,
    PGU,
    ChoicePlanner,
    IRecGAN,
    IRecGANConfig,
    LSTMDConfig,
)
from irecgan_gym.agents.streamed_returns import propensities_are_known
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.feature_specs import feature_specs
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.streams import windows
from irecgan_gym.sessions import CatalogueError, Sessions
from irecgan_gym.sessions.dataset import SessionDataset
from irecgan_gym.storage.checkpoints import CheckpointError, Checkpoints
from tests.conftest import random_sessions
from tests.stopped import Stopped


@pytest.fixture
def sessions(rng):
    found = random_sessions(rng, num_items=9, num_sessions=40, leave=True)
    chances = rng.uniform(0.2, 1.0, found.num_steps)
    return Sessions.from_columns(**found.to_columns() | {"propensities": chances})


def settings_of(kind, **options):
    return kind.config_type(encoder=SMALL, fit=FitConfig(batch_size=8, max_epochs=2), **options)


SMALL = EncoderConfig(embedding_size=4, hidden_size=5)
SHORT = FitConfig(batch_size=8, max_epochs=1)
ROUNDS = {"user_model_fit": SHORT, "ending": "leave", "generated_pool": 5, "max_generated": 9}
ADVERSARIAL = {
    **ROUNDS,
    "discriminator_fit": SHORT,
    "pre_training_d_steps": 1,
    "discriminator_sessions": 9,
    "num_rollouts": 1,
    "length_cut": 1.0,
}
"""Settings of agents with user models, and of those with a discriminator."""


def learned(kind, log, validation=None, resume=None, **options):
    agent = kind(9, 3, settings_of(kind, **options), seed=4, device="cpu").learn(log, validation, resume=resume)
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
        (PGU, {"rounds": 2, **ROUNDS}),
        (ACU, {"rounds": 1, "length_cut": 2.0, **ROUNDS}),
        (IRecGAN, {"rounds": 1, "likelihood_epochs": 1, **ADVERSARIAL}),
    ],
)
def test_with_all_parts_in_memory_the_bits_are_the_same(tmp_path, sessions, kind, options):
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    for one, other in zip(learned(kind, dataset, **options), learned(kind, sessions, **options), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PG, {}),
        (PGIS, {}),
        (AC, {}),
        (PGC, {"rounds": 2, "max_generated": 9}),
        (PGU, {"rounds": 2, **ROUNDS}),
        (IRecGAN, {"rounds": 1, "likelihood_epochs": 1, **ADVERSARIAL}),
    ],
)
def test_part_by_part_the_bits_are_those_of_memory_in_that_order(tmp_path, sessions, kind, options, monkeypatch):
    """Of eight parts, four are in memory at a time; memory is given the very order that comes of it.

    Sessions that are drawn a second time, or generated, come in that order too: some beside the parts of each time.
    """
    offline, held_out = sessions.split((0.8, 0.2), seed=1)
    numbered = Sessions.from_columns(**offline.to_columns() | {"users": np.arange(len(offline))})
    dataset = SessionDataset.write(tmp_path / "log", numbered, sessions_a_part=4)

    in_memory = SessionTensors.shuffled

    def shuffled(tensors, batch_size, generator, ranks):
        number = len(tensors.sessions)
        if number < len(offline):  # Both kinds of sessions of a d-step, which are in memory.
            yield from in_memory(tensors, batch_size, generator, ranks)
            return
        extra = None
        if number > len(offline):
            more = np.arange(len(offline), number)
            extra = replace(tensors.sessions.select(more), users=more)
        for window in windows(dataset, batch_size, generator, extra=extra):
            yield from (tensors.batch(window.sessions.users[batch]) for batch in window.batches)

    from_disk = learned(kind, dataset, held_out, **options)
    another_order = learned(kind, offline, held_out, **options)
    monkeypatch.setattr(SessionTensors, "shuffled", shuffled)
    for one, other in zip(from_disk, learned(kind, offline, held_out, **options), strict=True):
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
    rewards = np.ones(sessions.num_steps)
    rewards[sessions.offsets[1:] - 1] = 0
    sessions = sessions.with_rewards(rewards)
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    assert not ChoicePlanner.streams
    one, other = (ChoicePlanner(9, 3, seed=1).learn(log) for log in (dataset, sessions))
    np.testing.assert_array_equal(one.world.weights, other.world.weights)
    with pytest.raises(CatalogueError, match="9 items"):
        PG(8, 3, device="cpu").learn(dataset)


def with_features(sessions, rng):
    """The sessions with features of every scope, and rewards of more than two values."""
    entries = rng.normal(5, 3, len(sessions.slate_items))
    rewards = np.where(sessions.clicks < sessions.num_items, rng.normal(2, 1, sessions.num_steps), 0)
    return sessions.with_rewards(rewards).with_features(
        items={"kind": ["a", "b", None, "a", "c", "b", "a", "d", "b"]},
        entries={"price": np.where(rng.random(len(entries)) < 0.2, np.nan, entries)},
        steps={"device": [("m", "d", None)[one] for one in rng.integers(0, 3, sessions.num_steps)]},
        users={"age": rng.integers(20, 60, len(sessions))},
    )


@pytest.mark.parametrize(("kind", "options"), [(PG, {}), (LSTM, {"ending": "leave", "reward_kind": "gaussian"})])
def test_features_are_learned_from_disk_as_from_memory(tmp_path, sessions, rng, kind, options, monkeypatch):
    """What networks know of a log is the same to the bit: scales, contexts, and how items are usually shown."""
    monkeypatch.setattr("irecgan_gym.models.features._AT_ONCE", 32)
    sessions = with_features(sessions, rng)
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    names = {"items": ["kind"], "entries": ["price"], "steps": ["device"], "users": ["age"]}
    shape = EncoderConfig(embedding_size=4, hidden_size=5, features=feature_specs(dataset, **names))
    assert shape.features == feature_specs(sessions, **names)
    config = kind.config_type(encoder=shape, fit=FitConfig(batch_size=8, max_epochs=2), **options)
    found = [kind(9, 3, config, seed=4, device="cpu").learn(log) for log in (dataset, sessions)]
    one, other = ([*agent.networks().values()] for agent in found)
    for network, twin in zip(one, other, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, twin.state_dict()[name]), name
    with pytest.raises(ValueError, match="the sessions have no feature 'color' of items"):
        feature_specs(dataset, items=["color"])


def test_lstmd_learns_from_disk_by_its_irecgan(tmp_path, sessions):
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    config = LSTMDConfig(IRecGANConfig(encoder=SMALL, fit=SHORT, rounds=1, **ADVERSARIAL))
    one, other = (LSTMD(9, 3, config, seed=4, device="cpu").learn(log) for log in (dataset, sessions))
    for name, value in one.user_model.state_dict().items():
        assert torch.equal(value, other.user_model.state_dict()[name]), name


@pytest.mark.parametrize("kind", [PGC, PGU, IRecGAN])
def test_what_judges_whole_logs_is_refused_from_disk(tmp_path, sessions, kind):
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    with pytest.raises(ValueError, match="judges by whole sessions in memory: load"):
        learned(kind, dataset, selection="sndr")


@pytest.mark.parametrize(
    ("kind", "options"),
    [(PG, {}), (LSTM, {"ending": "leave"}), (IRecGAN, {"rounds": 2, "likelihood_epochs": 1, **ADVERSARIAL})],
)
def test_stopped_training_from_disk_goes_on_to_the_same_bits(tmp_path, sessions, kind, options, writes):
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=4)
    unbroken = learned(kind, dataset, **options)
    place = Checkpoints(tmp_path / "whole", seconds=0)
    for one, other in zip(learned(kind, dataset, resume=place, **options), unbroken, strict=True):
        assert torch.equal(one, other)
    number = len(writes)
    assert number >= 2
    for allowed in {1, number // 2, number - 1}:
        place = Checkpoints(tmp_path / str(allowed), seconds=0)
        writes.clear()
        writes.allowed = allowed
        with pytest.raises(Stopped):
            learned(kind, dataset, resume=place, **options)
        writes.allowed = None
        # The same folder opened again: what is meant is known by what it holds.
        again = learned(kind, SessionDataset.open(tmp_path / "log"), resume=place, **options)
        assert all(map(torch.equal, again, unbroken))
        assert len(writes) == number, "no step was made twice"


def test_checkpoints_are_of_these_sessions_in_these_parts(tmp_path, sessions):
    dataset = SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=4)
    learned(PG, dataset, resume=tmp_path / "checkpoints")
    learned(PG, dataset.select(np.ones(40, dtype=bool)), resume=tmp_path / "checkpoints")
    coarser = SessionDataset.write(tmp_path / "coarser", sessions, sessions_a_part=5)
    another = SessionDataset.write(tmp_path / "another", sessions.with_rewards(2 * sessions.rewards), sessions_a_part=4)
    for log in (coarser, another, dataset.select(np.arange(39)), dataset.load()):
        with pytest.raises(CheckpointError, match="another training: sessions is "):
            learned(PG, log, resume=tmp_path / "checkpoints")
