"""Fit a user model to logged sessions."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.evaluation import fidelity
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import ProgressRecorder


@dataclass(frozen=True, kw_only=True)
class Fit(Learning):
    """Fit a user model to logged sessions (Eq 3), save it, and say how well it predicts the sessions held out.

    Agents learn in it as the environment UserModel-v0; `irecgan-gym simulate --user-model` plays its sessions.
    """

    def execute(self, console: Console) -> None:
        """Read, fit, save and measure."""
        training, validation = self.read(console)
        settings = preset("irecgan", self.preset)
        config = UserModelConfig(training.num_items, training.slate_size, self.ending, settings.encoder)
        model = UserModel.create(config, seed=self.seed, device=self.device)
        recorder = ProgressRecorder()
        fit_user_model(training, validation, model, settings.user_model_fit, seed=self.seed, recorder=recorder)
        model.save(self.out)
        console.print(f"\n{fidelity(model, validation, seed=self.seed)}", highlight=False, markup=False)
        console.print("written:", self.out, soft_wrap=True)
