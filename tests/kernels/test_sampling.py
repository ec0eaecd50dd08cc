"""Draws without replacement against the exact probabilities of ordered draws."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irecgan_gym.kernels import sampling
from irecgan_gym.kernels.sampling import sample_without_replacement
from tests.frequencies import assert_counts


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "weights",
    [[0.4, 0.3, 0.2, 0.1], [0.97, 0.01, 0.01, 0.01], [1.0, 1e-9, 1e-9, 2e-9]],
    ids=["even", "one item holds nearly all", "one item holds all"],
)
@pytest.mark.parametrize("padding", [0, 1500], ids=["in one piece", "in blocks"])
def test_ordered_draws_have_the_probabilities_of_successive_softmaxes(weights, padding):
    """The chance of an ordered draw is the product of softmaxes over what is left."""
    places = torch.randperm(len(weights) + padding, generator=generator())[: len(weights)]
    logits = torch.full((1, len(weights) + padding), -torch.inf)
    logits[0, places] = torch.tensor(weights).log()
    number = 40_000
    drawn = sample_without_replacement(logits, 3, generator(), draws=number)
    names = {int(place): name for name, place in enumerate(places)}
    seen = dict.fromkeys(permutations(range(len(weights)), 3), 0)
    for row in drawn.tolist():
        seen[tuple(names[item] for item in row)] += 1
    share = np.array(weights) / sum(weights)
    expected = [share[a] * share[b] / (1 - share[a]) * share[c] / (1 - share[a] - share[b]) for a, b, c in seen]
    assert_counts(np.array(list(seen.values())), number, np.array(expected))


def test_many_categories_are_drawn_in_proportion():
    size = 5_000
    logits = torch.randn(2, size, generator=generator())
    drawn = sample_without_replacement(logits, 1, generator(), draws=100_000).view(2, -1)
    for row, items in zip(logits, drawn, strict=True):
        assert_counts(np.bincount(items.numpy(), minlength=size), len(items), row.double().softmax(0).numpy())


@given(
    rows=st.integers(0, 4),
    size=st.sampled_from([1, 2, 7, 64, 1024, 1025, 1100]),
    share=st.floats(0, 1),
    spread=st.sampled_from([0.0, 1.0, 30.0, 300.0]),
    draws=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_draws_are_different_and_possible(rows, size, share, spread, draws, seed):
    logits = spread * torch.randn(rows, size, generator=generator(seed))
    possible = max(1, round(share * size))
    allowed = torch.rand(rows, size, generator=generator(seed)).argsort(1) < possible
    logits = logits.masked_fill(~allowed, -torch.inf)
    k = min(possible, 40)
    drawn = sample_without_replacement(logits, k, generator(seed), draws=draws)
    assert drawn.shape == (rows * draws, k)
    for number, items in enumerate(drawn):
        assert len(set(items.tolist())) == k
        assert bool(allowed[number // draws, items].all())


def test_too_few_possible_categories_are_refused():
    logits = torch.tensor([[0.0, 1.0, -torch.inf]])
    with pytest.raises(ValueError, match="fewer categories"):
        sample_without_replacement(logits, 3, generator())


def test_the_seed_decides():
    logits = torch.randn(5, 3000, generator=generator())
    first, again, other = (sample_without_replacement(logits, 10, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("size", [1024, 1030, 5000], ids=["whole blocks", "a last block of few", "many"])
def test_what_gpus_do_instead_has_the_same_law(size):
    logits = torch.randn(2, size, generator=generator())
    logits[:, 3::2] = -torch.inf
    drawn, possible = sampling._with_replacement_on_gpu(logits, 50_000, generator())
    assert bool(possible)
    for row, items in zip(logits, drawn, strict=True):
        assert_counts(np.bincount(items.numpy(), minlength=size), len(items), row.double().softmax(0).numpy())
    _, possible = sampling._with_replacement_on_gpu(torch.full((2, size), -torch.inf), 5, generator())
    assert not bool(possible)
