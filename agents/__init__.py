"""Agents that recommend slates: IRecGAN and the methods it is compared with, behind one interface."""

from agents.ac import AC, ACConfig
from agents.acu import ACU, ACUConfig
from agents.base import Agent
from agents.irecgan import IRecGAN, IRecGANConfig
from agents.lstm import LSTM, LSTMD, LSTMConfig, LSTMDConfig
from agents.model_based import ModelBasedConfig
from agents.pg import PG, PGConfig
from agents.pgc import PGC
from agents.pgis import PGIS, PGISConfig
from agents.pgu import PGU
from agents.policy_rounds import RoundsConfig
from agents.presets import AGENT_NAMES, agent_class, make_agent, preset

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
    "ACConfig",
    "ACUConfig",
    "Agent",
    "IRecGAN",
    "IRecGANConfig",
    "LSTMConfig",
    "LSTMDConfig",
    "ModelBasedConfig",
    "PGConfig",
    "PGISConfig",
    "RoundsConfig",
    "agent_class",
    "make_agent",
    "preset",
]
