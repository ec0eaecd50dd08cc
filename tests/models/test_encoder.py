import numpy as np
import pytest
import torch

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from tests.conftest import random_sessions

CONFIGS = [
    EncoderConfig(cell, layers, hidden_size=5, embedding_size=4, recall=recall)
    for cell in ("lstm", "gru")
    for layers in (1, 2)
    for recall in (False, True)
]


def encoder(config):
    return build(lambda: RecurrentEncoder(7, config), torch.Generator().manual_seed(0))


@pytest.mark.parametrize("config", CONFIGS)
def test_whole_sessions_and_single_steps_agree(config, rng):
    sessions = random_sessions(rng)
    model = encoder(config)
    batch = SessionTensors(sessions, leave_option=False).batch(np.arange(len(sessions)))
    outputs = model(batch).detach()
    whole = torch.empty_like(outputs)
    whole[batch.steps] = outputs
    for number, session in enumerate(sessions):
        state = model.start(1)
        for step, click in enumerate(session.clicks):
            torch.testing.assert_close(model.output(state)[0], whole[sessions.offsets[number] + step])
            state = model.step(torch.tensor([int(click)]), state)


@pytest.mark.parametrize("config", CONFIGS)
def test_branched_states_go_on_independently(config):
    model = encoder(config)
    state = model.step(torch.tensor([1, 2]), model.start(2))
    branched = model.step(torch.tensor([3, 4, 3, 4]), state[torch.tensor([0, 0, 1, 1])])
    for row, (first, second) in enumerate([(1, 3), (1, 4), (2, 3), (2, 4)]):
        alone = model.step(torch.tensor([second]), model.step(torch.tensor([first]), model.start(1)))
        torch.testing.assert_close(branched[row], alone[0])


def test_no_sessions_are_no_problem():
    model = encoder(CONFIGS[0])
    assert model.step(torch.zeros(0, dtype=torch.int64), model.start(0)).shape == (0, model.state_size)


def test_building_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, second = encoder(CONFIGS[0]), encoder(CONFIGS[0])
    assert torch.equal(before, torch.random.get_rng_state())
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"cell": "rnn"}, "cell must be"), ({"hidden_size": 0}, "hidden_size must be at least 1, got 0")],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**settings)
