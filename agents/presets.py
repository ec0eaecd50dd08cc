"""Agents by name, those of other packages too, and their settings by preset."""

from __future__ import annotations

import importlib
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args

from irecgan_gym.agents.ac import AC
from irecgan_gym.agents.auto_planner import AutoPlanner
from irecgan_gym.agents.base import Agent
from irecgan_gym.agents.cautious_planner import CautiousPlanner
from irecgan_gym.agents.choice_planner import ChoicePlanner
from irecgan_gym.agents.irecgan import IRecGAN
from irecgan_gym.agents.latent_planner import LatentPlanner
from irecgan_gym.agents.lstm import LSTM, LSTMD, LSTMDConfig
from irecgan_gym.agents.pg import PG, PGC
from irecgan_gym.agents.pgis import PGIS
from irecgan_gym.agents.pgu import ACU, PGU
from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.agents.preset_file import PresetEntry, read_preset_file
from irecgan_gym.agents.recurrent_planner import RecurrentPlanner
from irecgan_gym.agents.tabular_pg import TabularPG

_CLASSES: dict[str, type[PolicyAgent[Any]]] = {
    agent.kind: agent for agent in (IRecGAN, PG, PGIS, AC, LSTM, PGU, ACU, PGC, LSTMD)
}
AGENT_NAMES = tuple(_CLASSES)
"""The agents of the paper and their controls."""
_PLANNERS: dict[str, type[Agent]] = {
    agent.kind: agent
    for agent in (AutoPlanner, CautiousPlanner, ChoicePlanner, LatentPlanner, RecurrentPlanner, TabularPG)
}
PLANNER_NAMES = tuple(_PLANNERS)
"""Agents that plan on a model of the user, and their control; they have no presets but their defaults."""

PresetName = Literal["fast", "paper", "tuned"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)


ENTRY_POINTS = "irecgan_gym.agents"
"""Group of the entry points by which other packages offer agents."""


def preset_file(name: str) -> Path:
    """Return the file of a preset.

    Raises:
        ValueError: an unknown preset.
    """
    if name not in PRESET_NAMES:
        raise ValueError(f"preset must be one of {PRESET_NAMES}, got {name!r}")
    return Path(__file__).parent / "preset_files" / f"{name}.json"


def preset_entries(name: str) -> dict[str, PresetEntry]:
    """Return the preset of all agents of this package, with its provenance.

    Raises:
        ValueError: an unknown preset.
    """
    return read_preset_file(preset_file(name), {kind: agent.config_type for kind, agent in _CLASSES.items()})


def preset(agent: str, name: str) -> Any:
    """Return the settings of an agent, an instance of its class's ``config_type``.

    An agent of another package has the settings that its class holds under this name in a mapping ``presets``, or else
    the defaults of its ``config_type``.

    Args:
        agent: a name that :func:`agent_class` takes.
        name: ``"fast"``, 1x64 LSTM and rounds with a real step, for two CPU cores; ``"paper"``, §7.1's sizes (2x512
            LSTM, embeddings of 50, gamma 0.9, lambda_r 3, lambda_p 1, one generated to ten offline sessions) with the
            learning rates of the authors' code; or ``"tuned"``, chosen by ``python -m benchmarks.tune``.

    Raises:
        ValueError: an unknown agent or preset.
    """
    file_entries = preset_entries(name)
    kind = agent_class(agent)
    if agent in file_entries:
        return file_entries[agent].settings
    own = getattr(kind, "presets", {})
    return own[name] if name in own else kind.config_type()


def with_ending(config: Any, ending: Literal["reward", "leave"]) -> Any:
    """Return the settings for users whose sessions end in this way; the same ones where there is no user model."""
    if isinstance(config, LSTMDConfig):
        return replace(config, irecgan=replace(config.irecgan, ending=ending))
    return replace(config, ending=ending) if isinstance(config, UserModelSettings) else config


def agent_class(name: str) -> type[Any]:
    """Return the class of an agent, a subclass of :class:`~irecgan_gym.agents.Agent` with a ``config_type``.

    Args:
        name: one of :data:`AGENT_NAMES` and :data:`PLANNER_NAMES`; ``"module:Class"``, any such class that can be
            imported; or the name of an entry point in the group :data:`ENTRY_POINTS`.

    Raises:
        ValueError: an unknown name, a module or a class that cannot be imported, or a class that is no agent.
    """
    known: dict[str, type[Agent]] = {**_CLASSES, **_PLANNERS}
    if name in known:
        return known[name]
    if ":" in name:
        return _checked(name, _imported(name))
    found = entry_points(group=ENTRY_POINTS)
    if name in found.names:
        try:
            return _checked(name, found[name].load())
        except (ImportError, AttributeError) as error:
            raise ValueError(f"agent {name!r} (entry point {found[name].value!r}): {error}") from error
    offered = (*known, *sorted(found.names))
    raise ValueError(f"agent must be one of {offered} or 'module:Class', got {name!r}")


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"agent {name!r}: {error}; it must be 'module:Class' of a module on sys.path") from error


def _checked(name: str, found: Any) -> type[Any]:
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ValueError(f"agent {name!r} must be a class that extends irecgan_gym.agents.Agent, got {found!r}")
    if missing := [attribute for attribute in ("kind", "config_type") if not hasattr(found, attribute)]:
        raise ValueError(f"agent {name!r}: the class {found.__name__} has no {missing[0]!r}")
    return found


def make_agent(
    name: str, *, num_items: int, slate_size: int, config: Any = None, seed: int = 0, device: str = "auto"
) -> Agent:
    """Make a new agent by name.

    Args:
        name: a name that :func:`agent_class` takes.
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: the agent's settings, e.g. from :func:`preset`; its defaults when None.
        seed: of the agent's parameters, training and samples.
        device: where the networks are, ``"auto"``, ``"cpu"``, ``"cuda"``...

    Raises:
        ValueError: an unknown agent.
    """
    made: Agent = agent_class(name)(num_items, slate_size, config, seed=seed, device=device)
    return made
