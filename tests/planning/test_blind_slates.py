"""Slates shown without looking, against all pairs of slates of tiny worlds."""

from importlib import import_module
from itertools import combinations

import numpy as np
import pytest

from irecgan_gym.mdp import TRANSITIONS, draw_mdp
from irecgan_gym.planning.blind_slates import blind_slates, fixed_slate_values
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.values import click_probabilities, item_values, slate_values


def test_fixed_slates_are_the_same_slate_in_every_state(monkeypatch):
    # The package offers the function by the name of its module.
    monkeypatch.setattr(import_module("irecgan_gym.planning.blind_slates"), "_MAX_ENTRIES", 100)
    mdp = draw_mdp(3, 5, 1, "dirichlet")
    slates = np.array(list(combinations(range(5), 2)))
    expected = [slate_values(mdp, np.tile(slate, (3, 1))) for slate in slates]
    np.testing.assert_allclose(fixed_slate_values(mdp, slates), expected)


@pytest.mark.parametrize("seed", range(12))
def test_no_two_slates_earn_more(seed):
    size = 1 + seed % 4
    mdp = draw_mdp(4, 7, seed, TRANSITIONS[seed % 3], reward_scale=(1.0, 0.1)[seed % 2])
    found = blind_slates(mdp, size)
    slates = np.array(list(combinations(range(7), size)))
    firsts = np.stack([click_probabilities(mdp.rewards[:1], slate[None])[0] for slate in slates])
    later = fixed_slate_values(mdp, slates)
    worth = np.stack([item_values(mdp, values)[0] for values in later])
    earned = firsts @ worth.T
    assert found.value == pytest.approx(earned.max(), rel=1e-10)
    first, second = (slates.tolist().index(slate.tolist()) for slate in (found.first, found.later))
    assert found.value == pytest.approx(earned[first, second], rel=1e-12)


def test_one_who_sees_nothing_earns_less_than_one_who_sees_all():
    mdp = draw_mdp(transitions="item")
    assert 3 < blind_slates(mdp, 10).value < 0.6 * optimal_slates(mdp, 10).values[0]
    # One state: there is nothing to see.
    single = draw_mdp(1, 6, 3)
    assert blind_slates(single, 2).value == pytest.approx(optimal_slates(single, 2).values[0])
