"""Fit a user model to logged sessions."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass

from rich.console import Console

from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.evaluation import fidelity
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import ProgressRecorder
from irecgan_gym.sessions.digest import digest_of_sessions
from irecgan_gym.storage.checkpoints import stored_schedule


@dataclass(frozen=True, kw_only=True)
class Fit(Learning):
    """Fit a user model to logged sessions (Eq 3), save it, and say how well it predicts the sessions held out.

    Agents learn in it as the environment UserModel-v0; `irecgan-gym simulate --user-model` plays its sessions.
    Killed or stopped, the same command goes on from the last checkpoint.
    """

    def execute(self, console: Console) -> None:
        """Read, fit, save and measure."""
        resume = self.resume()
        training, validation = self.read(console)
        settings = preset("irecgan", self.preset)
        config = UserModelConfig(training.num_items, training.slate_size, self.ending, settings.encoder)
        model = UserModel.create(config, seed=self.seed, device=self.device)
        fit = settings.user_model_fit
        what = {
            "model": asdict(config),
            "fit": asdict(fit),
            "seed": self.seed,
            "sessions": digest_of_sessions(training),
            "validation": digest_of_sessions(validation),
        }
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        with stored_schedule(resume, what, ProgressRecorder(), size) as schedule:
            fit_user_model(
                training, validation, model, fit, seed=self.seed, recorder=schedule.recorder, schedule=schedule
            )
        model.save(self.out)
        shutil.rmtree(resume.folder, ignore_errors=True)
        console.print(f"\n{fidelity(model, validation, seed=self.seed)}", highlight=False, markup=False)
        console.print("written:", self.out, soft_wrap=True)
