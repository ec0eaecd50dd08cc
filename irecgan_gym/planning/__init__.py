"""Exact values, best slates and beliefs of a recommendation MDP; needs no PyTorch."""

from irecgan_gym.planning.belief_filter import BeliefFilter, LoggedClickFilter
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.blind_slates import BlindSlates, blind_slates, fixed_slate_values
from irecgan_gym.planning.max_log_slates import MaxLogKnowledge, max_log_knowledge, max_log_slates
from irecgan_gym.planning.optimal_slates import StateSlates, myopic_slates, optimal_slates, top_slates
from irecgan_gym.planning.ratio_slates import best_ratio_slates, slate_ratios
from irecgan_gym.planning.uniform_slates import uniform_click_probabilities
from irecgan_gym.planning.values import (
    UnboundedValueError,
    click_probabilities,
    item_values,
    logged_returns,
    policy_values,
    slate_values,
)

__all__ = [
    "BeliefFilter",
    "BeliefSlates",
    "BlindSlates",
    "LoggedClickFilter",
    "MaxLogKnowledge",
    "StateSlates",
    "UnboundedValueError",
    "best_ratio_slates",
    "blind_slates",
    "click_probabilities",
    "fixed_slate_values",
    "item_values",
    "logged_returns",
    "max_log_knowledge",
    "max_log_slates",
    "myopic_slates",
    "optimal_slates",
    "policy_values",
    "slate_ratios",
    "slate_values",
    "top_slates",
    "uniform_click_probabilities",
]
