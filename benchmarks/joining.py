"""Agents, worlds and arguments that join an experiment by name, without a change to the package."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import AGENT_NAMES, PLANNER_NAMES, agent_class, preset
from irecgan_gym.benchmarks.engine.command import SettingsError, check_distinct
from irecgan_gym.evaluation.metrics import Metric, load_metric
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.storage.files import from_json


def agent_type(name: str) -> type[Any]:
    """Return the class of an agent, by its name or as ``"module:Class"``; settings behind the name are left out.

    Raises:
        SettingsError: there is no such agent.
    """
    base, _ = _base_and_changes(name)
    if ":" in base:
        found: type[Any] = load_object(base)
        return found
    try:
        return agent_class(base)
    except ValueError as error:
        raise SettingsError(
            f"--agents takes one or more of {', '.join((*AGENT_NAMES, *PLANNER_NAMES))}, or module:Class, got: {base}"
        ) from error


def _base_and_changes(name: str) -> tuple[str, dict[str, Any]]:
    """Return the agent and the settings of a variant, ``"irecgan+rounds=24+fit.max_epochs=5"``."""
    base, *changes = name.split("+")
    found: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (key and equals and value):
            raise SettingsError(f"--agents: {name}: after a + comes setting=value, got {change!r}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return base, found


def load_object(name: str) -> Any:
    """Return an object of a module by its name, ``"module:object"``.

    Raises:
        SettingsError: there is no such module, or no such object in it.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{name}: {error}") from error


def check_agents(names: Sequence[str]) -> None:
    """Refuse unknown agents, none, and one twice.

    Raises:
        SettingsError: with the agents there are.
    """
    check_distinct(agents=names)
    for name in names:
        agent_type(name)
        agent_settings(name, "fast")


def agent_settings(name: str, preset_name: str) -> Any:
    """Return the settings of an agent in a preset; others have the defaults of their ``config_type``.

    Args:
        name: an agent, or a variant of one: ``"irecgan+rounds=24+fit.max_epochs=5"`` has other settings behind each
            ``+``, those of a part behind a dot, values as JSON or plain words.
        preset_name: of the preset.

    Raises:
        SettingsError: a setting that the agent does not have, or a value that it does not take.
    """
    base, changes = _base_and_changes(name)
    if base in AGENT_NAMES:
        settings = preset(base, preset_name)
    else:
        config_type = getattr(agent_type(base), "config_type", None)
        settings = None if config_type is None else config_type()
    return _changed(name, settings, changes) if changes else settings


def _changed(name: str, settings: Any, changes: Mapping[str, Any]) -> Any:
    """Return settings with some of them changed."""
    values = as_json(settings)
    for key, value in changes.items():
        *parts, last = key.split(".")
        inner = values
        for part in parts:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise SettingsError(f"--agents: {name}: there is no setting {key!r}; there are {', '.join(values)}")
        inner[last] = value
    try:
        return from_json(type(settings), values)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"--agents: {name}: {error}") from error


def as_json(settings: Any) -> Any:
    """Return an agent's settings as JSON-compatible values."""
    return _without_later(asdict(settings)) if is_dataclass(settings) and not isinstance(settings, type) else {}


_LATER: dict[str, Any] = {"features": (), "reward_kind": "bernoulli", "reward_bins": (), "outside_option": False}
"""Settings that came after runs were published, with the values by which nothing changed."""


def _without_later(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: runs from before it was there can be told to be of the same settings."""
    return {
        name: _without_later(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in _LATER or value != _LATER[name]
    }


def read_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Return metrics by name: ``ndcg@10``, ``recall@5``, ``catalogue_coverage@10``, or ``module:function``.

    Raises:
        SettingsError: there is no such metric, or one is named twice.
    """
    if names:
        check_distinct(metrics=names)
    try:
        return {name: load_metric(name) for name in names}
    except ValueError as error:
        raise SettingsError(f"--metrics: {error}") from error


def read_env_kwargs(text: str) -> dict[str, Any]:
    """Return the arguments of an env, from JSON or, after an ``@``, from a file of JSON.

    Tables of an MDP come as ``"mdp": {"rewards": [...], "transitions": [...]}``.

    Raises:
        SettingsError: no JSON object, or tables that make no sense.
    """
    try:
        kwargs = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
        if not isinstance(kwargs, dict):
            raise ValueError(f"expected a JSON object such as '{{\"num_items\": 100}}', got {text}")
        if isinstance(kwargs.get("mdp"), dict):
            tables = {name: np.asarray(table, dtype=np.float64) for name, table in kwargs["mdp"].items()}
            kwargs["mdp"] = RecommendationMDP(**tables)
    except (OSError, TypeError, ValueError) as error:
        raise SettingsError(f"--env-kwargs: {error}") from error
    return kwargs


def check_env(env: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse an env that is not registered, or that does not take the arguments.

    Args:
        env: id of the env, ``"module:id"`` for one that a module registers.
        kwargs: arguments of the env.

    Raises:
        SettingsError: with the option.
    """
    try:
        gym.make(env, **kwargs).close()
    except (gym.error.Error, ImportError) as error:
        raise SettingsError(f"--env: no environment {env!r} is registered ({error})") from error
    except (TypeError, ValueError) as error:
        raise SettingsError(f"--env {env}, --env-kwargs: {error}") from error


def world_kwargs(env: str, kwargs: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the arguments of the env of a seed: the seed draws its tables, where it takes one."""
    creator = gym.spec(env).entry_point
    assert creator is not None
    parameters = inspect.signature(load_env_creator(creator) if isinstance(creator, str) else creator).parameters
    return {"mdp_seed": seed, **kwargs} if "mdp_seed" in parameters else dict(kwargs)
