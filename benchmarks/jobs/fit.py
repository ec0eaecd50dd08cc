"""Fit a user model to logged sessions."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from irecgan_gym.agents import preset
from irecgan_gym.benchmarks.jobs.options import Learning
from irecgan_gym.benchmarks.jobs.ranks import launched_ranks, voice
from irecgan_gym.evaluation import fidelity
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True, kw_only=True)
class Fit(Learning):
    """Fit a user model to logged sessions (Eq 3), save it, and say how well it predicts the sessions held out.

    Agents learn in it as the environment UserModel-v0; `irecgan-gym simulate --user-model` plays its sessions.
    Started by torchrun, several processes fit it together, each with its part of every batch.
    """

    def execute(self, console: Console) -> None:
        """Read, fit, save and measure."""
        with launched_ranks() as ranks:
            console, recorder = voice(ranks, console)
            training, validation = self.read(console)
            model = self._fitted(training, validation, recorder)
            if ranks.rank == 0:
                model.save(self.out)
                console.print(f"\n{fidelity(model, validation, seed=self.seed)}", highlight=False, markup=False)
                console.print("written:", self.out, soft_wrap=True)

    def _fitted(self, training: Sessions, validation: Sessions, recorder: Recorder) -> UserModel:
        settings = preset("irecgan", self.preset)
        config = UserModelConfig(training.num_items, training.slate_size, self.ending, settings.encoder)
        model = UserModel.create(config, seed=self.seed, device=self.device)
        return fit_user_model(training, validation, model, settings.user_model_fit, seed=self.seed, recorder=recorder)
