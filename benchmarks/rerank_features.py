"""What agents may use of real logs beside clicks: each method is measured with and without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from irecgan_gym.agents import preset, with_ending
from irecgan_gym.agents.lstm import LSTMConfig, LSTMDConfig
from irecgan_gym.agents.pgu import PGUConfig

SEPARATOR = "+"
"""Between the name of an agent and that of its features in ``results.csv``, e.g. ``pg+all``."""


@dataclass(frozen=True)
class Features:
    """What an agent uses of a log.

    Attributes:
        events: other events than clicks are part of the history (:attr:`EncoderConfig.events`).
        recall: history and candidates share embeddings, and touched items are remembered
            (:attr:`EncoderConfig.recall`).
        positions: the user model has a position term, and re-ranking knows the places at which items were shown
            and what was touched last (:class:`~irecgan_gym.evaluation.examination.Examination`, fitted to the
            validation part).
    """

    events: bool = False
    recall: bool = False
    positions: bool = False


FEATURES = {
    "none": Features(),
    "events": Features(events=True),
    "recall": Features(recall=True),
    "positions": Features(positions=True),
    "events-recall": Features(events=True, recall=True),
    "all": Features(events=True, recall=True, positions=True),
}


def label(agent: str, features: str) -> str:
    """Name of an agent with features in ``results.csv``; ``"none"`` leaves the agent's own."""
    return agent if features == "none" else f"{agent}{SEPARATOR}{features}"


def of_label(name: str) -> tuple[str, Features]:
    """Agent and features of such a name."""
    agent, _, features = name.partition(SEPARATOR)
    return agent, FEATURES[features or "none"]


def agent_config(agent: str, preset_name: str, features: Features, learning_rate: float | None = None) -> Any:
    """Settings of an agent for real logs, whose users leave when they like: the user model's sessions end so too.

    Args:
        agent: its name.
        preset_name: settings to begin with.
        features: what it uses of the log.
        learning_rate: of policy and user model before adversarial rounds; the preset's own when None.
    """
    config = with_ending(preset(agent, preset_name), "leave")
    if isinstance(config, LSTMDConfig):
        return replace(config, irecgan=_adapted(config.irecgan, features, learning_rate))
    return _adapted(config, features, learning_rate)


def _adapted(config: Any, features: Features, learning_rate: float | None) -> Any:
    changes: dict[str, Any] = {"encoder": replace(config.encoder, events=features.events, recall=features.recall)}
    if isinstance(config, (LSTMConfig, PGUConfig)):
        changes["position_term"] = features.positions
    if learning_rate is not None:
        fits = ("fit", "user_model_fit") if isinstance(config, PGUConfig) else ("fit",)
        changes |= {name: replace(getattr(config, name), learning_rate=learning_rate) for name in fits}
    return replace(config, **changes)
