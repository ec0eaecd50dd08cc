"""What agents draw, record and hand on: seeds, names of measurements, types, the ways in which sessions end."""

import dataclasses

import numpy as np
import pytest
import torch

from irecgan_gym.agents import (
    AGENT_NAMES,
    ACConfig,
    IRecGANConfig,
    LSTMDConfig,
    PGConfig,
    adversarial_updates,
    irecgan,
    lstm,
    on_policy,
    pre_training,
    preset,
)
from irecgan_gym.agents.logging_policy_model import estimated_propensities
from irecgan_gym.agents.on_policy import OnPolicyUpdates
from irecgan_gym.agents.presets import with_ending
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from tests.agents.test_training_loops import FIT, agent_of, log  # noqa: F401 (a fixture)
from tests.conftest import random_sessions

FITTED = {"irecgan": pre_training, "lstm": lstm, "pgu": pre_training, "acu": pre_training}


@pytest.mark.parametrize("kind", FITTED)
def test_the_seed_of_an_agent_decides_how_its_user_model_is_fitted(kind, log, monkeypatch):  # noqa: F811
    asked = []

    class Enough(Exception):
        pass

    def fit(*arguments, seed, recorder, **options):
        asked.append((seed, recorder))
        raise Enough

    monkeypatch.setattr(FITTED[kind], "fit_user_model", fit)

    def recorder():
        return None

    for seed in (0, 0, 1):
        agent = type(agent_of(kind, log))(log.num_items, 3, agent_of(kind, log).config, seed=seed, device="cpu")
        with pytest.raises(Enough):
            agent._learn(log, None, recorder)
    seeds = [seed for seed, _ in asked]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(given is recorder for _, given in asked)


USER_MODEL = {
    "user_model/grad_norm",
    "user_model/train_loss",
    "user_model/validation_click_log_likelihood",
    "user_model/validation_reward_log_likelihood",
}
DOSE = {"treatment/policy_updates", "treatment/sessions_seen"}
POLICY = {"train/policy_grad_norm", "train/policy_loss", "train/validation_loss", "train/selection_loss"} | DOSE
ROUNDS = {
    f"adversarial/{name}" for name in ("policy_loss", "policy_grad_norm", "validation_loss", "selection_loss")
} | {f"treatment/{name}" for name in ("kept_round", "rounds", "policy_moved")}
ADVERSARIAL = {
    f"treatment/{name}"
    for name in ("user_model_moved", "discriminator_accuracy", "discriminator_updates", "mean_q", "std_q")
} | {"disc/accuracy", "disc/held_out_accuracy", "adversarial/mean_q", "adversarial/std_q"}
GENERATED = {
    f"adversarial/{name}" for name in ("click_variety", "generated_length", "generated_reward", "rescaled_reward")
}
RECORDED = {
    "pg": POLICY,
    "pgis": POLICY
    | {"importance/effective_sample_share", "importance/clipped_share", "importance/mean_weight"}
    | {"logging_policy/validation_log_likelihood", "logging_policy/grad_norm"},
    "ac": POLICY | {"train/value_error"},
    "lstm": USER_MODEL,
    "lstmd": USER_MODEL | POLICY | ROUNDS | GENERATED | ADVERSARIAL,
    "pgc": POLICY | ROUNDS,
    "pgu": USER_MODEL | POLICY | ROUNDS | GENERATED,
    "acu": USER_MODEL | POLICY | ROUNDS | GENERATED | {"train/value_error"},
    "irecgan": USER_MODEL | POLICY | ROUNDS | GENERATED | ADVERSARIAL,
}


@pytest.mark.parametrize("kind", AGENT_NAMES)
def test_every_part_of_training_is_recorded(kind, log):  # noqa: F811
    class Keep(dict):
        def record(self, values, step):
            self.update(values)

    kept = Keep()
    bare = dataclasses.replace(log, propensities=None)
    agent = agent_of(kind, bare).learn(bare, recorder=kept)
    assert RECORDED[kind] <= kept.keys()
    others = {name for name in kept if name not in RECORDED[kind] and not name.startswith(("fidelity/", "disc/"))}
    assert all(name.startswith("adversarial/") for name in others)
    assert not others or kind in ("irecgan", "lstmd")
    assert agent.treatment == {name: value for name, value in kept.items() if name.startswith("treatment/")}


def test_endings_of_all_settings_with_a_user_model():
    for ending in ("reward", "leave"):
        assert with_ending(IRecGANConfig(), ending).ending == ending
        nested = with_ending(LSTMDConfig(irecgan=IRecGANConfig(rounds=3)), ending)
        assert (nested.irecgan.ending, nested.irecgan.rounds) == (ending, 3)
        assert with_ending(preset("pgu", "fast"), ending).ending == ending
    config = PGConfig(gamma=0.5)
    assert with_ending(config, "leave") is config


def test_estimated_propensities_are_chances_of_being_in_the_slate(rng):
    sessions = random_sessions(rng, leave=True, ragged=True)
    model = build(lambda: SlatePolicy(7, 3, EncoderConfig(hidden_size=4, embedding_size=3)), torch.Generator())
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]).log())
    found = estimated_propensities(model, sessions, 4)
    assert found.dtype == np.float32
    clicked = sessions.clicks < 7
    chances = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])[sessions.clicks[clicked]]
    np.testing.assert_allclose(found[clicked], np.minimum(1, sessions.slate_lengths[clicked] * chances), rtol=1e-5)
    assert np.isnan(found[~clicked]).all()
    assert (~clicked).any()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_policy_updates_are_one_step_in_the_precision_of_the_settings(precision, rng, monkeypatch):
    asked, epoch = [], on_policy.policy_gradient_epoch

    def spy(policy, data, optimizer, batch_size, generator, **options):
        asked.append((batch_size, options))
        return epoch(policy, data, optimizer, batch_size, generator, **options)

    monkeypatch.setattr(on_policy, "policy_gradient_epoch", spy)
    sessions = random_sessions(rng)
    policy = build(lambda: SlatePolicy(7, 3, EncoderConfig(hidden_size=4, embedding_size=3)), torch.Generator())
    OnPolicyUpdates(policy, FitConfig(precision=precision), gamma=0.9, lambda_r=3.0).update(sessions)
    assert asked == [(len(sessions), {"precision": precision})]
    assert FIT.precision == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_irecgan_generates_in_the_precision_of_its_settings_wherever_it_does(precision, log, monkeypatch):  # noqa: F811
    asked = []

    def spy(module, name):
        real = getattr(module, name)

        def called(*arguments, **options):
            asked.append((name, options["precision"]))
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, called)

    spy(adversarial_updates, "generate_sessions"), spy(irecgan, "generate_adversarial_sessions")
    agent_of("irecgan", log, rounds=1, generation_precision=precision).learn(log)
    assert set(asked) == {("generate_sessions", precision), ("generate_adversarial_sessions", precision)}


def test_borders_of_discounts_and_traces():
    for number in (0.0, 1.0):
        assert ACConfig(trace_decay=number, gamma=number).trace_decay == number
    for settings in ({"trace_decay": -0.1}, {"trace_decay": 1.1}, {"gamma": -0.1}, {"gamma": 1.1}, {"value_weight": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            ACConfig(**settings)
