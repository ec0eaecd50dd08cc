"""Features of real logs beside clicks that agents may use: each method is measured with and without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from irecgan_gym.agents import LSTMDConfig, with_ending
from irecgan_gym.benchmarks.joining import agent_settings
from irecgan_gym.models.feature_specs import feature_specs
from irecgan_gym.sessions import Sessions

SEPARATOR = "+"
"""Between the name of an agent and that of its features in ``results.csv``, e.g. ``pg+all``."""


@dataclass(frozen=True)
class Features:
    """Features of a log that an agent uses.

    Attributes:
        events: other events than clicks are part of the history (:attr:`EncoderConfig.events`).
        recall: history and candidates share embeddings, and touched items are remembered
            (:attr:`EncoderConfig.recall`).
        positions: the user model has a position term, and re-ranking knows the places at which items were shown
            and what was touched last (:class:`~irecgan_gym.evaluation.examination.Examination`, fitted to the
            validation part).
        listwise: listwise features of the entries of lists are known to all networks
            (:func:`~irecgan_gym.sessions.listwise.listwise_features`).
    """

    events: bool = False
    recall: bool = False
    positions: bool = False
    listwise: bool = False


FEATURES = {
    "none": Features(),
    "events": Features(events=True),
    "recall": Features(recall=True),
    "positions": Features(positions=True),
    "events-recall": Features(events=True, recall=True),
    "all": Features(events=True, recall=True, positions=True),
    "listwise": Features(listwise=True),
    "events-recall-listwise": Features(events=True, recall=True, listwise=True),
}


def label(agent: str, features: str) -> str:
    """Return the name of an agent with features in ``results.csv``; ``"none"`` leaves the agent's own."""
    return agent if features == "none" else f"{agent}{SEPARATOR}{features}"


def of_label(name: str) -> tuple[str, str]:
    """Return the agent and the name of the features of such a name."""
    agent, separator, features = name.rpartition(SEPARATOR)
    # Settings of a variant stand behind a + too.
    return (agent, features) if separator and features in FEATURES else (name, "none")


def with_entries(config: Any, training: Sessions) -> Any:
    """Return settings of an agent whose networks take in all features of the entries of lists.

    Args:
        config: its settings.
        training: what it will learn from, whose features they are.
    """
    if isinstance(config, LSTMDConfig):
        return replace(config, irecgan=with_entries(config.irecgan, training))
    specs = feature_specs(training, entries=tuple(training.features.entries))
    return replace(config, encoder=replace(config.encoder, features=specs))


def agent_config(agent: str, preset_name: str, features: Features, learning_rate: float | None = None) -> Any:
    """Return the settings of an agent for real logs, whose users leave when they like, as do those of its user model.

    Args:
        agent: its name.
        preset_name: settings to begin with.
        features: what it uses of the log.
        learning_rate: of policy and user model before adversarial rounds; the preset's own when None.
    """
    config = with_ending(agent_settings(agent, preset_name), "leave")
    if isinstance(config, LSTMDConfig):
        return replace(config, irecgan=_adapted(config.irecgan, features, learning_rate))
    # An agent from elsewhere may have settings of another kind.
    return _adapted(config, features, learning_rate) if hasattr(config, "encoder") else config


def _adapted(config: Any, features: Features, learning_rate: float | None) -> Any:
    changes: dict[str, Any] = {"encoder": replace(config.encoder, events=features.events, recall=features.recall)}
    if hasattr(config, "position_term"):
        changes["position_term"] = features.positions
    if learning_rate is not None:
        fits = [name for name in ("fit", "user_model_fit") if hasattr(config, name)]
        changes |= {name: replace(getattr(config, name), learning_rate=learning_rate) for name in fits}
    return replace(config, **changes)
