"""Clicks that depend on where an item stands, and a user model that can tell the place from the item."""

import numpy as np
import torch

from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions

ENCODER = EncoderConfig(hidden_size=6, embedding_size=5)


def model(**options):
    return UserModel.create(UserModelConfig(12, 4, encoder=ENCODER, **options), seed=0, device="cpu")


def test_the_term_is_part_of_the_likelihood_and_of_nothing_else_unless_asked_for():
    users, slates = model(position_term=True, ending="leave"), torch.tensor([[3, 1, 5, 7]])
    with torch.no_grad():
        users.positions.scores.copy_(torch.tensor([0.1, 0.05, 0.0, -0.1]))
    hidden = users.encoder.output(users.encoder.start(1))
    candidates = users.candidates(slates)
    plain = users.click_logits(hidden, candidates)
    biased = users.click_logits(hidden, candidates, position_bias=True)
    # "No click" stands at no place.
    torch.testing.assert_close(biased - plain, torch.tensor([[2.0, 1.0, 0.0, -2.0, 0.0]]))
    torch.testing.assert_close(users.click_probabilities(users.encoder.start(1), slates), plain.softmax(-1))
    sessions = Sessions.from_columns(
        num_items=12, lengths=[2], slates=[[3, 1, 5, 7], [3, 1, 5, 7]], clicks=[1, 12], rewards=[1, 0]
    )
    batch = SessionTensors(sessions, leave_option=True).batch(np.array([0]))
    torch.testing.assert_close(users.log_likelihood(batch).click[0], biased.log_softmax(-1)[0, 1])


def test_simulated_users_look_at_places_only_when_asked():
    users = model(position_term=True)
    with torch.no_grad():
        users.positions.scores.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # The first place, whatever stands there.
    state, slates = users.encoder.start(400), torch.tensor([[3, 1, 5, 7]]).repeat(400, 1)
    shares = {
        bias: float(
            (users.respond(state, slates, torch.Generator().manual_seed(0), position_bias=bias).clicks == 3)
            .double()
            .mean()
        )
        for bias in (False, True)
    }
    assert shares[False] < 0.4
    assert shares[True] > 0.99


def biased_log(num_sessions, rng):
    """All items are worth the same; a ranker shows low ids first, and users click the first places more."""
    slates = np.sort(np.argsort(rng.random((num_sessions, 12)), axis=1)[:, :4], axis=1)
    places = rng.choice(4, p=[0.6, 0.25, 0.1, 0.05], size=num_sessions)
    return Sessions.from_columns(
        num_items=12,
        lengths=np.ones(num_sessions, dtype=int),
        slates=slates,
        clicks=slates[np.arange(num_sessions), places],
        rewards=np.ones(num_sessions),
    )


def test_a_fitted_term_takes_the_place_and_leaves_the_items_alone(rng):
    training, validation = biased_log(2000, rng), biased_log(400, rng)
    spread = {}
    for position_term in (False, True):
        users = model(position_term=position_term)
        fit_user_model(training, validation, users, FitConfig(max_epochs=20), seed=0)
        hidden = users.encoder.output(users.encoder.start(1))
        spread[position_term] = users.catalogue_click_logits(hidden).std().item()
        if position_term:
            term = users.positions(4).detach()
            expected = torch.tensor([0.6, 0.25, 0.1, 0.05]).log()
            torch.testing.assert_close(term - term.mean(), expected - expected.mean(), atol=0.3, rtol=0)
    assert spread[True] < 0.5 * spread[False]
