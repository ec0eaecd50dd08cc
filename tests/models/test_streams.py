"""Batches of sessions on disk: those of memory, bit for bit."""

from dataclasses import fields, replace
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from irecgan_gym.evaluation.reranking import evaluate_reranking
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.streams import SessionBatches, SessionStream, batches_of, windows
from irecgan_gym.models.user_model import UserModelConfig
from irecgan_gym.sessions.dataset import SessionDataset
from irecgan_gym.sessions.leaving import with_leaving_step
from tests.conftest import random_sessions

FIT = FitConfig(batch_size=8, max_epochs=3)


@pytest.fixture
def sessions(rng):
    return random_sessions(rng, num_sessions=50, ragged=True)


@pytest.fixture
def dataset(tmp_path, sessions):
    return SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=9)


def same(one, other):
    """Whether two batches hold the same, but for the places of their steps in the log."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("steps", "numbers"):
            assert len(a) == len(b)
        elif field.name == "features":  # Of the whole log; there are none here.
            continue
        elif isinstance(a, torch.Tensor):
            assert torch.equal(a, b), field.name
        else:
            assert a == b


def order_of(dataset, sessions, batch_size, generator, **options):
    """The order in which windows give the sessions of a log, found by their times."""
    numbers = {float(start): number for number, start in enumerate(sessions.times[sessions.offsets[:-1]])}
    order = []
    for window in windows(dataset, batch_size, generator, **options):
        starts = window.sessions.times[window.sessions.offsets[:-1]]
        order += [[numbers[float(start)] for start in starts[batch]] for batch in window.batches]
    return order


@pytest.fixture
def timed(tmp_path, sessions):
    sessions = replace(sessions, times=np.arange(sessions.num_steps, dtype=np.float64))
    return SessionDataset.write(tmp_path / "timed", sessions, sessions_a_part=9), sessions


@pytest.mark.parametrize("parts_at_once", [1, 2, 6])
def test_every_session_comes_once_in_full_batches(timed, parts_at_once):
    dataset, sessions = timed
    order = order_of(dataset, sessions, 8, np.random.default_rng(1), parts_at_once=parts_at_once)
    assert [len(batch) for batch in order] == [8] * 6 + [2]
    assert sorted(chain(*order)) == list(range(50))
    again = order_of(dataset, sessions, 8, np.random.default_rng(2), parts_at_once=parts_at_once)
    assert again != order
    if parts_at_once == 6:
        assert list(chain(*order)) == np.random.default_rng(1).permutation(50).tolist()


@pytest.mark.parametrize("prepared", [None, with_leaving_step])
def test_batches_are_those_of_memory_for_the_same_order(timed, prepared):
    dataset, sessions = timed
    order = order_of(dataset, sessions, 8, np.random.default_rng(4), parts_at_once=2)
    stream = SessionStream(dataset, leave_option=True, prepared=prepared, parts_at_once=2)
    data = SessionTensors(sessions if prepared is None else prepared(sessions), leave_option=True)
    assert stream.mean_steps(8) == data.mean_steps(8)
    for numbers, batch in zip(order, stream.shuffled(8, np.random.default_rng(4)), strict=True):
        same(batch, data.batch(np.array(numbers)))
    for one, other in zip(stream.all(8), data.all(8), strict=True):
        same(one, other)


def test_a_user_model_learns_the_same_bits_from_disk(dataset, sessions):
    config = UserModelConfig(
        sessions.num_items, sessions.slate_size, "leave", EncoderConfig(embedding_size=4, hidden_size=5)
    )
    models = [fit_user_model(log, None, config, FIT, seed=1, device="cpu") for log in (dataset, sessions)]
    # Nine tenths of six parts: they are not all in memory at once, so the order is another one...
    assert not torch.equal(*(next(model.parameters()) for model in models))
    whole = SessionDataset.write(dataset.folder.parent / "whole", sessions, sessions_a_part=20)
    # ... and with all parts in memory it is that of memory.
    models[0] = fit_user_model(whole, None, config, FIT, seed=1, device="cpu")
    for one, other in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(one, other)


def test_what_a_model_cannot_learn_from_is_refused_at_once(tmp_path, sessions):
    bad = replace(sessions, rewards=np.where(np.arange(sessions.num_steps) == sessions.num_steps - 1, 0.5, 0.0))
    dataset = SessionDataset.write(tmp_path / "bad", bad, sessions_a_part=9)
    with pytest.raises(ValueError, match="rewards are 0 or 1"):
        fit_user_model(dataset, fit=FIT, device="cpu")


def test_workers_and_ranks_share_the_sessions(timed):
    dataset, sessions = timed
    seen = []
    for rank in range(2):
        batches = SessionBatches(dataset, 4, seed=3, rank=rank, world_size=2)
        loader = DataLoader(batches, batch_size=None, num_workers=2, multiprocessing_context="fork")
        for batch in loader:
            seen.append(batch.rewards.shape[0])
    assert sum(seen) == sessions.num_steps
    alone = SessionBatches(dataset, 4, seed=3, rank=0, world_size=1)
    first = [batch.clicks.tolist() for batch in alone]
    assert first == [batch.clicks.tolist() for batch in alone]
    alone.set_epoch(1)
    assert first != [batch.clicks.tolist() for batch in alone]
    with pytest.raises(ValueError, match="rank must be"):
        SessionBatches(dataset, 4, rank=2, world_size=2)
    with pytest.raises(ValueError, match="batch_size"):
        SessionBatches(dataset, 0)


def test_ranks_come_from_the_environment(dataset, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "6")
    (batch,) = SessionBatches(dataset, 50)
    assert batch.num_sessions in (9, 5)


class ByItem:
    """Scores that depend on the item alone, with ties."""

    def slate_scores(self, sessions):
        return (sessions.slate_items % 4).astype(np.float32)


@pytest.mark.parametrize("deterministic", [True, False])
def test_reranking_is_judged_part_by_part(dataset, sessions, deterministic):
    one, other = (
        evaluate_reranking(ByItem(), log, deterministic=deterministic, seed=5, at=(1, 2), min_list_length=2)
        for log in (dataset, sessions)
    )
    assert one.precision == other.precision
    assert one.reciprocal_rank == other.reciprocal_rank
    assert one.num_lists == other.num_lists
    np.testing.assert_array_equal(one.click_ranks, other.click_ranks)
    np.testing.assert_array_equal(one.counted, other.counted)
    with pytest.raises(ValueError, match="load"):
        evaluate_reranking(ByItem(), dataset, deterministic=True, seed=5, metrics={"x": lambda lists: 1.0})
    with pytest.raises(ValueError, match="at least 90 items"):
        evaluate_reranking(ByItem(), dataset, deterministic=True, seed=5, min_list_length=90)


def test_batches_of_either_kind(dataset, sessions):
    assert isinstance(batches_of(dataset, leave_option=False), SessionStream)
    assert isinstance(batches_of(sessions, leave_option=False), SessionTensors)
