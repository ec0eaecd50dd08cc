"""Training by several processes: what single processes do with a batch, and that together they do what one does."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.ranks import ALONE, Ranks, current_ranks, data_parallel
from tests.conftest import random_sessions
from tests.models import train_in_parallel


@pytest.fixture
def alone_in_a_group(monkeypatch):
    """The environment in which a launcher starts the only process of a group."""
    # Port 0 is any that is free.
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)


def test_parts_of_a_batch_are_the_batch():
    numbers = np.array([5, 3, 8, 1, 9])
    parts = [Ranks(rank, 2).part(numbers) for rank in range(2)]
    assert [part.tolist() for part, _ in parts] == [[5, 8, 9], [3, 1]]
    assert [share for _, share in parts] == [1, 1]


def test_sessions_of_a_batch_too_small_to_share_out_are_everybodys():
    for rank in range(3):
        part, share = Ranks(rank, 3).part(np.array([4, 2]))
        assert part.tolist() == [4, 2]
        assert share == 1 / 3


def test_every_session_is_in_one_part_of_an_epoch(rng):
    data = SessionTensors(random_sessions(rng, num_sessions=11), leave_option=False)
    epochs = [list(data.shuffled(4, np.random.default_rng(0), Ranks(rank, 3))) for rank in range(3)]
    together = np.concatenate([batch.numbers for epoch in epochs for batch in epoch])
    assert sorted(together) == list(range(11))
    whole = list(data.shuffled(4, np.random.default_rng(0)))
    for place, batch in enumerate(whole):
        assert sorted(batch.numbers) == sorted(np.concatenate([epoch[place].numbers for epoch in epochs]))
        assert batch.share == 1


@pytest.mark.parametrize(("rank", "size"), [(-1, 1), (1, 1), (2, 2)])
def test_a_rank_is_one_of_the_processes(rank, size):
    with pytest.raises(ValueError, match=rf"rank must be in \[0, {size}\), got {rank}"):
        Ranks(rank, size)


def test_without_a_launcher_there_is_nobody_to_train_with(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match=r"start the program by torchrun .*RANK"), data_parallel():
        pass


def test_the_group_ends_with_the_context(alone_in_a_group):
    assert current_ranks() is ALONE
    with data_parallel() as ranks:
        assert (ranks.rank, ranks.size) == (0, 1)
        assert current_ranks() is ranks
    assert current_ranks() is ALONE
    assert not dist.is_initialized()


def test_a_group_that_was_there_stays(alone_in_a_group):
    dist.init_process_group("gloo")
    try:
        with data_parallel():
            pass
        assert dist.is_initialized()
    finally:
        dist.destroy_process_group()


def test_gradients_are_summed_and_unused_parameters_stay_without(monkeypatch):
    used, unused, elsewhere = (nn.Parameter(torch.ones(2, 2)) for _ in range(3))
    used.grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    # The other process has gradients of 10 for the first and the third.
    monkeypatch.setattr(
        dist, "all_reduce", lambda flat: flat.add_(torch.tensor([1, 0, 1] + [10] * 4 + [0] * 4 + [10] * 4))
    )
    Ranks(0, 2).sum_gradients([used, unused, elsewhere])
    assert used.grad.tolist() == [[11, 12], [13, 14]]
    assert unused.grad is None
    assert elsewhere.grad.tolist() == [[10, 10], [10, 10]]


@pytest.mark.parametrize(
    ("cards", "processes", "backend"), [(0, 2, "gloo"), (1, 2, "gloo"), (2, 2, "cpu:gloo,cuda:nccl"), (8, 1, "gloo")]
)
def test_only_processes_with_a_card_each_talk_over_nccl(monkeypatch, cards, processes, backend):
    has_nccl = processes == 2
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    current, begun = [], []

    class Current:
        def __init__(self, card):
            self.card = card

        def __enter__(self):
            current.append(self.card)

        def __exit__(self, *error):
            current.pop()

    monkeypatch.setattr(torch.cuda, "device", Current)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: has_nccl)
    monkeypatch.setattr(dist, "init_process_group", lambda backend: begun.append((backend, list(current))))
    monkeypatch.setattr(dist, "get_rank", lambda: 3)
    monkeypatch.setattr(dist, "get_world_size", lambda: 4)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with data_parallel() as ranks:
        assert (ranks.rank, ranks.size) == (3, 4)
    assert begun == [(backend, [1 % cards] if cards else [])]
    assert not current


def test_two_processes_learn_what_one_learns(tmp_path):
    """A user model, an actor with its critic, and IRecGAN, over gloo."""
    processes = train_in_parallel.start(tmp_path, processes=2)
    train_in_parallel.main(tmp_path, "alone")
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    names = ("parallel-0", "parallel-1", "alone-0")
    first, second, alone = (load_file(tmp_path / f"{name}.safetensors") for name in names)
    assert first.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6)
