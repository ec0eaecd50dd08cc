"""Training loops of one network: stopping, restoring, clipping, shuffling, and what is filled in where it is left out."""

import numpy as np
import pytest
import torch
from torch import nn

from irecgan_gym.models import fitting
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import (
    ClippedAdamW,
    EarlyStopping,
    FitConfig,
    ending_of,
    fit_user_model,
    split_validation,
    user_model_epoch,
)
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions
from tests.conftest import random_sessions

SHAPE = EncoderConfig(hidden_size=4, embedding_size=3)
REWARD = UserModelConfig(7, 3, "reward", SHAPE)


def new_model(config=REWARD):
    return UserModel.create(config, seed=0, device="cpu")


def flat(module):
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def test_early_stopping_counts_from_the_best_and_puts_it_back():
    module = nn.Linear(1, 1, bias=False)
    best, seen = EarlyStopping(module, 2), []
    for number, loss in enumerate([3.0, 1.0, 2.0, 1.0]):
        with torch.no_grad():
            module.weight.fill_(number)
        seen.append((best.update(loss), best.should_stop))
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    best.restore()
    assert float(module.weight) == 1
    assert best.loss == 1


@pytest.mark.parametrize(("patience", "stops"), [(None, False), (0, True), (1, True), (2, False)])
def test_patience_is_the_number_of_losses_without_a_better_one(patience, stops):
    best = EarlyStopping(nn.Linear(1, 1), patience)
    best.update(1.0)
    assert not best.should_stop
    best.update(1.0)
    assert best.should_stop == stops


def test_losses_that_are_no_numbers_are_reported():
    best = EarlyStopping(nn.Linear(1, 1))
    best.update(float("nan"))
    with pytest.raises(RuntimeError, match="training diverged"):
        best.restore()


@pytest.mark.parametrize(("length", "kept"), [(10.0, 0.5), (0.25, 0.25)])
def test_gradients_are_scaled_down_to_the_norm(length, kept):
    module = nn.Linear(2, 1, bias=False)
    direction = torch.tensor([[0.6, 0.8]])
    ClippedAdamW(module, FitConfig(max_grad_norm=0.5)).step((module.weight * direction).sum() * length)
    torch.testing.assert_close(module.weight.grad, kept * direction)


def test_the_learning_rate_and_the_weight_decay_are_those_of_the_settings():
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    ClippedAdamW(module, FitConfig(learning_rate=0.1, weight_decay=0.5)).step(module.weight.sum())
    # AdamW: w - lr * decay * w - lr * sign(gradient) in the first step.
    assert float(module.weight) == pytest.approx(1 - 0.05 - 0.1, abs=1e-5)


def scripted_validation(monkeypatch, log_likelihoods):
    """Validation that says what a script says, and keeps the parameters that it was asked about."""
    states, script = [], iter(log_likelihoods)

    def validate(model, batches):
        states.append(flat(model))
        return next(script), 0.0

    monkeypatch.setattr(fitting, "mean_log_likelihood", validate)
    return states


def test_the_user_model_stops_early_and_is_left_at_its_best_epoch(monkeypatch, rng):
    states = scripted_validation(monkeypatch, [-3.0, -1.0, -2.0, -1.5, -1.2, -0.1])
    log, model = random_sessions(rng, num_sessions=30), new_model()
    fit_user_model(log, log, model, FitConfig(max_epochs=6, patience=3, batch_size=8), seed=0)
    assert len(states) == 5
    assert torch.equal(flat(model), states[1])
    assert not torch.equal(states[1], states[4])


def test_without_patience_all_epochs_are_trained(monkeypatch, rng):
    states = scripted_validation(monkeypatch, [-1.0, -2.0, -3.0, -4.0])
    log, model = random_sessions(rng, num_sessions=30), new_model()
    fit_user_model(log, log, model, FitConfig(max_epochs=4, patience=None), seed=0)
    assert len(states) == 4
    assert torch.equal(flat(model), states[0])


@pytest.fixture
def batches(monkeypatch):
    """The numbers of the sessions in each batch that is cut."""
    cut, batch = [], SessionTensors.batch

    def spy(self, numbers):
        cut.append(numbers.tolist())
        return batch(self, numbers)

    monkeypatch.setattr(SessionTensors, "batch", spy)
    return cut


def test_each_epoch_sees_every_session_once_in_an_order_of_its_own(batches, rng):
    model, log = new_model(), random_sessions(rng, num_sessions=20)
    data, fit = SessionTensors(log, leave_option=False), FitConfig(batch_size=8)
    optimizer, generator = ClippedAdamW(model, fit), np.random.default_rng(0)
    for _ in range(2):
        user_model_epoch(model, data, optimizer, fit, generator)
    assert [len(batch) for batch in batches] == [8, 8, 4] * 2
    first, second = (sum(part, []) for part in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first not in (second, list(range(20)))
    assert second != list(range(20))


def test_an_epoch_weighs_steps_by_q(rng):
    """Weights that are 1 at one step alone leave that step's loss, whatever the batches."""
    log, model, fit = random_sessions(rng, num_sessions=12), new_model(), FitConfig(batch_size=5, learning_rate=1e-30)
    data = SessionTensors(log, leave_option=False)

    def loss(weights):
        return user_model_epoch(model, data, ClippedAdamW(model, fit), fit, np.random.default_rng(0), weights)

    with torch.no_grad():
        everything = data.batch(np.arange(12))
        likelihood = model.log_likelihood(everything)
        terms = torch.empty(log.num_steps).index_copy_(0, everything.steps, -(likelihood.click + likelihood.reward))
    for step in (0, log.num_steps - 1):
        weights = np.zeros(log.num_steps, dtype=np.float32)
        weights[step] = 0.5
        assert loss(weights) * log.num_steps == pytest.approx(0.5 * float(terms[step]), rel=1e-4)
    assert loss(None) == pytest.approx(float(terms.mean()), rel=1e-4)


def test_a_log_alone_is_enough(rng):
    log = random_sessions(rng, num_sessions=30, leave=True)
    model = fit_user_model(log, fit=FitConfig(max_epochs=1), seed=3, device="cpu")
    assert (model.config.num_items, model.config.slate_size, model.config.ending) == (7, 3, "leave")
    training, validation = split_validation(log, None, 0.1, 3)
    again = fit_user_model(training, validation, model.config, FitConfig(max_epochs=1), seed=3, device="cpu")
    assert torch.equal(flat(model), flat(again))


def test_a_model_that_is_given_is_trained_in_place(rng):
    model = new_model()
    before = flat(model)
    assert fit_user_model(random_sessions(rng, num_sessions=30), model=model, fit=FitConfig(max_epochs=1)) is model
    assert not torch.equal(before, flat(model))


def sessions(rewards, clicks=(0, 1), truncated=False):
    return Sessions.from_columns(
        num_items=5, lengths=[2], slates=[[0, 1], [1, 2]], clicks=clicks, rewards=rewards, truncated=[truncated]
    )


def test_the_ending_is_read_from_the_log():
    assert ending_of(sessions([1, 0])) == "reward"
    assert ending_of(sessions([1, 1], truncated=True)) == "reward"
    assert ending_of(sessions([0, 0])) == "leave"
    assert ending_of(sessions([1, 1])) == "leave"
    assert ending_of(sessions([1, 0], clicks=(0, 5))) == "leave"


@pytest.mark.parametrize("part", ["training", "validation"])
def test_empty_parts_are_refused(part, rng):
    some = random_sessions(rng)
    none = some.select(np.arange(0))
    with pytest.raises(ValueError, match=f"no {part} sessions"):
        split_validation(*((none, some) if part == "training" else (some, none)), 0.1, 0)
