"""Fit a user model to logged sessions."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass

from rich.console import Console

from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.benchmarks.jobs.ranks import launched_ranks, voice
from irecgan_gym.evaluation import fidelity
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionLog, in_memory
from irecgan_gym.sessions.digest import digest_of_log
from irecgan_gym.storage.checkpoints import Checkpoints, stored_schedule


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
                self._fit(model, fit, training, validation, recorder, resume)
            if ranks.rank == 0:
                model.save(self.out)
                shutil.rmtree(resume.folder, ignore_errors=True)
                console.print(
                    f"\n{fidelity(model, in_memory(validation), seed=self.seed)}", highlight=False, markup=False
                )
                console.print("written:", self.out, soft_wrap=True)

    def _fit(
        self,
        model: UserModel,
        fit: FitConfig,
        training: SessionLog,
        validation: SessionLog,
        recorder: Recorder,
        resume: Checkpoints,
    ) -> None:
        """Fit with checkpoints."""
        what = {
            "model": asdict(model.config),
            "fit": asdict(fit),
            "seed": self.seed,
            "sessions": digest_of_log(training),
            "validation": digest_of_log(validation),
        }
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        with stored_schedule(resume, what, recorder, size) as schedule:
            fit_user_model(
                training, validation, model, fit, seed=self.seed, recorder=schedule.recorder, schedule=schedule
            )
