"""Loading of policies that can be served: exported ones, and agents whose state follows from the clicks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.serving.exported_policy import ExportedPolicy, ExportError


@dataclass(frozen=True)
class ServedPolicy:
    """A policy from a file.

    Attributes:
        policy: chooses slates.
        digest: SHA-256 of the file.
        item_names: the catalogue's own names, or None.
    """

    policy: Any
    digest: str
    item_names: tuple[str, ...] | None


def load_served_policy(
    path: Path, *, names: Path | None = None, agent_class: str | None = None, threads: int = 1
) -> ServedPolicy:
    """Load an exported policy (``.onnx``), or an agent of any other file.

    Args:
        path: the file.
        names: a text file with the name of an item in each line; names stored with the policy when None.
        agent_class: of an agent that is not of the suite.
        threads: that one call of an exported policy may use.

    Raises:
        FileNotFoundError: there is no such file.
        SettingsError: no policy that can be served.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    policy: Any
    if path.suffix == ".onnx":
        try:
            # Sessions that ask at a time are answered together.
            policy = ExportedPolicy(path, threads=threads, packed=True)
        except ExportError as error:
            raise SettingsError(str(error)) from error
    else:
        policy = _load_agent(path, agent_class)
    stored = getattr(policy, "item_names", None)
    found = stored if names is None else read_names(names, policy.num_items)
    return ServedPolicy(policy, hashlib.sha256(path.read_bytes()).hexdigest(), found)


def _load_agent(path: Path, agent_class: str | None) -> Any:
    """Load an agent; PyTorch is not loaded before."""
    from irecgan_gym.agents.policy_agent import PolicyAgent
    from irecgan_gym.agents.references.simple import ReferencePolicy
    from irecgan_gym.benchmarks.jobs.options import load_agent

    policy = load_agent(path, "cpu", agent_class)
    if not isinstance(policy, (PolicyAgent, ReferencePolicy)):
        raise SettingsError(
            f"{path} holds a {type(policy).__name__}, whose state depends on more than clicks: after a restart its "
            "sessions could not go on"
        )
    return policy


def read_names(path: Path, num_items: int) -> tuple[str, ...]:
    """Read item names, one a line.

    Raises:
        FileNotFoundError: there is no such file.
        SettingsError: not as many different names as there are items.
    """
    try:
        lines = tuple(path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise SettingsError(f"--item-names {path} is not UTF-8: {error}") from error
    if len(lines) != num_items or len(set(lines)) != num_items:
        raise SettingsError(f"--item-names {path} must hold {num_items} different names, one a line")
    return lines
