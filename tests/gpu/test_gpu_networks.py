"""Networks and draws on a card: near those of the CPU, and of the types that were asked for."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from irecgan_gym.kernels.gpu_rnn import packed_rnn
from irecgan_gym.kernels.low_precision import LowPrecision
from irecgan_gym.kernels.sampling import sample_without_replacement
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.slate_policy import SlatePolicy
from tests.frequencies import assert_counts

CUDA = torch.device("cuda")
SHAPES = {
    "lstm": EncoderConfig(num_layers=2, hidden_size=128, embedding_size=16, embedding_std=1.0),
    "gru": EncoderConfig("gru", num_layers=2, hidden_size=128, embedding_size=16, embedding_std=1.0),
}


@pytest.mark.parametrize("cell", SHAPES)
def test_autocast_does_not_bring_recurrent_networks_to_float16(cell):
    encoder = build(lambda: RecurrentEncoder(9, SHAPES[cell]), torch.Generator().manual_seed(0), CUDA)
    sizes = torch.tensor([1, 5, 4, 2])
    # Beyond the largest number of float16.
    inputs = 1e5 * torch.randn(12, 16, device=CUDA, generator=torch.Generator(CUDA).manual_seed(0))
    exact = packed_rnn(encoder.rnn, inputs, sizes)
    with torch.autocast("cuda", torch.bfloat16):
        under = packed_rnn(encoder.rnn, inputs, sizes)
    assert under.dtype == torch.float32
    assert bool(exact.isfinite().all())
    torch.testing.assert_close(under, exact)


@torch.no_grad()
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", SHAPES)
def test_steps_are_those_of_the_cpu(cell, precision):
    policy = build(lambda: SlatePolicy(1100, 4, SHAPES[cell]), torch.Generator().manual_seed(0))
    here, there = LowPrecision(precision)(policy), LowPrecision(precision)(copy.deepcopy(policy).to(CUDA))
    mine, theirs = here.start(50), there.start(50)
    for clicks in torch.randint(1100, (8, 50), generator=torch.Generator().manual_seed(1)):
        mine, theirs = here.observe(clicks, mine), there.observe(clicks.to(CUDA), theirs)
    assert theirs.dtype == torch.float32
    torch.testing.assert_close(theirs.cpu(), mine, rtol=0, atol=2e-3 if precision == "float32" else 0.02)


@pytest.mark.parametrize("padding", [0, 1500], ids=["in one piece", "in blocks"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_draws_have_the_probabilities_of_the_softmax(padding, dtype):
    logits = torch.full((2, 7 + padding), -torch.inf)
    places = torch.randperm(7 + padding, generator=torch.Generator().manual_seed(0))[:7]
    logits[:, places] = torch.randn(2, 7, generator=torch.Generator().manual_seed(1))
    logits = logits.to(CUDA, dtype)
    number = 40_000
    drawn = sample_without_replacement(logits, 3, torch.Generator(CUDA).manual_seed(0), draws=number)
    for row, slates in zip(logits.cpu(), drawn.view(2, number, 3).cpu(), strict=True):
        assert all(len(set(slate)) == 3 for slate in slates[:2000].tolist())
        assert_counts(np.bincount(slates[:, 0].numpy(), minlength=len(row)), number, row.double().softmax(0).numpy())


def test_too_few_categories_are_refused_and_the_card_lives_on():
    generator = torch.Generator(CUDA).manual_seed(0)
    for size in (3, 1500):
        logits = torch.full((2, size), -torch.inf, device=CUDA)
        logits[:, :2] = 0.0
        with pytest.raises(ValueError, match="fewer categories"):
            sample_without_replacement(logits, 3, generator)
        assert sample_without_replacement(logits, 2, generator).sort(1).values.tolist() == [[0, 1], [0, 1]]
