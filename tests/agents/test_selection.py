"""Rules by which an epoch is kept: each criterion against a slow plain version, and in the training of an agent."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import (
    AC,
    LSTM,
    PG,
    PGC,
    PGIS,
    ACConfig,
    IRecGAN,
    IRecGANConfig,
    LSTMConfig,
    PGCConfig,
    PGConfig,
    PGISConfig,
    policy_gradient,
)
from irecgan_gym.agents.policy_gradient import held_out_loss
from irecgan_gym.agents.pre_training import start_from
from irecgan_gym.agents.returns import Reinforce, ReturnsData, ReturnSettings, offline_returns
from irecgan_gym.agents.selection import (
    SELECTION_RULES,
    EstimatedReward,
    HeldOutObjective,
    LastEpoch,
    OffPolicyReturn,
    criterion,
    judged,
)
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.ope.off_policy_selection import CRITERIA
from tests.conftest import random_sessions
from tests.plain import plain_policy_log_probabilities, plain_returns

N, K = 7, 3
TINY = EncoderConfig("lstm", 1, hidden_size=4, embedding_size=3)


def policy_of(seed=1):
    return build(lambda: SlatePolicy(N, K, TINY), torch.Generator().manual_seed(seed))


def held_out_of(sessions, propensities=None):
    return offline_returns(sessions, ReturnSettings(0.9, 3.0), torch.device("cpu"), propensities)


def plain_off_policy_return(policy, sessions, propensities, clip):
    """Sum w_t R_t / sum w_t over the clicks, one step at a time."""
    returns = plain_returns(sessions, np.ones(sessions.num_steps), 0.9, 3.0)
    earned = total = 0.0
    for step, chosen in enumerate(plain_policy_log_probabilities(policy, sessions)):
        if chosen is not None:
            shown = 1 - (1 - float(chosen.exp())) ** int(sessions.slate_lengths[step])
            weight = min(shown / propensities[step], clip)
            earned, total = earned + weight * returns[step], total + weight
    return earned / total


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [5, 100])
@pytest.mark.parametrize("clip", [0.7, 10.0])
def test_the_off_policy_estimate(clip, batch_size, rng):
    policy, sessions = policy_of(), random_sessions(rng, ragged=True, leave=True)
    propensities = rng.uniform(0.05, 1.0, sessions.num_steps).astype(np.float32)
    found = OffPolicyReturn(held_out_of(sessions, propensities), batch_size, weight_clip=clip).loss(policy)
    plain = plain_off_policy_return(policy, sessions, propensities, clip)
    assert -found == pytest.approx(plain, rel=1e-5)
    other = plain_off_policy_return(policy, sessions, propensities, 10.7 - clip)
    assert -found != pytest.approx(other, rel=1e-3)


def test_the_off_policy_estimate_by_hand(rng):
    """Even weights give the mean return of a click; a policy that shows one item alone, that of its clicks."""
    sessions = random_sessions(rng)
    policy = policy_of()
    nn.init.zeros_(policy.head.weight)
    nn.init.zeros_(policy.head.bias)
    even = OffPolicyReturn(held_out_of(sessions, np.full(sessions.num_steps, 0.3, dtype=np.float32)), 4)
    returns = np.array(plain_returns(sessions, np.ones(sessions.num_steps), 0.9, 3.0))
    assert -even.loss(policy) == pytest.approx(returns.mean(), rel=1e-5)
    with torch.no_grad():
        policy.head.bias[4] = 100.0
    assert -even.loss(policy) == pytest.approx(returns[sessions.clicks == 4].mean(), rel=1e-5)


def test_an_estimate_without_any_weight_is_nothing(rng):
    """No click of the log could come from the policy: the estimate is a number, not a division by zero."""
    sessions, policy = random_sessions(rng), policy_of()
    nn.init.zeros_(policy.head.weight)
    never = next(item for item in range(N) if item not in sessions.select([0]).clicks)
    with torch.no_grad():
        policy.head.bias[never] = 1000.0
    one = held_out_of(sessions.select([0]), np.ones(int(sessions.lengths[0]), dtype=np.float32))
    assert OffPolicyReturn(one, 4).loss(policy) == 0


@pytest.mark.parametrize("batch_size", [5, 100])
def test_the_held_out_loss_of_a_method_is_a_mean_over_steps(batch_size, rng):
    policy, sessions = policy_of(), random_sessions(rng, leave=True)
    returns = plain_returns(sessions, np.ones(sessions.num_steps), 0.9, 3.0)
    chosen = plain_policy_log_probabilities(policy, sessions)
    plain = [0.0 if one is None else -back * float(one) for back, one in zip(returns, chosen, strict=True)]
    held_out = held_out_of(sessions)
    assert HeldOutObjective(Reinforce(), held_out, batch_size).loss(policy) == pytest.approx(np.mean(plain), rel=1e-5)
    clicks = [back for back, one in zip(returns, chosen, strict=True) if one is not None]
    assert held_out_loss(policy, held_out, batch_size) == pytest.approx(sum(plain) / sum(clicks), rel=1e-5)


def test_the_held_out_loss_is_what_the_method_calls_so(rng):
    class Constant(Reinforce):
        def held_out_losses(self, policy, data, batch):
            return torch.full((len(batch.clicks),), 2.5)

    assert HeldOutObjective(Constant(), held_out_of(random_sessions(rng)), 5).loss(policy_of()) == 2.5


def test_the_last_epoch_is_always_the_best():
    last = LastEpoch()
    losses = [last.loss(policy_of()) for _ in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 4


def test_rules_by_name(rng):
    sessions = random_sessions(rng)
    bare, known = held_out_of(sessions), held_out_of(sessions, np.ones(sessions.num_steps, dtype=np.float32))
    kinds = {"last": LastEpoch, "objective": HeldOutObjective, "off_policy": OffPolicyReturn}
    kinds |= dict.fromkeys(CRITERIA, EstimatedReward)
    assert tuple(kinds) == SELECTION_RULES
    for rule, kind in kinds.items():
        assert type(criterion(rule, Reinforce(), known, 4)) is kind
    with pytest.raises(ValueError, match=r"selection must be one of \('last', 'objective', .*\), got 'best'"):
        criterion("best", Reinforce(), known, 4)
    with pytest.raises(ValueError, match="needs sessions whose propensities are all known: use 'last' or 'objective'"):
        criterion("off_policy", Reinforce(), bare, 4)


@pytest.fixture(scope="module")
def log():
    return gym.make("RecSim-v0", logging_policy="mix", num_items=12, slate_size=3).unwrapped.collect(50, seed=0)


@pytest.mark.parametrize(("rule", "kept"), [("last", 3), ("objective", 1), ("off_policy", 1)])
def test_an_agent_keeps_the_epoch_with_the_least_of_its_criterion(rule, kept, log, monkeypatch):
    """The dose is that of the epoch that is kept, too: 6 batches of 45 sessions an epoch."""
    epochs, script, validate = [], iter([5.0, 3.0, 4.0, 6.0]), policy_gradient.PolicyTraining.validate

    def spy(self):
        measured = validate(self)
        weights = nn.utils.parameters_to_vector(self._policy.parameters()).detach().clone()
        epochs.append((measured["selection_loss"], weights))
        return measured

    monkeypatch.setattr(policy_gradient.PolicyTraining, "validate", spy)
    # The rules give numbers of their own; here they are those of a script, so that the best epoch is known.
    for kind in (HeldOutObjective, OffPolicyReturn):
        monkeypatch.setattr(kind, "loss", lambda *_: next(script))
    fit = FitConfig(max_epochs=4, batch_size=8, patience=None)
    agent = PG(12, 3, PGConfig(TINY, fit, selection=rule), device="cpu").learn(log)
    assert [loss for loss, _ in epochs] == ([0, -1, -2, -3] if rule == "last" else [5, 3, 4, 6])
    assert torch.equal(nn.utils.parameters_to_vector(agent.policy.parameters()).detach(), epochs[kept][1])
    assert agent.treatment == {
        "treatment/policy_updates": 6.0 * (kept + 1),
        "treatment/sessions_seen": 45.0 * (kept + 1),
    }


@pytest.mark.parametrize("rule", ["last", "objective", "off_policy"])
def test_a_policy_that_has_diverged_is_not_kept(rule, log, monkeypatch):
    losses, measure = [], policy_gradient.held_out_loss

    def spoiled(policy, *arguments):
        losses.append(measure(policy, *arguments))
        return losses[-1] if len(losses) < 3 else float("nan")

    monkeypatch.setattr(policy_gradient, "held_out_loss", spoiled)
    fit = FitConfig(max_epochs=4, batch_size=8, patience=None)
    agent = PG(12, 3, PGConfig(TINY, fit, selection=rule), device="cpu").learn(log)
    assert len(losses) == 4
    assert agent.treatment["treatment/policy_updates"] in ([12] if rule == "last" else [6, 12])
    monkeypatch.setattr(policy_gradient, "held_out_loss", lambda *_: float("nan"))
    with pytest.raises(RuntimeError, match="training diverged"):
        PG(12, 3, PGConfig(TINY, fit, selection=rule), device="cpu").learn(log)


def test_the_off_policy_rule_asks_for_propensities(log):
    agent = PG(12, 3, PGConfig(TINY, FitConfig(max_epochs=1), selection="off_policy"), device="cpu")
    with pytest.raises(ValueError, match="selection='off_policy' needs sessions whose propensities are all known"):
        agent.learn(replace(log, propensities=None))


@pytest.fixture(scope="module")
def exact_log():
    """A log of random slates that says with which probabilities they were shown."""
    env = gym.make("RecSim-v0", logging_policy="random", num_items=6, slate_size=2).unwrapped
    return env.collect(60, seed=0, slate_propensities=True)


@torch.no_grad()
def test_the_estimate_of_a_session_by_hand(exact_log):
    """Weights are products of the chances of whole slates; each step's are made to have a mean of 1."""
    policy = build(lambda: SlatePolicy(6, 2, TINY), torch.Generator().manual_seed(1))
    nn.init.normal_(policy.head.bias, generator=torch.Generator().manual_seed(2))
    policy.head.weight.zero_()
    chances, by_step = policy.head.bias.double().softmax(0).numpy(), {}
    for first, end in zip(exact_log.offsets[:-1], exact_log.offsets[1:], strict=True):
        weight = 1.0
        for step in range(first, end):
            one, two = exact_log.slate_items[2 * step : 2 * step + 2]
            weight *= chances[one] * chances[two] / (1 - chances[one]) * 6 * 5
            by_step.setdefault(step - first, []).append((weight, exact_log.rewards[step]))
        for step in range(end - first, int(exact_log.lengths.max())):
            by_step.setdefault(step, []).append((weight, 0.0))
    value = sum(sum(w * r for w, r in steps) / sum(w for w, _ in steps) for steps in by_step.values())
    found = EstimatedReward("snsips", exact_log).loss(policy)
    assert -found == pytest.approx(value, rel=1e-4)
    assert EstimatedReward("snsips-lower", exact_log).loss(policy) > found


@pytest.mark.parametrize(
    ("kind", "config_type"), [(PG, PGConfig), (PGIS, PGISConfig), (AC, ACConfig), (PGC, PGCConfig)]
)
def test_an_agent_keeps_the_epoch_of_the_greatest_estimate(kind, config_type, exact_log, monkeypatch):
    losses = []
    loss = EstimatedReward.loss
    monkeypatch.setattr(EstimatedReward, "loss", lambda *arguments: losses.append(loss(*arguments)) or losses[-1])
    fit = FitConfig(max_epochs=5, batch_size=8, patience=None, learning_rate=0.05)
    rounds = {"rounds": 0} if kind is PGC else {}
    agent = kind(6, 2, config_type(TINY, fit, 0.3, selection="snsips", **rounds), device="cpu").learn(exact_log)
    _, held_out = exact_log.split((0.7, 0.3), seed=agent.seed)
    assert loss(EstimatedReward("snsips", held_out), agent.policy) == pytest.approx(min(losses), rel=1e-6)
    assert len(set(losses)) >= 5


def test_a_user_models_epoch_is_chosen_by_what_its_ranking_would_earn(exact_log, monkeypatch):
    script = iter([3.0, 1.0, 2.0])
    seen = []
    monkeypatch.setattr(
        EstimatedReward,
        "loss",
        lambda _, policy: seen.append(nn.utils.parameters_to_vector(policy.parameters()).detach()) or next(script),
    )
    fit = FitConfig(max_epochs=3, batch_size=8, patience=None)
    agent = LSTM(6, 2, LSTMConfig(TINY, fit, selection="sndr-lower"), device="cpu").learn(exact_log)
    assert torch.equal(nn.utils.parameters_to_vector(agent.policy.parameters()).detach(), seen[1])
    assert not torch.equal(seen[0], seen[1])
    irecgan = IRecGAN(6, 2, IRecGANConfig(encoder=TINY, user_model_fit=fit), device="cpu")
    with pytest.raises(ValueError, match="irecgan cannot start from lstm: an estimate has chosen its epoch"):
        start_from(irecgan, user_model=agent)
    with pytest.raises(ValueError, match=r"selection must be 'likelihood', 'snsips'.* got 'last'"):
        LSTMConfig(selection="last")


def test_a_log_without_probabilities_has_those_of_a_model_of_its_logger(exact_log):
    training, held_out = exact_log.with_slate_propensities(None).split((0.7, 0.3), seed=0)
    assert judged("last", training, held_out) is held_out
    known = judged("snsips", training, held_out).slate_propensities
    assert known.estimated
    assert np.exp(known.slates).mean() == pytest.approx(1 / 30, rel=0.3)
    given = exact_log.select(np.arange(5))
    assert judged("snsips", training, given) is given
    for name in ("sndr", "snsips-lower"):
        with pytest.raises(ValueError, match=f"selection='{name}' needs two held-out sessions at least"):
            EstimatedReward(name, exact_log.select([0]))
    assert np.isfinite(EstimatedReward("snsips", exact_log.select([0])).loss(PG(6, 2, device="cpu").policy))


def test_returns_data_holds_what_it_is_given(rng):
    sessions = random_sessions(rng)
    rewards = np.ones(sessions.num_steps, dtype=np.float32)
    data = ReturnsData(sessions, rewards, 0.5, torch.device("cpu"), returns=rewards * 7, propensities=rewards / 2)
    batch = data.sessions.batch(np.arange(3))
    assert data.num_sessions == len(sessions)
    assert set(data.returns(batch).tolist()) == {7}
    assert set(data.rewards(batch).tolist()) == {1}
    assert set(data.propensities.tolist()) == {0.5}
