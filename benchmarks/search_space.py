"""Settings of each agent that are searched, the ranges of the search, and draws from them.

An agent's first candidate is the preset ``fast``; the others are drawn at random, all searched settings of each.
Settings that agents have in common are drawn alike: candidate 3 of PG and of IRecGAN have the same learning rate.

Three agents have no search of their own, because a comparison needs them to share IRecGAN's settings (:data:`TIED`).
They are tuned in IRecGAN's favour, never in their own, so a gain of IRecGAN over PGU or PGC is at most what it seems.
PG has a full search of its own, and is what IRecGAN must beat besides. AC and ACU have a search each, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from irecgan_gym.agents import IRecGANConfig, LSTMDConfig, PresetName, preset

DEFAULT_PRESET: PresetName = "fast"


@dataclass(frozen=True)
class LogUniform:
    """Numbers whose logarithm is uniform; drawn with two significant digits."""

    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> float:
        """Return a number from ``low`` to ``high``."""
        return float(f"{np.exp(generator.uniform(np.log(self.low), np.log(self.high))):.2g}")


@dataclass(frozen=True)
class Choice:
    """A few values, each as likely."""

    options: tuple[Any, ...]

    def draw(self, generator: np.random.Generator) -> Any:
        """Return an option."""
        return self.options[generator.integers(len(self.options))]


SearchSpace = Mapping[str, LogUniform | Choice]
"""Distribution of each setting, by its dotted name."""

_ENCODER: SearchSpace = {
    "encoder.hidden_size": Choice((32, 64, 128)),
    "encoder.embedding_std": Choice((0.03, 0.1, 0.3, 1.0)),
}
_FIT: SearchSpace = {
    "fit.learning_rate": LogUniform(5e-4, 1e-2),
    "fit.weight_decay": LogUniform(1e-3, 1e-1),
    "fit.batch_size": Choice((32, 64, 128)),
}
_POLICY: SearchSpace = {
    **_ENCODER,
    **_FIT,
    "fit.max_epochs": Choice((5, 10, 20, 40)),
    "gamma": Choice((0.0, 0.5, 0.8, 0.9, 1.0)),
    "lambda_r": Choice((1.0, 3.0, 10.0, 30.0)),
}
_CRITIC: SearchSpace = {
    "trace_decay": Choice((0.0, 0.5, 0.8, 0.95, 1.0)),
    "value_weight": Choice((0.25, 0.5, 1.0)),
}
_MODEL_BASED: SearchSpace = {
    **_POLICY,
    "agent_learning_rate": LogUniform(1e-4, 2e-3),
    "rounds": Choice((6, 12, 24)),
    "user_model_fit.learning_rate": LogUniform(5e-4, 1e-2),
    "user_model_fit.weight_decay": LogUniform(1e-3, 1e-1),
    "generated_share": Choice((0.1, 0.3, 1.0)),
}

SEARCH_SPACES: Mapping[str, SearchSpace] = {
    "irecgan": {
        **_MODEL_BASED,
        "user_model_learning_rate": LogUniform(1e-4, 2e-3),
        "discriminator_fit.learning_rate": LogUniform(2e-3, 2e-2),
    },
    "pg": _POLICY,
    "pgis": {**_POLICY, "weight_clip": LogUniform(1.0, 100.0)},
    "ac": {**_POLICY, **_CRITIC},
    "lstm": {**_ENCODER, **_FIT, "fit.patience": Choice((3, 5, 10))},
    "acu": {**_MODEL_BASED, **_CRITIC},
}

TIED: Mapping[str, str] = {
    "lstmd": "acts by the user model of IRecGAN, so the same training makes both",
    "pgu": "is IRecGAN without the discriminator: the difference tells its worth only where nothing else differs",
    "pgc": "is IRecGAN's rounds on offline data alone: it must get as many updates of the same policy, as large ones",
}
"""Agents that take IRecGAN's settings, as far as they have them, and why."""


@dataclass(frozen=True)
class Candidate:
    """Settings to be tried.

    Attributes:
        agent: whose.
        number: 0 for the default settings.
        values: what was drawn, by dotted name.
        settings: all of them, an instance of the agent's ``config_type``.
    """

    agent: str
    number: int
    values: Mapping[str, Any]
    settings: Any

    @property
    def name(self) -> str:
        """Name that stands for the agent in the results."""
        return f"{self.agent}/{self.number}"


def draw_candidates(agent: str, number: int, *, seed: int) -> list[Candidate]:
    """Return the default settings and random ones; a larger number only adds to the candidates of a smaller one.

    Args:
        agent: one of :data:`SEARCH_SPACES`.
        number: of candidates, the default among them.
        seed: of the draws.
    """
    default = preset(agent, DEFAULT_PRESET)
    space = SEARCH_SPACES[agent]
    # A stream for each setting, whatever the agent, so that agents share the draws of the settings that they share.
    streams = {name: np.random.default_rng([seed, zlib.crc32(name.encode())]) for name in space}
    candidates = [Candidate(agent, 0, {}, default)]
    for place in range(1, number):
        values = {name: distribution.draw(streams[name]) for name, distribution in space.items()}
        candidates.append(Candidate(agent, place, values, with_values(default, values)))
    return candidates


def with_values(settings: Any, values: Mapping[str, Any]) -> Any:
    """Return the same settings but for those given by dotted name."""
    for name, value in values.items():
        settings = _with_value(settings, name.split("."), value)
    return settings


def _with_value(settings: Any, path: list[str], value: Any) -> Any:
    name, *inner = path
    return replace(settings, **{name: _with_value(getattr(settings, name), inner, value) if inner else value})


def tied_settings(agent: str, irecgan: IRecGANConfig) -> Any:
    """Return the settings of an agent that takes them from IRecGAN.

    Args:
        agent: one of :data:`TIED`.
        irecgan: IRecGAN's settings.
    """
    default = preset(agent, DEFAULT_PRESET)
    if isinstance(default, LSTMDConfig):
        return replace(default, irecgan=irecgan)
    return replace(default, **{field.name: getattr(irecgan, field.name) for field in fields(default)})
