"""Treatment of agents: doses counted by hand, shifts against slow plain versions, and what checkpoints keep of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from irecgan_gym.agents import AGENT_NAMES, PG, treatment
from irecgan_gym.agents.treatment import Dose, ScoreMoments, policy_shift, user_model_shift
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import ClippedAdamW
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.storage.weights import load_weights, save_weights
from tests.agents.test_training_loops import agent_of, log  # noqa: F401 (a fixture)
from tests.conftest import random_sessions
from tests.plain import plain_click_log_probability, plain_softmax_log_probability, plain_states

N, K = 7, 3
TINY = EncoderConfig("lstm", 1, hidden_size=4, embedding_size=3, embedding_std=1.0)


def test_doses_add_up():
    dose = Dose(2, 30).after_pass(33, 16)
    assert dose == (5, 63)
    assert dose + Dose(1, 7) == (6, 70)
    assert Dose.of(dose.as_metrics()) == dose
    assert dose.as_metrics() == {"treatment/policy_updates": 5.0, "treatment/sessions_seen": 63.0}
    with pytest.raises(TypeError):
        dose + 1


@pytest.mark.parametrize("kind", ["pg", "pgis", "ac"])
def test_doses_of_one_training_by_hand(kind, log):  # noqa: F811
    # 45 of 50 sessions in batches of 16, twice.
    agent = agent_of(kind, log).learn(log)
    assert Dose.of(agent.treatment) == (2 * 3, 2 * 45)


@pytest.mark.parametrize("kind", ["pgc", "pgu", "acu", "irecgan"])
def test_doses_of_rounds_by_hand_and_the_same_for_all(kind, log):  # noqa: F811
    # The same pre-training; two rounds of two passes over 45 sessions and a fifth as many besides.
    agent = agent_of(kind, log).learn(log)
    assert Dose.of(agent.treatment) == (2 * 3 + 2 * 2 * 4, 2 * 45 + 2 * 2 * 54)
    assert agent.treatment["treatment/kept_round"] == agent.treatment["treatment/rounds"] == 2


def test_steps_of_the_optimizer_are_what_doses_count(log, monkeypatch):  # noqa: F811
    steps, step = [], ClippedAdamW.step

    def counted(self, loss):
        steps.append(loss)
        return step(self, loss)

    monkeypatch.setattr(ClippedAdamW, "step", counted)
    agent = agent_of("pgc", log).learn(log)
    assert len(steps) == agent.treatment["treatment/policy_updates"]


def policies():
    return [build(lambda: SlatePolicy(N, K, TINY), torch.Generator().manual_seed(seed)) for seed in (1, 2)]


@torch.no_grad()
def plain_policy_shift(before, after, sessions):
    distances = []
    for session in sessions:
        states = [plain_states(policy.encoder, session.clicks) for policy in (before, after)]
        for one, other in zip(*states, strict=True):
            logits = [
                policy.head.weight @ hidden + policy.head.bias for policy, hidden in ((before, one), (after, other))
            ]
            chances = [[float(plain_softmax_log_probability(each, item).exp()) for item in range(N)] for each in logits]
            distances.append(sum(abs(left - right) for left, right in zip(*chances, strict=True)) / 2)
    return float(np.mean(distances))


@pytest.mark.parametrize("at_once", [1, 2**24])
def test_how_far_a_policy_has_moved(at_once, rng, monkeypatch):
    monkeypatch.setattr(treatment, "_LOGITS", at_once)
    sessions = random_sessions(rng, leave=True)
    tensors = SessionTensors(sessions, leave_option=False)
    before, after = policies()
    assert policy_shift(before, after, tensors) == pytest.approx(plain_policy_shift(before, after, sessions), rel=1e-4)
    assert policy_shift(before, before, tensors) == 0


@torch.no_grad()
def test_policies_that_show_other_items_are_as_far_as_can_be(rng):
    one, other = policies()
    for policy, item in ((one, 0), (other, 1)):
        nn.init.zeros_(policy.head.weight)
        policy.head.bias.copy_(torch.full((N,), -50.0))
        policy.head.bias[item] = 50.0
    tensors = SessionTensors(random_sessions(rng), leave_option=False)
    assert policy_shift(one, other, tensors) == pytest.approx(1.0)
    # Half of the mass on another item is half of the way.
    other.head.bias[0] = 50.0
    assert policy_shift(one, other, tensors) == pytest.approx(0.5)


@torch.no_grad()
@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_how_far_a_user_model_has_moved(ending, rng):
    sessions = random_sessions(rng, ragged=True, leave=ending == "leave")
    shape = UserModelConfig(N, K, ending, TINY)
    before, after = (UserModel.create(shape, seed=seed, device="cpu") for seed in (1, 2))
    tensors = SessionTensors(sessions, leave_option=ending == "leave")
    distances = []
    for session in sessions:
        states = [plain_states(model.encoder, session.clicks) for model in (before, after)]
        for slate, one, other in zip(session.slates, *states, strict=True):
            alternatives = [int(item) for item in slate] + ([N] if ending == "leave" else [])
            distances.append(
                sum(
                    abs(
                        float(plain_click_log_probability(before, one, alternatives, item).exp())
                        - float(plain_click_log_probability(after, other, alternatives, item).exp())
                    )
                    for item in alternatives
                )
                / 2
            )
    assert user_model_shift(before, after, tensors, 5) == pytest.approx(np.mean(distances), rel=1e-4)
    assert user_model_shift(before, before, tensors, 5) == 0


def test_moments_of_scores(rng):
    parts = [rng.uniform(0, 1, size).astype(np.float32) for size in (3, 1, 50)]
    moments = ScoreMoments()
    assert moments.as_metrics() == {}
    for part in parts:
        moments.add(part)
    everything = np.concatenate(parts).astype(np.float64)
    assert moments.as_metrics() == {
        "treatment/mean_q": pytest.approx(everything.mean()),
        "treatment/std_q": pytest.approx(everything.std()),
    }


def test_equal_scores_have_no_spread():
    moments = ScoreMoments()
    moments.add(np.full(1000, 0.1, dtype=np.float32))
    assert moments.as_metrics()["treatment/std_q"] == pytest.approx(0, abs=1e-6)


def test_an_adversarial_training_tells_what_it_has_done(log):  # noqa: F811
    agent = agent_of("irecgan", log).learn(log)
    # Two d-steps before the rounds and three in each of two.
    assert agent.treatment["treatment/discriminator_updates"] == 2 + 2 * 3
    assert 0 <= agent.treatment["treatment/discriminator_accuracy"] <= 1
    assert 0 < agent.treatment["treatment/mean_q"] < 1
    assert 0 < agent.treatment["treatment/std_q"] < 0.5
    assert 0 < agent.treatment["treatment/policy_moved"] < 1
    assert 0 < agent.treatment["treatment/user_model_moved"] < 1
    assert agent_of("lstmd", log).learn(log).treatment == agent.treatment


@pytest.mark.parametrize("kind", AGENT_NAMES)
def test_checkpoints_keep_the_treatment(kind, log, tmp_path):  # noqa: F811
    agent = agent_of(kind, log)
    assert agent.treatment == {}
    agent.learn(log).save(tmp_path / "agent.safetensors")
    again = type(agent).load(tmp_path / "agent.safetensors", device="cpu")
    assert again.treatment == agent.treatment
    assert bool(again.treatment) == (kind != "lstm")


def test_checkpoints_without_a_treatment_are_read(log, tmp_path):  # noqa: F811
    path = tmp_path / "agent.safetensors"
    agent = agent_of("pg", log).learn(log)
    agent.save(path)
    arguments, tensors = load_weights(path, "pg")
    del arguments["treatment"]
    save_weights(path, "pg", arguments, tensors)
    again = PG.load(path, device="cpu")
    assert again.treatment == {}
    np.testing.assert_array_equal(again.slate_scores(log), agent.slate_scores(log))


def test_a_fixed_seed_has_a_fixed_treatment(log):  # noqa: F811
    one, other = (agent_of("irecgan", log).learn(log).treatment for _ in range(2))
    assert one == other
