"""Training that goes wrong says so: losses that are no numbers, networks that collapse."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from irecgan_gym.agents import adversarial_updates, generation, policy_gradient
from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.generation import click_variety, warn_of_collapse
from irecgan_gym.kernels.determinism import deterministic_algorithms
from irecgan_gym.models import fitting
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig
from irecgan_gym.models.health import GradientHealth, NumericalError, TrainingWarning
from tests.agents.test_training_loops import SHAPE, agent_of, flat
from tests.golden.runs import Tape


@pytest.fixture(scope="module")
def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=12, slate_size=3).unwrapped.collect(20, seed=0)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_an_update_that_is_not_finite_is_an_error_before_it_is_made(where, bad):
    module = nn.Linear(2, 1, bias=False)
    optimizer = ClippedAdamW(module, FitConfig(), "train/policy_loss")
    optimizer.step(module.weight.sum())
    before = flat(module)
    loss = module.weight.sum() + bad if where == "loss" else module.weight.sum() * bad
    with pytest.raises(NumericalError, match=r"training diverged: train/policy_loss at update 2: the loss is") as error:
        optimizer.step(loss)
    assert (error.value.loss, error.value.phase, error.value.update) == ("train/policy_loss", "train", 2)
    assert isinstance(error.value, FloatingPointError)
    assert torch.equal(flat(module), before)


def test_norms_are_those_before_clipping_and_are_averaged():
    module = nn.Linear(2, 1, bias=False)
    optimizer = ClippedAdamW(module, FitConfig(max_grad_norm=1.0))
    direction = torch.tensor([[0.6, 0.8]])
    for length in (2.0, 4.0):
        optimizer.step((module.weight * direction).sum() * length)
    assert optimizer.mean_norm() == pytest.approx(3.0)
    assert optimizer.mean_norm() == 0.0


class NotTheCPU(torch.Tensor):
    """A norm that looks as if it were on a GPU, which is not waited for."""

    @property
    def device(self):
        return torch.device("cuda")


def test_where_nothing_is_waited_for_the_error_comes_with_the_norms_and_names_the_first_bad_update():
    health = GradientHealth("disc/loss")
    left_out = [
        float(health.look_at(torch.tensor(1.0), torch.tensor(norm).as_subclass(NotTheCPU)))
        for norm in (1.0, float("nan"), 3.0, float("inf"))
    ]
    assert left_out == [0, 1, 0, 1]
    with pytest.raises(NumericalError, match="disc/loss at update 2"):
        health.mean_norm()
    health.look_at(torch.tensor(1.0), torch.tensor(5.0).as_subclass(NotTheCPU))
    assert health.mean_norm() == 5.0


def test_an_update_that_is_left_out_changes_nothing():
    module = nn.Linear(2, 1, bias=False)
    optimizer = ClippedAdamW(module, FitConfig())
    optimizer.step(module.weight.sum())
    before, state = flat(module), copy.deepcopy(optimizer.state_dict()["moments"])
    optimizer._adam.found_inf = torch.tensor(1.0)
    module.weight.grad = torch.full_like(module.weight, torch.nan)
    optimizer._adam.step()
    assert torch.equal(flat(module), before)
    for name, value in optimizer.state_dict()["moments"]["0"].items():
        assert torch.equal(value, state["0"][name])


class Poison:
    """Makes the losses of a function no numbers from its so-many-th call on."""

    def __init__(self, monkeypatch, module, name, call):
        self.calls, real = 0, getattr(module, name)

        def poisoned(*arguments, **options):
            self.calls += 1
            result = real(*arguments, **options)
            return result * float("nan") if self.calls >= call else result

        monkeypatch.setattr(module, name, poisoned)


def test_a_policy_that_diverges_is_left_at_its_best_epoch(log, monkeypatch):
    # Two batches of 18 sessions an epoch: the fourth epoch is poisoned.
    fit = FitConfig(max_epochs=9, batch_size=16)
    good = agent_of("pg", log, fit=replace(fit, max_epochs=3)).learn(log)
    Poison(monkeypatch, policy_gradient.Reinforce, "losses", 7)
    agent, tape = agent_of("pg", log, fit=fit), Tape()
    with pytest.warns(TrainingWarning, match="train/policy_loss at update 7: .* The best parameters before that are"):
        agent.learn(log, recorder=tape)
    assert torch.equal(flat(agent.policy), flat(good.policy))
    assert agent.treatment == good.treatment
    assert (0, "train/diverged", 1.0) in tape.rows


def test_what_diverges_before_anything_is_learned_is_an_error(log, monkeypatch):
    Poison(monkeypatch, policy_gradient.Reinforce, "losses", 1)
    with pytest.raises(NumericalError, match="train/policy_loss at update 1: the loss is nan"):
        agent_of("pg", log).learn(log)


def test_a_user_model_that_diverges_is_left_at_its_best_epoch(log, monkeypatch):
    Poison(monkeypatch, fitting, "user_model_loss", 3)
    agent, tape = agent_of("lstm", log), Tape()
    with pytest.warns(TrainingWarning, match="user_model/train_loss at update 3"):
        agent.learn(log, recorder=tape)
    assert torch.isfinite(flat(agent.user_model)).all()
    assert (0, "user_model/diverged", 1.0) in tape.rows


@pytest.mark.parametrize(
    ("module", "name", "loss"),
    [
        (adversarial_updates, "user_model_epoch", None),
        (policy_gradient.Reinforce, "losses", "adversarial/policy_loss"),
    ],
)
def test_rounds_that_diverge_keep_the_best_round(module, name, loss, log, monkeypatch):
    changes = {"fit": FitConfig(max_epochs=1, batch_size=32), "r_steps": 1}
    good = agent_of("irecgan", log, rounds=1, **changes).learn(log)
    if loss is None:
        loss, epoch, rounds = "adversarial/user_model_loss", fitting.user_model_epoch, []

        def poisoned(model, *arguments):
            rounds.append(model)
            if len(rounds) == 2:
                with torch.no_grad():
                    model.click_head.bias.fill_(torch.nan)
            return epoch(model, *arguments)

        monkeypatch.setattr(adversarial_updates, "user_model_epoch", poisoned)
    else:
        Poison(monkeypatch, module, name, 3)
    agent, tape = agent_of("irecgan", log, rounds=5, **changes), Tape()
    with pytest.warns(TrainingWarning, match=f"{loss} at update "):
        agent.learn(log, recorder=tape)
    assert (agent.treatment["treatment/kept_round"], agent.treatment["treatment/rounds"]) == (1, 1)
    assert torch.equal(flat(agent.policy), flat(good.policy))
    assert all(torch.isfinite(flat(network)).all() for network in agent.networks().values())
    assert (0, "adversarial/diverged", 1.0) in tape.rows


def test_a_discriminator_that_says_the_same_of_all_sessions_is_reported(log):
    discriminator, fit = (
        Discriminator.create(DiscriminatorConfig(12, SHAPE), seed=0, device="cpu"),
        FitConfig(max_epochs=1),
    )
    parts = log.select(np.arange(10)), log.select(np.arange(10, 20))
    optimizer, tape = ClippedAdamW(discriminator, fit), Tape()

    def fitted():
        rng = np.random.default_rng(0)
        fit_discriminator(
            discriminator, *parts, optimizer, fit, leave_option=False, generator=rng, recorder=tape, step=4
        )
        return dict((name, value) for _, name, value in tape.rows)["disc/score_spread"]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted() > 1e-4
    with torch.no_grad():
        discriminator.encoder.embedding.weight.fill_(0.0)
    with pytest.warns(TrainingWarning, match="the discriminator has collapsed at call 4: its scores differ by 0"):
        assert fitted() == 0


def clicks_of(log, clicks):
    return replace(log, clicks=clicks.astype(np.int32))


def test_the_variety_of_clicks_is_the_number_of_items_in_effect(log):
    steps = np.arange(log.num_steps)
    assert click_variety(clicks_of(log, steps % 4)) == pytest.approx(4, abs=0.01)
    assert click_variety(clicks_of(log, np.zeros(log.num_steps))) == 1
    # Who leaves clicks nothing.
    assert click_variety(clicks_of(log, np.full(log.num_steps, 12))) == 0
    halves = np.where(steps % 2 == 0, 0, 1 + steps // 2 % 2)
    # Half of them one item, a quarter each of two others: e to 0.5 log 2 + 0.5 log 4.
    assert click_variety(clicks_of(log, halves)) == pytest.approx(2**1.5, abs=0.05)


def test_generated_sessions_that_are_all_alike_are_reported(log):
    one = clicks_of(log, np.zeros(log.num_steps))
    with pytest.warns(TrainingWarning, match="simulated users click 1.00 different items in effect, logged ones"):
        warn_of_collapse(one, log)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(log, log)
        # A log of one item is no better.
        warn_of_collapse(one, one)
    assert generation.click_variety(log) > 3


def test_a_user_model_that_forgets_the_log_is_reported(log, monkeypatch):
    script = iter([-1.0, -1.0, -9.0])
    monkeypatch.setattr(adversarial_updates, "mean_log_likelihood", lambda *_: (next(script), 0.0))
    with pytest.warns(TrainingWarning, match=r"held-out clicks have a log-likelihood of -9\.000 under it, -1\.099 if"):
        agent_of("irecgan", log).learn(log)


def test_deterministic_algorithms_are_asked_for_meanwhile(log):
    expected = flat(agent_of("irecgan", log).learn(log).policy)
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic_algorithms():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.equal(flat(agent_of("irecgan", log).learn(log).policy), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic_algorithms():
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
