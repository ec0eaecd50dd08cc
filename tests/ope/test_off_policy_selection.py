"""Choosing agents by off-policy estimates from held-out sessions."""

from functools import cache

import numpy as np
import pytest

from irecgan_gym.agents import PG, PGConfig, PopularityPolicy, RandomPolicy
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.ope import (
    OffPolicyData,
    OffPolicySelection,
    PlackettLucePolicy,
    SelfNormalizedSlateStandardIPS,
    fixed_scores,
    selection_criterion,
)
from irecgan_gym.ope.off_policy_selection import CRITERIA


@cache
def env():
    return RecSimEnv(num_states=3, num_items=8, slate_size=2)


@cache
def held_out():
    return env().collect(600, seed=1, slate_propensities=True)


def by_mean_reward(sign):
    return PlackettLucePolicy(fixed_scores(sign * 3 * env().mdp.rewards.mean(axis=0)), 8, 2)


@pytest.mark.parametrize("name", CRITERIA)
def test_the_better_policy_is_chosen(name):
    criterion = selection_criterion(name)
    good, bad = (criterion(by_mean_reward(sign), held_out()) for sign in (1, -1))
    assert good > bad
    plain = selection_criterion(name.removesuffix("-lower")).estimate(by_mean_reward(1), held_out())
    lower = plain.estimate - (1.645 * plain.standard_error() if name.endswith("-lower") else 0)
    assert np.isclose(good, lower)


def test_it_is_the_estimate_by_what_is_known_of_the_logger():
    policy, sessions = by_mean_reward(1), held_out()
    uniform = PlackettLucePolicy(fixed_scores(np.zeros(8)), 8, 2)
    exact = SelfNormalizedSlateStandardIPS().estimate_policy_value(OffPolicyData.create(sessions, uniform, policy))
    assert np.isclose(OffPolicySelection()(policy, sessions), exact)
    assert np.isclose(OffPolicySelection(uniform)(policy, sessions.with_slate_propensities(None)), exact)
    # A model of the logger is nearly as good where nothing is recorded.
    assert abs(OffPolicySelection()(policy, sessions.with_slate_propensities(None)) / exact - 1) < 0.15
    # Of the policy that made the log, it is what was earned.
    on_policy = OffPolicySelection()(RandomPolicy(8, 2), sessions)
    assert np.isclose(on_policy, sessions.rewards.sum() / len(sessions))


def test_agents_and_their_networks_are_judged_alike():
    agent = PG(8, 2, PGConfig(fit=FitConfig(max_epochs=1)), device="cpu").learn(env().collect(100, seed=2))
    criterion = OffPolicySelection(caution=1.0)
    assert np.isclose(criterion(agent, held_out()), criterion(agent.policy, held_out()))
    best = OffPolicySelection(deployment="top-k", epsilon=0.5)
    popular = PopularityPolicy(8, 2, per_impression=True).learn(env().collect(500, seed=3))
    assert best(popular, held_out()) > OffPolicySelection()(RandomPolicy(8, 2), held_out())


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="must be one of snsips"):
        selection_criterion("loss")
    with pytest.raises(ValueError, match="caution must not be negative"):
        OffPolicySelection(caution=-1)
