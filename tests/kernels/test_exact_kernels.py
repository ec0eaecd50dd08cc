"""Kernels one by one against what they stand for, at the borders of their blocks and types."""

import numpy as np
import pytest
import torch
from torch import nn

from irecgan_gym.kernels.low_precision import (
    LoweredLinear,
    LoweredLSTM,
    LowPrecision,
    check_precision,
    matrix_precision,
)
from irecgan_gym.kernels.packed_lstm import apply_gates, lstm_step
from irecgan_gym.kernels.sampling import bernoulli, categorical, sample_without_replacement


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def lstm(inputs, hidden, layers):
    network = nn.LSTM(inputs, hidden, layers)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5, generator=seeded(parameter.numel()))
    return network


@torch.no_grad()
def test_gates_by_hand():
    gates = torch.randn(3, 8, generator=seeded())
    cell, i, f, g, o = torch.randn(3, 2, generator=seeded(1)), *gates.clone().chunk(4, dim=1)
    new_cell, new_hidden = torch.empty(3, 2), torch.empty(3, 2)
    output = apply_gates(gates, cell, new_cell, new_hidden)
    expected = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    torch.testing.assert_close(new_cell, expected)
    torch.testing.assert_close(new_hidden, o.sigmoid() * expected.tanh())
    assert torch.equal(output, new_hidden)


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_one_step_of_an_lstm_is_pytorchs(layers):
    network, rows, width = lstm(5, 4, layers), 6, 4
    inputs, state = torch.randn(rows, 5, generator=seeded()), torch.randn(rows, 2 * layers * width, generator=seeded(1))
    before = state.clone()
    hidden, cell = (part.view(rows, layers, width).transpose(0, 1).contiguous() for part in state.chunk(2, dim=1))
    _, new = network(inputs[None], (hidden, cell))
    expected = torch.cat([part.transpose(0, 1).reshape(rows, -1) for part in new], dim=1)
    torch.testing.assert_close(lstm_step(network, inputs, state), expected)
    assert torch.equal(state, before)
    # bfloat16 keeps 8 bits of weights and inputs.
    torch.testing.assert_close(LoweredLSTM(network).step(inputs, state), expected, atol=0.03, rtol=0)


def test_precisions():
    for precision in ("float32", "bfloat16"):
        check_precision("precision", precision)
        with matrix_precision(precision, torch.device("cpu")):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert str(product.dtype) == f"torch.{precision}"
    with pytest.raises(ValueError, match="precision must be 'float32' or 'bfloat16', got 'float16'"):
        check_precision("precision", "float16")


def test_the_smallest_layer_that_is_lowered():
    lower = LowPrecision("bfloat16")
    large, small = nn.Linear(128, 1024), nn.Linear(128, 1023)
    assert isinstance(lower(large), LoweredLinear)
    assert lower(small) is small


@pytest.mark.parametrize("size", [40, 1030, 1088])
def test_only_differences_of_logits_count(size):
    logits = torch.randn(3, size, generator=seeded()).mul_(8).round_().div_(8)
    logits[0, 5] = 3.0
    expected = sample_without_replacement(logits, 6, seeded(), draws=4)
    for shift in (512.0, -512.0):
        assert torch.equal(sample_without_replacement(logits + shift, 6, seeded(), draws=4), expected)


@pytest.mark.parametrize("size", [40, 1030])
def test_weights_of_a_lower_type_are_summed_in_float32(size):
    logits = torch.randn(3, size, generator=seeded()).bfloat16()
    lower, exact = (sample_without_replacement(given, 6, seeded(), draws=50) for given in (logits, logits.float()))
    assert torch.equal(lower, exact)


def test_nobody_draws_nothing():
    drawn = sample_without_replacement(torch.empty(0, 5), 2, seeded())
    assert drawn.shape == (0, 2)
    assert drawn.dtype == torch.int64


def test_coins_and_single_draws():
    chances = torch.tensor([0.0, 0.2, 0.7, 1.0]).repeat(20_000, 1)
    coins = bernoulli(chances, seeded())
    assert set(coins.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(coins.mean(0), chances[0], atol=0.02, rtol=0)
    assert torch.equal(coins, bernoulli(chances, seeded()))
    assert not torch.equal(coins, bernoulli(chances, seeded(1)))
    drawn = categorical(chances[:, 1:].log(), seeded())
    shares = np.bincount(drawn.numpy(), minlength=3) / len(drawn)
    np.testing.assert_allclose(shares, np.array([0.2, 0.7, 1.0]) / 1.9, atol=0.02)
    assert torch.equal(drawn, categorical(chances[:, 1:].log(), seeded()))


def test_repeating_rows_are_found():
    pytest.importorskip("numba")
    from irecgan_gym.kernels.user_loops import first_repeating_row

    for num_items in (10, 200):
        slates = np.array([[1, 2, 3], [4, 0, 5], [7, 8, 7]])
        nothing, last = np.zeros(3, dtype=bool), np.array([False, False, True])
        assert first_repeating_row(slates, nothing, num_items) == 2
        assert first_repeating_row(slates, last, num_items) == -1
