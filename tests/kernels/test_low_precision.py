"""Copies of networks that multiply in bfloat16: near the originals, which stay as they are."""

import numpy as np
import pytest
import torch

from irecgan_gym.kernels.low_precision import LoweredLinear, LoweredLSTM, LowPrecision
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from tests.frequencies import assert_counts

N, K = 1100, 4
SHAPE = EncoderConfig(num_layers=2, hidden_size=128, embedding_size=16, embedding_std=1.0)


def slate_policy(shape=SHAPE, num_items=N):
    return build(lambda: SlatePolicy(num_items, K, shape), torch.Generator().manual_seed(0))


def linear():
    return build(lambda: torch.nn.Linear(128, N), torch.Generator().manual_seed(0))


@torch.no_grad()
def test_states_stay_near_those_of_float32():
    policy = slate_policy()
    lower = LowPrecision("bfloat16")(policy)
    exact_state, lower_state = policy.start(50), lower.start(50)
    clicks = torch.randint(N, (8, 50), generator=torch.Generator().manual_seed(1))
    for row in clicks:
        exact_state, lower_state = policy.observe(row, exact_state), lower.observe(row, lower_state)
    assert lower_state.dtype == torch.float32
    assert not torch.equal(exact_state, lower_state)
    torch.testing.assert_close(lower_state, exact_state, rtol=0, atol=0.01)


@torch.no_grad()
def test_slates_have_the_probabilities_of_float32():
    """Rounding moves logits by a few hundredths at most, and draws cannot be told from exact ones."""
    policy = slate_policy()
    policy.head.weight.mul_(100)
    lower = LowPrecision("bfloat16")(policy)
    state = policy.observe(torch.tensor([3, 4]), policy.start(2))
    exact = policy.log_probabilities(policy.encoder.output(state))
    logits = lower.logits(lower.encoder.output(state))
    assert logits.dtype == torch.bfloat16
    assert float(exact.exp().max()) > 20 / N
    torch.testing.assert_close(logits.float().log_softmax(1), exact, rtol=0, atol=0.05)
    draws = 20_000
    first = lower.sample(state, torch.Generator().manual_seed(0), draws=draws)[:, 0].view(2, draws)
    for items, probabilities in zip(first, exact.exp().double(), strict=True):
        assert_counts(np.bincount(items.numpy(), minlength=N), draws, probabilities.numpy())


def test_only_large_products_are_lowered_and_the_rest_is_shared():
    policy, model = slate_policy(), UserModel.create(UserModelConfig(N, K, "leave", SHAPE), seed=0, device="cpu")
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    lowered = LowPrecision("bfloat16")
    lower, lower_model = lowered(policy), lowered(model)
    assert isinstance(lower.head, LoweredLinear)
    assert isinstance(lower.encoder.rnn, LoweredLSTM)
    assert lower.encoder.embedding is policy.encoder.embedding
    assert lower_model.click_head is model.click_head
    assert (lower_model.device, lower.device) == (model.device, policy.device)
    assert lowered(policy) is lower
    # The original has kept its layers and its weights.
    assert isinstance(policy.head, torch.nn.Linear)
    assert isinstance(policy.encoder.rnn, torch.nn.LSTM)
    assert policy.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())


def test_copies_see_the_weights_of_their_time():
    policy = slate_policy()
    hidden = torch.ones(1, SHAPE.hidden_size)
    early = LowPrecision("bfloat16")(policy)
    first = early.logits(hidden)
    with torch.no_grad():
        policy.head.weight.mul_(2)
    assert torch.equal(early.logits(hidden), first)
    assert not torch.equal(LowPrecision("bfloat16")(policy).logits(hidden), first)


def test_float32_and_modules_without_large_products_are_not_copied():
    policy = slate_policy()
    assert LowPrecision("float32")(policy) is policy
    small = slate_policy(EncoderConfig("gru", hidden_size=4, embedding_size=3), num_items=7)
    assert LowPrecision("bfloat16")(small) is small


@torch.no_grad()
def test_passing_outputs_are_those_of_the_layer_until_the_next_call():
    layer, generator = LoweredLinear(linear()), torch.Generator().manual_seed(1)
    many, few = torch.randn(9, 128, generator=generator), torch.randn(4, 128, generator=generator)
    first = layer.passing(many)
    assert torch.equal(first, layer(many))
    second = layer.passing(few)
    assert torch.equal(second, layer(few))
    assert torch.equal(first[:4], second)


@torch.no_grad()
def test_a_layer_adds_its_bias():
    layer = linear()
    layer.bias.copy_(torch.arange(N) % 7)
    inputs = torch.randn(3, 128, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(LoweredLinear(layer)(inputs).float(), layer(inputs), rtol=0.01, atol=0.03)


@torch.no_grad()
def test_rows_of_an_lstm_do_not_depend_on_how_many_there_are():
    """More rows than are stepped at a time, the last part not full."""
    network = build(lambda: torch.nn.LSTM(16, 128, 2), torch.Generator().manual_seed(0))
    lower, generator = LoweredLSTM(network), torch.Generator().manual_seed(1)
    inputs = torch.randn(1100, 16, generator=generator)
    state = torch.randn(1100, 512, generator=generator)
    together = lower.step(inputs, state)
    for row in (0, 1023, 1024, 1099):
        alone = lower.step(inputs[row : row + 1], state[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=0.01)


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_any_number_of_states(rows):
    policy = LowPrecision("bfloat16")(slate_policy())
    with torch.no_grad():
        slates = policy.sample(policy.start(rows), torch.Generator().manual_seed(0)) if rows else torch.empty(0, K)
        state = policy.observe(torch.zeros(rows, dtype=torch.int64), policy.start(rows))
    assert slates.shape == (rows, K)
    assert state.shape == (rows, policy.encoder.state_size)
