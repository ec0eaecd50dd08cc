"""Fit a user model to logged sessions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from rich.console import Console

from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.benchmarks.jobs.ranks import launched_ranks, voice
from irecgan_gym.benchmarks.shared_training import fit_checkpointed
from irecgan_gym.evaluation import fidelity
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions.dataset import in_memory


@dataclass(frozen=True, kw_only=True)
class Fit(Learning):
    """Fit a user model to logged sessions (Eq 3), save it, and say how well it predicts the sessions held out.

    Agents learn in it as the environment UserModel-v0; `irecgan-gym simulate --user-model` plays its sessions.
    Killed or stopped, the same command goes on from the last checkpoint. Started by torchrun, several processes fit it
    together, each with its part of every batch, without checkpoints.
    """

    def execute(self, console: Console) -> None:
        """Read, fit, save and measure."""
        resume = self.resume()
        with launched_ranks() as ranks:
            console, recorder = voice(ranks, console)
            training, validation = self.read(console)
            settings = preset("irecgan", self.preset)
            config = UserModelConfig(training.num_items, training.slate_size, self.ending, settings.encoder)
            model = UserModel.create(config, seed=self.seed, device=self.device)
            fit = settings.user_model_fit
            if ranks.size > 1:  # Processes that were killed need not have kept the same epoch.
                fit_user_model(training, validation, model, fit, seed=self.seed, recorder=recorder)
            else:
                fit_checkpointed(model, fit, training, validation, seed=self.seed, recorder=recorder, resume=resume)
            if ranks.rank == 0:
                model.save(self.out)
                shutil.rmtree(resume.folder, ignore_errors=True)
                console.print(
                    f"\n{fidelity(model, in_memory(validation), seed=self.seed)}", highlight=False, markup=False
                )
                console.print("written:", self.out, soft_wrap=True)
