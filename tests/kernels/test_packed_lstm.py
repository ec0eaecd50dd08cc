"""The LSTM over packed sessions against PyTorch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from irecgan_gym.kernels.packed_lstm import packed_lstm


def _packed_sizes(lengths: list[int]) -> Tensor:
    return torch.tensor([sum(length > time for length in lengths) for time in range(max(lengths))])


def _with_gradients(network: nn.LSTM, inputs: Tensor, sizes: Tensor, weights: Tensor, *, plain: bool) -> list[Tensor]:
    """Outputs and the gradients of a weighted sum of them."""
    network.zero_grad()
    inputs = inputs.clone().requires_grad_()
    output = network(PackedSequence(inputs, sizes))[0].data if plain else packed_lstm(network, inputs, sizes)
    (output * weights).sum().backward()
    gradients = [parameter.grad for parameter in (inputs, *network.parameters())]
    return [output.detach(), *(gradient.clone() for gradient in gradients if gradient is not None)]


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=7),
    num_layers=st.integers(1, 3),
    hidden=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_outputs_and_gradients_are_those_of_pytorch(lengths, num_layers, hidden, seed):
    torch.manual_seed(seed)
    network = nn.LSTM(3, hidden, num_layers).double()
    inputs = torch.randn(sum(lengths), 3, dtype=torch.float64)
    weights = torch.randn(sum(lengths), hidden, dtype=torch.float64)
    sizes = _packed_sizes(lengths)
    expected = _with_gradients(network, inputs, sizes, weights, plain=True)
    for ours, theirs in zip(_with_gradients(network, inputs, sizes, weights, plain=False), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@given(lengths=st.lists(st.integers(1, 5), min_size=2, max_size=6), num_layers=st.integers(1, 2))
def test_a_shared_first_step_is_computed_once(lengths, num_layers):
    generator = torch.Generator().manual_seed(len(lengths))
    network = nn.LSTM(3, 4, num_layers).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5, generator=generator)
    sizes = _packed_sizes(lengths)
    inputs = torch.randn(sum(lengths), 3, dtype=torch.float64, generator=generator)
    inputs[: len(lengths)] = inputs[0]
    weights = torch.randn(sum(lengths), 4, dtype=torch.float64, generator=generator)
    output, of_inputs, *of_weights = _with_gradients(network, inputs, sizes, weights, plain=True)
    shared = torch.cat([weights[: len(lengths)].sum(0, keepdim=True), weights[len(lengths) :]])
    once = torch.cat([torch.ones(1, dtype=torch.int64), sizes[1:]])
    short, of_short, *of_shared = _with_gradients(network, inputs[len(lengths) - 1 :], once, shared, plain=False)
    torch.testing.assert_close(short[1:], output[len(lengths) :])
    torch.testing.assert_close(short[0], output[0])
    torch.testing.assert_close(of_short[0], of_inputs[: len(lengths)].sum(0))
    torch.testing.assert_close(of_short[1:], of_inputs[len(lengths) :])
    for ours, theirs in zip(of_shared, of_weights, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_only_a_second_derivative_is_refused():
    network = nn.LSTM(2, 3)
    inputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    output = packed_lstm(network, inputs, torch.tensor([2, 2]))
    (gradient,) = torch.autograd.grad((output**2).sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_under_autocast_only_products_lose_precision():
    generator = torch.Generator().manual_seed(0)
    network = nn.LSTM(16, 32, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.2, 0.2, generator=generator)
    lengths = np.random.default_rng(0).integers(1, 8, size=20).tolist()
    inputs = torch.randn(sum(lengths), 16, generator=generator)
    weights = torch.randn(sum(lengths), 32, generator=generator)
    sizes = _packed_sizes(lengths)
    exact = _with_gradients(network, inputs, sizes, weights, plain=False)
    with torch.autocast("cpu", torch.bfloat16):
        lower = _with_gradients(network, inputs, sizes, weights, plain=False)
    for ours, theirs in zip(lower, exact, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < float((ours - theirs).norm() / theirs.norm()) < 0.02
