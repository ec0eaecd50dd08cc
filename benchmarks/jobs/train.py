"""Train an agent on logged sessions."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from irecgan_gym.agents import with_ending
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.benchmarks.jobs.ranks import launched_ranks, voice
from irecgan_gym.benchmarks.joining import agent_settings, agent_type


@dataclass(frozen=True, kw_only=True)
class Train(Learning):
    """Train an agent on logged sessions and save it.

    Started by torchrun, several processes train it together, each with its part of every batch.
    """

    agent: str = "irecgan"
    """Agent: irecgan, pg, pgis, ac, lstm, pgu, acu, pgc, lstmd, or module:Class."""

    def execute(self, console: Console) -> None:
        """Read, train and save."""
        kind = agent_type(self.agent)
        with launched_ranks() as ranks:
            console, recorder = voice(ranks, console)
            training, validation = self.read(console)
            config = with_ending(agent_settings(self.agent, self.preset), self.ending)
            agent = kind(training.num_items, training.slate_size, config, seed=self.seed, device=self.device)
            agent.learn(training, validation, recorder=recorder)
            if ranks.rank == 0:
                agent.save(self.out)
                console.print("written:", self.out, soft_wrap=True)
