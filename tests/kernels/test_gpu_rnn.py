"""The networks of GPUs, on whatever device there is: against PyTorch's own layers and against plain steps."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from irecgan_gym.kernels.gpu_rnn import lstm_cells, packed_rnn
from irecgan_gym.models.building import build

CELLS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
SIZES = torch.tensor([6, 4, 3, 1])


def network(cell, dtype=torch.float64):
    return build(lambda: CELLS[cell](3, 5, 2), torch.Generator().manual_seed(0)).to(dtype)


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def gradients(outputs, rnn, inputs, weights):
    return torch.autograd.grad((outputs * weights).sum(), [inputs, *rnn.parameters()])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shared", [False, True], ids=["each first step", "one first step for all"])
def test_outputs_and_gradients_are_those_of_the_layer(cell, shared):
    rnn = network(cell)
    inputs = drawn(int(SIZES.sum()), 3)
    if shared:
        inputs[: SIZES[0]] = inputs[0]
    inputs.requires_grad_()
    weights = drawn(len(inputs), 5)
    plain = rnn(PackedSequence(inputs, SIZES))[0].data
    if shared:
        repeated = SIZES[0] - 1
        ours = packed_rnn(rnn, inputs[repeated:], torch.cat([SIZES.new_ones(1), SIZES[1:]]))
        ours = ours[(torch.arange(len(inputs)) - repeated).clamp_(min=0)]
    else:
        ours = packed_rnn(rnn, inputs, SIZES)
    torch.testing.assert_close(ours, plain)
    mine, theirs = gradients(ours, rnn, inputs, weights), gradients(plain, rnn, inputs, weights)
    if shared:
        # One row stands for all first steps, and takes their gradients together.
        theirs = (torch.cat([theirs[0][: SIZES[0]].sum(0, keepdim=True), theirs[0][SIZES[0] :]]), *theirs[1:])
        mine = (mine[0][repeated:], *mine[1:])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [[1], [1, 1, 1], [3], [1, 4, 2]])
def test_any_numbers_of_sessions_and_steps(cell, sizes):
    rnn, sizes = network(cell), torch.tensor(sizes)
    outputs = packed_rnn(rnn, drawn(int(sizes.sum()), 3), sizes)
    assert outputs.shape == (int(sizes.sum()), 5)


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_have_the_type_of_the_weights_under_autocast(cell):
    rnn = network(cell, torch.float32)
    inputs = drawn(int(SIZES.sum()), 3, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert packed_rnn(rnn, inputs, SIZES).dtype == torch.float32


@pytest.mark.parametrize("layers", [1, 3])
def test_cells_step_as_the_layer_does_and_can_be_differentiated(layers):
    rnn = build(lambda: torch.nn.LSTM(3, 5, layers), torch.Generator().manual_seed(0)).double()
    inputs, state = drawn(4, 3).requires_grad_(), drawn(4, 2 * layers * 5).requires_grad_()
    hidden, cell = (part.reshape(4, layers, 5).transpose(0, 1).contiguous() for part in state.chunk(2, dim=1))
    _, after = rnn(inputs[None], (hidden, cell))
    plain = torch.cat([part.transpose(0, 1).reshape(4, -1) for part in after], dim=1)
    ours = lstm_cells(rnn, inputs, state)
    torch.testing.assert_close(ours, plain)
    sources = [inputs, state, *rnn.parameters()]
    for one, other in zip(
        torch.autograd.grad(ours.sum(), sources), torch.autograd.grad(plain.sum(), sources), strict=True
    ):
        torch.testing.assert_close(one, other)
