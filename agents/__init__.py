"""Agents that recommend slates: IRecGAN and the methods it is compared with, behind one interface."""

from agents.base import Agent
from agents.irecgan import IRecGAN, IRecGANConfig
from agents.pg import PG, PGConfig
from agents.presets import AGENT_NAMES, make_agent, preset

__all__ = ["AGENT_NAMES", "PG", "Agent", "IRecGAN", "IRecGANConfig", "PGConfig", "make_agent", "preset"]
