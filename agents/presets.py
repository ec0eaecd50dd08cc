"""Agents by name, and their settings by preset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from agents.ac import AC, ACConfig
from agents.acu import ACU, ACUConfig
from agents.irecgan import IRecGAN, IRecGANConfig
from agents.lstm import LSTM, LSTMD, LSTMConfig, LSTMDConfig
from agents.model_based import ModelBasedConfig
from agents.pg import PG, PGConfig
from agents.pgc import PGC
from agents.pgis import PGIS, PGISConfig
from agents.pgu import PGU
from agents.policy_agent import PolicyAgent
from agents.policy_rounds import RoundsConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig

_CLASSES: dict[str, type[PolicyAgent[Any]]] = {
    agent.kind: agent for agent in (IRecGAN, PG, PGIS, AC, LSTM, PGU, ACU, PGC, LSTMD)
}
AGENT_NAMES = tuple(_CLASSES)

_PAPER_ENCODER = EncoderConfig(cell="lstm", num_layers=2, hidden_size=512, embedding_size=50, embedding_std=1.0)
# 50 epochs of pre-training at the learning rates of the authors' code, and its batches of 32 sessions.
_PAPER_FIT = FitConfig(learning_rate=1e-4, batch_size=32, max_epochs=50, patience=5, weight_decay=0.0)
_PAPER_USER_MODEL_FIT = replace(_PAPER_FIT, learning_rate=5e-4)
_PAPER_POLICY: dict[str, Any] = {"encoder": _PAPER_ENCODER, "fit": _PAPER_FIT}
_PAPER_MODEL_BASED: dict[str, Any] = {**_PAPER_POLICY, "user_model_fit": _PAPER_USER_MODEL_FIT, "r_steps": 3}
_PAPER_IRECGAN = IRecGANConfig(
    **_PAPER_MODEL_BASED,
    discriminator_fit=replace(_PAPER_FIT, max_epochs=3, patience=None),
    user_model_learning_rate=5e-4,
    discriminator_sessions=1000,
)

_PRESETS: dict[str, dict[str, Any]] = {
    "fast": {
        "irecgan": IRecGANConfig(),
        "pg": PGConfig(),
        "pgis": PGISConfig(),
        "ac": ACConfig(),
        "lstm": LSTMConfig(),
        "lstmd": LSTMDConfig(),
        "pgu": ModelBasedConfig(),
        "acu": ACUConfig(),
        "pgc": RoundsConfig(),
    },
    "paper": {
        "irecgan": _PAPER_IRECGAN,
        "pg": PGConfig(**_PAPER_POLICY),
        "pgis": PGISConfig(**_PAPER_POLICY),
        "ac": ACConfig(**_PAPER_POLICY),
        "lstm": LSTMConfig(encoder=_PAPER_ENCODER, fit=_PAPER_USER_MODEL_FIT),
        "lstmd": LSTMDConfig(irecgan=_PAPER_IRECGAN),
        "pgu": ModelBasedConfig(**_PAPER_MODEL_BASED),
        "acu": ACUConfig(**_PAPER_MODEL_BASED),
        "pgc": RoundsConfig(**_PAPER_POLICY, r_steps=3),
    },
}


def preset(agent: str, name: str) -> Any:
    """Settings of an agent, an instance of its class's ``config_type``.

    Args:
        agent: one of :data:`AGENT_NAMES`.
        name: ``"fast"``, 1x64 LSTM and early stopping, for two CPU cores; or ``"paper"``, §7.1's sizes (2x512 LSTM,
            embeddings of 50, gamma 0.9, lambda_r 3, lambda_p 1, one generated to ten offline sessions, N = 5)
            with the learning rates of the authors' code.

    Raises:
        ValueError: an unknown agent or preset.
    """
    if name not in _PRESETS:
        raise ValueError(f"preset must be 'fast' or 'paper', got {name!r}")
    agent_class(agent)
    return _PRESETS[name][agent]


def with_ending(config: Any, ending: Literal["reward", "leave"]) -> Any:
    """The same settings of an agent, for users whose sessions end in this way; unchanged where it has no user model."""
    if isinstance(config, LSTMDConfig):
        return replace(config, irecgan=replace(config.irecgan, ending=ending))
    return replace(config, ending=ending) if isinstance(config, (LSTMConfig, ModelBasedConfig)) else config


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
