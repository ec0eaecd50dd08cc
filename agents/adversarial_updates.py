"""Adversarial updates: those of the user model (Eq 7) and of the discriminator (Eq 5) in Algorithm 1."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from irecgan_gym.agents.discriminator_training import discriminator_accuracy, fit_discriminator
from irecgan_gym.agents.generation import Generated, generate_sessions
from irecgan_gym.agents.real_sessions import RealSessions
from irecgan_gym.agents.treatment import user_model_shift
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import copy_of
from irecgan_gym.models.discriminator import Discriminator
from irecgan_gym.models.fitting import ClippedAdamW, EarlyStopping, mean_log_likelihood, user_model_epoch
from irecgan_gym.models.health import TrainingWarning
from irecgan_gym.models.ranks import current_ranks
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.schedule import Schedule
from irecgan_gym.storage.states import Things, put_back, state_of

if TYPE_CHECKING:
    from irecgan_gym.agents.irecgan import IRecGANConfig

_AVERAGED = 3
"""Updates whose mean held-out accuracy decides whether D has been pre-trained: held-out sessions may be few."""


_FORGOTTEN = 0.5
"""Nats below uniform clicks at which a user model has forgotten the log."""


class UserModelUpdates:
    """Updates of a pre-trained user model in rounds, and the one that is kept.

    Where the policy's last round is kept, the user model's is; else that with the best held-out likelihood (Eq 3), the
    pre-trained one being round 0.

    Args:
        model: trained in place.
        real: logged sessions as the user model sees them.
        held_out: sessions that choose the round.
        config: settings of the rounds.
        generator: of the order of batches.
    """

    def __init__(
        self,
        model: UserModel,
        real: RealSessions,
        held_out: Sessions,
        config: IRecGANConfig,
        generator: np.random.Generator,
    ) -> None:
        self._model, self._start = model, copy_of(model)
        self._real, self._config, self._generator = real, config, generator
        self._held_out = SessionTensors(held_out, leave_option=model.leave_option, device=model.device)
        fit = replace(config.user_model_fit, learning_rate=config.user_model_learning_rate)
        self._optimizer = ClippedAdamW(model, fit, "adversarial/user_model_loss", current_ranks())
        self._best = EarlyStopping(model)
        self._uniform = -float(np.log(held_out.slate_lengths + int(model.leave_option)).mean())
        self.validate()
        self._before = self._click

    def update(self, generated: Generated) -> dict[str, float]:
        """Make one pass over real and generated sessions by Eq 7, and return the mean loss a step."""
        steps, weights = self._real.with_generated(generated, self._model.leave_option, self._model.device)
        fit = self._config.user_model_fit
        loss = user_model_epoch(self._model, steps, self._optimizer, fit, self._generator, weights)
        return {"adversarial/user_model_loss": loss, "adversarial/user_model_grad_norm": self._optimizer.mean_norm()}

    def learn_from_offline(self) -> None:
        """Make the passes over real sessions alone (Eq 3) that the settings ask for."""
        if self._config.likelihood_epochs:
            real = self._real.batches(self._model.leave_option, self._model.device)
            for _ in range(self._config.likelihood_epochs):
                user_model_epoch(self._model, real, self._optimizer, self._config.user_model_fit, self._generator)
            self._optimizer.mean_norm()

    def validate(self) -> dict[str, float]:
        """Compare the user model with the best so far, and return its held-out log-likelihoods a step."""
        fit = self._config.user_model_fit
        click, reward = mean_log_likelihood(self._model, self._held_out.all(fit.batch_size * 4))
        self._best.update(-(click + fit.lambda_p * reward))
        self._click = click
        return {
            "adversarial/validation_click_log_likelihood": click,
            "adversarial/validation_reward_log_likelihood": reward,
        }

    def finish(self) -> dict[str, float]:
        """Keep the last user model or put the best one back, and return how far it has moved."""
        if self._config.selection != "last" or not all(map(_is_finite, self._model.parameters())):
            self._best.restore("adversarial/user_model_loss")
        size = self._config.user_model_fit.batch_size * 4
        if self._click < min(self._before, self._uniform - _FORGOTTEN):
            warnings.warn(
                "the user model has collapsed in the rounds: held-out clicks have a log-likelihood of "
                f"{self._click:.3f} under it, {self._uniform:.3f} if users clicked at random",
                TrainingWarning,
                stacklevel=3,
            )
        return {"treatment/user_model_moved": user_model_shift(self._start, self._model, self._held_out, size)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all that rounds change."""
        return {"things": state_of(self._things()), "click": self._click}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        put_back(self._things(), state["things"])
        self._click = state["click"]

    def _things(self) -> Things:
        return {
            "model": self._model,
            "optimizer": self._optimizer,
            "best": self._best,
            "generator": self._generator,
        }


def _is_finite(parameter: Tensor) -> bool:
    return bool(torch.isfinite(parameter).all())


class DiscriminatorUpdates:
    """Updates of the discriminator, the d-steps of Algorithm 1.

    Args:
        discriminator: trained in place.
        policy: plays the generated sessions with ``user_model``.
        user_model: see ``policy``.
        real: logged sessions as the user model sees them.
        held_out: logged sessions that are only told from generated ones, never learned from.
        config: settings of the updates.
        generator: of the sessions and the order of batches.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        policy: SlatePolicy,
        user_model: UserModel,
        real: RealSessions,
        held_out: Sessions,
        config: IRecGANConfig,
        generator: np.random.Generator,
    ) -> None:
        self._discriminator, self._policy, self._user_model = discriminator, policy, user_model
        self._real, self._held_out, self._config, self._generator = real, held_out, config, generator
        self._optimizer = ClippedAdamW(discriminator, config.discriminator_fit, "disc/loss")
        self._accuracies: list[float] = []

    def pre_train(self, schedule: Schedule, recorder: Recorder) -> None:
        """Update until held-out sessions are told from generated ones as well as the settings ask, or updates end."""
        things: Things = {"updates": self}
        for _ in schedule.steps(
            "discriminator", self._config.pre_training_d_steps, things, until=lambda: self._tells_enough
        ):
            self.update(recorder)

    @property
    def _tells_enough(self) -> bool:
        latest = self._accuracies[-_AVERAGED:]
        return len(latest) == _AVERAGED and bool(np.mean(latest) >= self._config.discriminator_accuracy)

    def update(self, recorder: Recorder) -> None:
        """Make one d-step: some epochs of Eq 5 on freshly generated sessions and as many real ones."""
        m = min(self._config.discriminator_sessions, len(self._real))
        drawn = self._real.select(self._generator.permutation(len(self._real))[:m])
        fit_discriminator(
            self._discriminator,
            drawn,
            self._generated(m),
            self._optimizer,
            self._config.discriminator_fit,
            leave_option=self._user_model.leave_option,
            generator=self._generator,
            recorder=recorder,
            step=len(self._accuracies),
        )
        self._accuracies.append(self._held_out_accuracy())
        recorder.record({"disc/held_out_accuracy": self._accuracies[-1]}, len(self._accuracies) - 1)

    def finish(self) -> dict[str, float]:
        """Return the accuracy on held-out sessions, mean of the last updates, and the number of updates."""
        return {
            "treatment/discriminator_accuracy": float(np.mean(self._accuracies[-_AVERAGED:])),
            "treatment/discriminator_updates": float(len(self._accuracies)),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all that updates change."""
        return {"things": state_of(self._things()), "accuracies": list(self._accuracies)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        put_back(self._things(), state["things"])
        self._accuracies = list(state["accuracies"])

    def _things(self) -> Things:
        return {
            "discriminator": self._discriminator,
            "optimizer": self._optimizer,
            "generator": self._generator,
        }

    def _held_out_accuracy(self) -> float:
        return discriminator_accuracy(
            self._discriminator,
            self._held_out,
            self._generated(len(self._held_out)),
            self._config.discriminator_fit.batch_size * 4,
            leave_option=self._user_model.leave_option,
        )

    def _generated(self, num_sessions: int) -> Sessions:
        return generate_sessions(
            self._policy,
            self._user_model,
            num_sessions,
            max_session_steps=self._config.max_generated_steps(self._real),
            seed=int(self._generator.integers(2**31)),
            precision=self._config.generation_precision,
        )
