"""Export a trained agent with its catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.benchmarks.engine.command import SettingsError
from irecgan_gym.benchmarks.jobs.options import load_agent
from irecgan_gym.benchmarks.jobs.served_policy import read_names
from irecgan_gym.serving.onnx_export import export_onnx


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a trained agent with its catalogue as one ONNX file, which runs without PyTorch."""

    agent: tyro.conf.Positional[Path]
    """File of the agent, as saved by `irecgan-gym train`."""
    out: Path
    """The ONNX file."""
    agent_class: str | None = None
    """Class of an agent that is not of the suite, as module:Class."""
    slate_size: int | None = None
    """The most items that can be shown at a time; the agent's own number if left out."""
    item_names: Path | None = None
    """Text file with the name of an item in each line, in the order of their ids."""

    def execute(self, console: Console) -> None:
        """Load, export and say where."""
        agent = load_agent(self.agent, "cpu", self.agent_class)
        if not isinstance(agent, PolicyAgent):
            raise SettingsError(f"{self.agent} holds a {type(agent).__name__}, which has no network to export")
        names = None if self.item_names is None else read_names(self.item_names, agent.num_items)
        try:
            export_onnx(agent, self.out, slate_size=self.slate_size, item_names=names)
        except (OverflowError, ValueError) as error:
            raise SettingsError(str(error)) from error
        console.print("written:", self.out, soft_wrap=True)
