"""Agents that recommend slates: IRecGAN and the methods it is compared with, behind one interface."""

from agents.ac import AC, ACConfig
from agents.acu import ACU, ACUConfig
from agents.base import Agent
from agents.belief import Belief, MaxLogBelief
from agents.blind import Blind
from agents.irecgan import IRecGAN, IRecGANConfig
from agents.lstm import LSTM, LSTMD, LSTMConfig, LSTMDConfig
from agents.model_based import ModelBasedConfig
from agents.pg import PG, PGConfig
from agents.pg_limit import PGLimit
from agents.pgc import PGC
from agents.pgis import PGIS, PGISConfig
from agents.pgu import PGU
from agents.policy_rounds import RoundsConfig
from agents.presets import AGENT_NAMES, PRESET_NAMES, PresetName, agent_class, make_agent, preset, with_ending
from agents.reference import PopularityPolicy, RandomPolicy
from agents.state_policies import MaxLogOptimal, MaxReward, Myopic, Optimal

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
    "PRESET_NAMES",
    "ACConfig",
    "ACUConfig",
    "Agent",
    "Belief",
    "Blind",
    "IRecGAN",
    "IRecGANConfig",
    "LSTMConfig",
    "LSTMDConfig",
    "MaxLogBelief",
    "MaxLogOptimal",
    "MaxReward",
    "ModelBasedConfig",
    "Myopic",
    "Optimal",
    "PGConfig",
    "PGISConfig",
    "PGLimit",
    "PopularityPolicy",
    "PresetName",
    "RandomPolicy",
    "RoundsConfig",
    "agent_class",
    "make_agent",
    "preset",
    "with_ending",
]
