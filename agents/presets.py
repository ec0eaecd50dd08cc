"""Agents by name, and their settings by preset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from irecgan_gym.agents.ac import AC
from irecgan_gym.agents.irecgan import IRecGAN
from irecgan_gym.agents.lstm import LSTM, LSTMD, LSTMDConfig
from irecgan_gym.agents.pg import PG, PGC
from irecgan_gym.agents.pgis import PGIS
from irecgan_gym.agents.pgu import ACU, PGU
from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.agents.preset_file import PresetEntry, read_preset_file

_CLASSES: dict[str, type[PolicyAgent[Any]]] = {
    agent.kind: agent for agent in (IRecGAN, PG, PGIS, AC, LSTM, PGU, ACU, PGC, LSTMD)
}
AGENT_NAMES = tuple(_CLASSES)

PresetName = Literal["fast", "paper", "tuned"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)


def preset_file(name: str) -> Path:
    """Where a preset is stored.

    Raises:
        ValueError: an unknown preset.
    """
    if name not in PRESET_NAMES:
        raise ValueError(f"preset must be one of {PRESET_NAMES}, got {name!r}")
    return Path(__file__).parent / "preset_files" / f"{name}.json"


def preset_entries(name: str) -> dict[str, PresetEntry]:
    """A preset of all agents, with its provenance.

    Raises:
        ValueError: an unknown preset.
    """
    return read_preset_file(preset_file(name), {kind: agent.config_type for kind, agent in _CLASSES.items()})


def preset(agent: str, name: str) -> Any:
    """Settings of an agent, an instance of its class's ``config_type``.

    Args:
        agent: one of :data:`AGENT_NAMES`.
        name: ``"fast"``, 1x64 LSTM and early stopping, for two CPU cores; ``"paper"``, §7.1's sizes (2x512 LSTM,
            embeddings of 50, gamma 0.9, lambda_r 3, lambda_p 1, one generated to ten offline sessions) with the
            learning rates of the authors' code; or ``"tuned"``, chosen by ``python -m benchmarks.tune``.

    Raises:
        ValueError: an unknown agent or preset.
    """
    entries = preset_entries(name)
    agent_class(agent)
    return entries[agent].settings


def with_ending(config: Any, ending: Literal["reward", "leave"]) -> Any:
    """The same settings of an agent, for users whose sessions end in this way; unchanged where it has no user model."""
    if isinstance(config, LSTMDConfig):
        return replace(config, irecgan=replace(config.irecgan, ending=ending))
    return replace(config, ending=ending) if isinstance(config, UserModelSettings) else config


def agent_class(name: str) -> type[PolicyAgent[Any]]:
    """The class of an agent.

    Raises:
        ValueError: an unknown agent.
    """
    if name not in _CLASSES:
        raise ValueError(f"agent must be one of {AGENT_NAMES}, got {name!r}")
    return _CLASSES[name]


def make_agent(
    name: str,
    *,
    num_items: int,
    slate_size: int,
    config: Any,
    seed: int,
    device: str = "auto",
) -> PolicyAgent[Any]:
    """A new agent by name.

    Args:
        name: one of :data:`AGENT_NAMES`.
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: the agent's settings, e.g. from :func:`preset`.
        seed: of the agent's parameters, training and samples.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``...

    Raises:
        ValueError: an unknown agent.
    """
    return agent_class(name)(num_items, slate_size, config, seed=seed, device=device)
