"""The log-softmax of chosen items against PyTorch's, whatever the blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from irecgan_gym.kernels import catalogue_softmax
from irecgan_gym.kernels.catalogue_softmax import chosen_log_probabilities


def _draw(rows: int, items: int, seed: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Hidden states, weights and biases; chosen items; what the results are weighed with."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((rows, 3), (items, 3), (items,))
    tensors = [torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]
    chosen = torch.randint(items, (rows,), generator=generator)
    return tensors, chosen, torch.randn(rows, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("few_items", [0, 512])
@pytest.mark.parametrize("block_elements", [7, 11, 1000])
def test_rows_may_have_no_or_several_chosen_items(block_elements, few_items):
    tensors, _, _ = _draw(6, 5, 1)
    hidden, weight, bias = tensors
    generator = torch.Generator().manual_seed(2)
    rows = torch.tensor([0, 0, 0, 1, 3, 3, 5])
    chosen = torch.randint(5, (7,), generator=generator)
    weights = torch.randn(7, dtype=torch.float64, generator=generator)
    plain = (hidden @ weight.T + bias).log_softmax(-1)[rows, chosen]
    ours = chosen_log_probabilities(
        hidden, weight, bias, chosen, rows, block_elements=block_elements, few_items=few_items
    )
    torch.testing.assert_close(ours, plain)
    expected = torch.autograd.grad((plain * weights).sum(), tensors)
    for gradient, theirs in zip(torch.autograd.grad((ours * weights).sum(), tensors), expected, strict=True):
        torch.testing.assert_close(gradient, theirs)


@given(
    rows=st.integers(0, 9),
    items=st.integers(1, 12),
    block_elements=st.integers(1, 120),
    few_items=st.sampled_from([0, 512]),
    seed=st.integers(0, 10_000),
)
def test_values_and_gradients_are_those_of_log_softmax(rows, items, block_elements, few_items, seed):
    tensors, chosen, weights = _draw(rows, items, seed)
    hidden, weight, bias = tensors
    plain = (hidden @ weight.T + bias).log_softmax(-1).gather(1, chosen[:, None]).squeeze(1)
    ours = chosen_log_probabilities(hidden, weight, bias, chosen, block_elements=block_elements, few_items=few_items)
    torch.testing.assert_close(ours, plain)
    expected = torch.autograd.grad((plain * weights).sum(), tensors)
    for gradient, theirs in zip(torch.autograd.grad((ours * weights).sum(), tensors), expected, strict=True):
        torch.testing.assert_close(gradient, theirs)


@pytest.mark.parametrize("few_items", [0, 512])
def test_large_logits_do_not_overflow(few_items):
    hidden = torch.full((1, 1), 1000.0)
    weight = torch.tensor([[1.0], [2.0]])
    result = chosen_log_probabilities(hidden, weight, torch.zeros(2), torch.tensor([0]), few_items=few_items)
    assert result.tolist() == [-1000.0]


def test_a_graph_may_be_walked_twice():
    tensors, chosen, weights = _draw(5, 7, 0)
    loss = (chosen_log_probabilities(*tensors, chosen, few_items=0) * weights).sum()
    first = torch.autograd.grad(loss, tensors, retain_graph=True)
    for once, again in zip(first, torch.autograd.grad(loss, tensors), strict=True):
        assert torch.equal(once, again)


def test_under_autocast_values_stay_near():
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(40, 16, generator=generator), torch.randn(300, 16, generator=generator) * 0.3
    chosen, bias = torch.randint(300, (40,), generator=generator), torch.zeros(300)
    for tensor in (hidden, weight):
        tensor.requires_grad_()
    results = []
    for enabled in (False, True):
        for block_elements in (2**20, 900):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                value = chosen_log_probabilities(
                    hidden, weight, bias, chosen, block_elements=block_elements, few_items=0
                )
            assert value.dtype == torch.float32
            results.append([value.detach(), *torch.autograd.grad(value.sum(), (hidden, weight))])
    for lower in results[2:]:
        for ours, theirs in zip(lower, results[0], strict=True):
            assert 0 < float((ours - theirs).norm() / theirs.norm()) < 0.02


def test_hidden_states_of_a_lower_type_are_learned_from():
    """Some of PyTorch's layers give a lower type under autocast; gradients are added up in that of the weights."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(40, 16, generator=generator), torch.randn(300, 16, generator=generator) * 0.3
    chosen, bias = torch.randint(300, (40,), generator=generator), torch.zeros(300)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        given = hidden.to(dtype).requires_grad_()
        weight.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            value = chosen_log_probabilities(given, weight, bias, chosen)
        assert value.dtype == torch.float32
        gradients = torch.autograd.grad(value.sum(), (given, weight))
        assert [gradient.dtype for gradient in gradients] == [dtype, torch.float32]
        results.append([value.detach(), *gradients])
    for ours, theirs in zip(results[1], results[0], strict=True):
        assert 0 < float((ours.float() - theirs).norm() / theirs.norm()) < 0.02


def test_what_gpus_do_instead_are_the_exponentials_of_a_softmax():
    generator = torch.Generator().manual_seed(0)
    logits, bias = 5 * torch.randn(6, 50, generator=generator), torch.randn(50, generator=generator)
    lower = logits.bfloat16()
    exact = lower.float() + bias
    top, total = catalogue_softmax._exponentials_on_gpu(lower, bias)
    torch.testing.assert_close(top + total.log(), exact.logsumexp(1))
    torch.testing.assert_close(lower.float(), exact.softmax(1), rtol=0.01, atol=0)
