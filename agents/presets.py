"""Agents by name, and their settings by preset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, overload

from agents.base import Agent
from agents.irecgan import IRecGAN, IRecGANConfig
from agents.pg import PG, PGConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig

AGENT_NAMES = ("irecgan", "pg")

_PAPER_ENCODER = EncoderConfig(cell="lstm", num_layers=2, hidden_size=512, embedding_size=50, embedding_std=1.0)
# 50 epochs of pre-training at the learning rates of the authors' code, and its batches of 32 sessions.
_PAPER_AGENT_FIT = FitConfig(learning_rate=1e-4, batch_size=32, max_epochs=50, patience=5, weight_decay=0.0)
_PAPER_USER_MODEL_FIT = replace(_PAPER_AGENT_FIT, learning_rate=5e-4)
_PAPER_DISCRIMINATOR_FIT = replace(_PAPER_AGENT_FIT, max_epochs=3, patience=None)


@overload
def preset(agent: Literal["pg"], name: str) -> PGConfig: ...
@overload
def preset(agent: Literal["irecgan"], name: str) -> IRecGANConfig: ...
@overload
def preset(agent: str, name: str) -> PGConfig | IRecGANConfig: ...


def preset(agent: str, name: str) -> PGConfig | IRecGANConfig:
    """Settings of an agent.

    Args:
        agent: ``"irecgan"`` or ``"pg"``.
        name: ``"fast"``, 1x64 LSTM and early stopping, for two CPU cores; or ``"paper"``, §7.1's sizes (2x512 LSTM,
            embeddings of 50, gamma 0.9, lambda_r 3, lambda_p 1, one generated to ten offline sessions, N = 5)
            with the learning rates of the authors' code.

    Raises:
        ValueError: an unknown agent or preset.
    """
    if name not in ("fast", "paper"):
        raise ValueError(f"preset must be 'fast' or 'paper', got {name!r}")
    if agent == "pg":
        return PGConfig() if name == "fast" else PGConfig(encoder=_PAPER_ENCODER, fit=_PAPER_AGENT_FIT)
    if agent == "irecgan":
        if name == "fast":
            return IRecGANConfig()
        return IRecGANConfig(
            encoder=_PAPER_ENCODER,
            agent_fit=_PAPER_AGENT_FIT,
            user_model_fit=_PAPER_USER_MODEL_FIT,
            discriminator_fit=_PAPER_DISCRIMINATOR_FIT,
            agent_learning_rate=1e-4,
            user_model_learning_rate=5e-4,
            r_steps=3,
            discriminator_sessions=1000,
        )
    raise ValueError(f"agent must be one of {AGENT_NAMES}, got {agent!r}")


def make_agent(
    name: str,
    *,
    num_items: int,
    slate_size: int,
    config: Any,
    seed: int,
    device: str = "auto",
) -> Agent:
    """A new agent by name.

    Args:
        name: ``"irecgan"`` or ``"pg"``.
        num_items: size of the catalogue, n.
        slate_size: items to show at a time, k.
        config: the agent's settings, e.g. from :func:`preset`.
        seed: of the agent's parameters, training and samples.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``...

    Raises:
        ValueError: an unknown agent.
    """
    classes: dict[str, type[PG] | type[IRecGAN]] = {"pg": PG, "irecgan": IRecGAN}
    if name not in classes:
        raise ValueError(f"agent must be one of {AGENT_NAMES}, got {name!r}")
    return classes[name](num_items, slate_size, config, seed=seed, device=device)
