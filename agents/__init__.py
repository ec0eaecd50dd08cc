"""Agents that recommend slates: IRecGAN and the methods it is compared with, behind one interface."""

from irecgan_gym.agents.ac import AC, ACConfig
from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.base import Agent
from irecgan_gym.agents.cautious_planner import CautiousPlanner, CautiousPlannerConfig
from irecgan_gym.agents.choice_planner import ChoicePlanner, ChoicePlannerConfig
from irecgan_gym.agents.irecgan import IRecGAN, IRecGANConfig
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig
from irecgan_gym.agents.lstm import LSTM, LSTMD, LSTMConfig, LSTMDConfig
from irecgan_gym.agents.pg import PG, PGC
from irecgan_gym.agents.pgis import PGIS, PGISConfig
from irecgan_gym.agents.pgu import ACU, PGU, ACUConfig, PGUConfig
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGCConfig, PGConfig
from irecgan_gym.agents.presets import (
    AGENT_NAMES,
    PLANNER_NAMES,
    PRESET_NAMES,
    PresetName,
    agent_class,
    make_agent,
    preset,
    with_ending,
)
from irecgan_gym.agents.recurrent_planner import RecurrentPlanner, RecurrentPlannerConfig
from irecgan_gym.agents.references.belief import Belief, MaxLogBelief
from irecgan_gym.agents.references.blind import Blind
from irecgan_gym.agents.references.pg_limit import PGLimit
from irecgan_gym.agents.references.simple import PopularityPolicy, RandomPolicy
from irecgan_gym.agents.references.state_policies import MaxLogOptimal, MaxReward, Myopic, Optimal
from irecgan_gym.agents.tabular_pg import TabularPG, TabularPGConfig

__all__ = [
    "AC",
    "ACU",
    "AGENT_NAMES",
    "LSTM",
    "LSTMD",
    "PG",
    "PGC",
    "PGIS",
    "PGU",
    "PLANNER_NAMES",
    "PRESET_NAMES",
    "ACConfig",
    "ACUConfig",
    "Agent",
    "AutoPlanner",
    "AutoPlannerConfig",
    "Belief",
    "Blind",
    "CautiousPlanner",
    "CautiousPlannerConfig",
    "ChoicePlanner",
    "ChoicePlannerConfig",
    "IRecGAN",
    "IRecGANConfig",
    "LSTMConfig",
    "LSTMDConfig",
    "LatentPlanner",
    "LatentPlannerConfig",
    "MaxLogBelief",
    "MaxLogOptimal",
    "MaxReward",
    "Myopic",
    "Optimal",
    "PGCConfig",
    "PGConfig",
    "PGISConfig",
    "PGLimit",
    "PGUConfig",
    "PolicyAgent",
    "PopularityPolicy",
    "PresetName",
    "RandomPolicy",
    "RecurrentPlanner",
    "RecurrentPlannerConfig",
    "TabularPG",
    "TabularPGConfig",
    "agent_class",
    "make_agent",
    "preset",
    "with_ending",
]
