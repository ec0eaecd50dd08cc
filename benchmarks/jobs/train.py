"""Train an agent on logged sessions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from rich.console import Console

from irecgan_gym.agents import with_ending
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.benchmarks.jobs.ranks import launched_ranks, voice
from irecgan_gym.benchmarks.joining import agent_settings, agent_type
from irecgan_gym.benchmarks.shared_training import checkpointed


@dataclass(frozen=True, kw_only=True)
class Train(Learning):
    """Train an agent on logged sessions and save it.

    Killed or stopped, the same command goes on from the last checkpoint. Started by torchrun, several processes
    train it together, each with its part of every batch, without checkpoints.
    """

    agent: str = "irecgan"
    """Agent: irecgan, pg, pgis, ac, lstm, pgu, acu, pgc, lstmd, auto_planner, cautious_planner,
    choice_planner, latent_planner, recurrent_planner, tabular_pg, or module:Class."""

    def execute(self, console: Console) -> None:
        """Read, train and save."""
        kind, resume = agent_type(self.agent), self.resume()
        with launched_ranks() as ranks:
            console, recorder = voice(ranks, console)
            training, validation = self.read(console)
            config = with_ending(agent_settings(self.agent, self.preset), self.ending)
            agent = kind(training.num_items, training.slate_size, config, seed=self.seed, device=self.device)
            # Processes that were killed need not have kept the same epoch.
            checkpoints = {} if ranks.size > 1 else checkpointed(agent, resume)
            agent.learn(training, validation, recorder=recorder, **checkpoints)
            if ranks.rank == 0:
                agent.save(self.out)
                shutil.rmtree(resume.folder, ignore_errors=True)
                console.print("written:", self.out, soft_wrap=True)
