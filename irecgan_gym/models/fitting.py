"""Fitting the user model to logged sessions by maximum likelihood (Eq 3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.kernels.low_precision import Precision, matrix_precision
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.health import GradientHealth, NumericalError, TrainingWarning
from irecgan_gym.models.log_knowledge import take_log
from irecgan_gym.models.ranks import ALONE, Ranks, current_ranks
from irecgan_gym.models.reward_laws import reward_law
from irecgan_gym.models.streams import BatchSource, batches_of
from irecgan_gym.models.user_model import LogLikelihood, UserModel, UserModelConfig
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog, parts_of
from irecgan_gym.sessions.leaving import with_leaving_step
from irecgan_gym.settings import Count, CountFrom0, NotNegative, Positive, check_settings
from irecgan_gym.storage.schedule import Schedule
from irecgan_gym.storage.states import Things

LogT = TypeVar("LogT", Sessions, SessionLog)


@dataclass(frozen=True)
class FitConfig:
    """Settings of the training of one network on logged sessions.

    Attributes:
        learning_rate: step size of AdamW.
        batch_size: sessions a batch.
        max_epochs: most passes over the training sessions.
        patience: epochs without a better validation loss after which training stops; None never stops early.
        max_grad_norm: L2 norm to which longer gradients are scaled down.
        weight_decay: decoupled weight decay of AdamW.
        lambda_p: weight of the reward term against the click term in Eq 3.
        precision: of matrix products. ``"bfloat16"`` pays where the processor multiplies it faster than float32 (GPUs,
            CPUs with AMX); parameters, recurrent cells, softmaxes and losses stay float32; on GPUs, recurrent
            layers do.
    """

    learning_rate: Positive = 2e-3
    batch_size: Count = 64
    max_epochs: Count = 100
    patience: CountFrom0 | None = 5
    max_grad_norm: Positive = 5.0
    weight_decay: NotNegative = 1e-2
    lambda_p: NotNegative = 1.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check_settings(self)


class EarlyStopping:
    """The parameters of a module at their best validation loss, and whether waiting for a better one is over.

    Args:
        module: its parameters are remembered.
        patience: validation losses in a row without a better one after which training should stop; None never stops.

    Attributes:
        loss: the best so far.
        epochs_since: validation losses since the best.
    """

    def __init__(self, module: nn.Module, patience: int | None = None) -> None:
        self._module = module
        self._patience = patience
        self._state: dict[str, Tensor] = {}
        self.loss = float("inf")
        self.epochs_since = 0

    def update(self, loss: float) -> bool:
        """Take note of a validation loss, and return whether it is the best so far."""
        better = loss < self.loss
        if better:
            self.loss, self.epochs_since = loss, 0
            self._state = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        else:
            self.epochs_since += 1
        return better

    @property
    def should_stop(self) -> bool:
        """True once as many losses as the patience allows have not been better."""
        return self._patience is not None and 0 < self.epochs_since >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Return the best parameters, their loss and the losses since; those of the module are not among them."""
        return {"best": self._state, "loss": self.loss, "epochs_since": self.epochs_since}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        own = self._module.state_dict()
        self._state = {name: value.to(own[name].device) for name, value in state["best"].items()}
        self.loss, self.epochs_since = state["loss"], state["epochs_since"]

    @contextmanager
    def diverging_kept(self, recorder: Recorder) -> Iterator[None]:
        """Context of training that ends where it diverges, if there are best parameters to keep.

        A :class:`~irecgan_gym.models.health.TrainingWarning` says so, and ``PHASE/diverged`` is 1.

        Args:
            recorder: receives it.

        Raises:
            NumericalError: training diverged before there were any.
        """
        try:
            yield
        except NumericalError as error:
            if not self._state:
                raise
            warnings.warn(f"{error}. The best parameters before that are kept", TrainingWarning, stacklevel=3)
            recorder.record({f"{error.phase}/diverged": 1.0}, 0)

    def restore(self, name: str = "validation_loss") -> None:
        """Put the best parameters back.

        Args:
            name: of the losses, for the message.

        Raises:
            NumericalError: no validation loss was a number.
        """
        if not self._state:
            raise NumericalError(name, None, "none of its validation losses was a finite number")
        self._module.load_state_dict(self._state)


class ClippedAdamW:
    """AdamW with clipped gradients, over the parameters of one module.

    Args:
        module: its parameters are updated in place.
        config: step size, weight decay and clipping.
        loss: name under which recorders receive the loss, for errors.
        ranks: processes whose gradients are summed, each of its part of every batch.
    """

    def __init__(self, module: nn.Module, config: FitConfig, loss: str = "train/loss", ranks: Ranks = ALONE) -> None:
        self.ranks = ranks
        self._parameters = list(module.parameters())
        # One pass over parameters, gradients and moments: with a large catalogue, their memory traffic is the cost.
        self._adam = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._max_grad_norm = config.max_grad_norm
        self._health = GradientHealth(loss)

    def step(self, loss: Tensor) -> None:
        """One update down the gradient of ``loss``.

        Raises:
            NumericalError: the loss or its gradient is not finite; the parameters stay as they are. On a GPU, which is
                not waited for, :meth:`mean_norm` raises it.
        """
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.sum_gradients(self._parameters)
        self._clip(loss)
        self._adam.step()

    def mean_norm(self) -> float:
        """Return the mean L2 norm of the gradients since the last call, before they were clipped.

        Raises:
            NumericalError: an update since was left out, for its loss or gradient was not finite.
        """
        return self._health.mean_norm()

    def state_dict(self) -> dict[str, Any]:
        """Return the moments of every parameter, by its number, and the number of updates."""
        moments = {str(number): moments for number, moments in self._adam.state_dict()["state"].items()}
        return {"moments": moments, "health": self._health.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned; step sizes are those of the settings."""
        moments = {int(number): dict(moments) for number, moments in state["moments"].items()}
        self._adam.load_state_dict({**self._adam.state_dict(), "state": moments})
        self._health.load_state_dict(state["health"])

    def _clip(self, loss: Tensor) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        left_out = self._health.look_at(loss, norm)
        if left_out is not None:
            # As gradient scalers do it: where it is 1, the fused kernel changes nothing.
            self._adam.found_inf = left_out  # type: ignore[attr-defined]
        # Gradients that are short enough need no second pass; on a GPU, waiting for the norm would cost more.
        if norm.is_cuda or norm > self._max_grad_norm:
            nn.utils.clip_grads_with_norm_(self._parameters, self._max_grad_norm, norm, foreach=True)


def user_sessions(sessions: Sessions, config: UserModelConfig) -> Sessions:
    """Return sessions as the user model sees them: with the leaving step where users leave, checked against the model.

    Raises:
        ValueError: rewards that the model's law does not have, another catalogue, a user who left in a model without
            leaving, or one who went on without a click.
    """
    if sessions.num_items != config.num_items:
        raise ValueError(f"the sessions have {sessions.num_items} items, the user model {config.num_items}")
    law = reward_law(config.reward_kind, config.reward_bins)
    # Where nothing was clicked, nothing is earned, whatever the law: the likelihood does not ask.
    wrong = np.flatnonzero(law.wrong(sessions.rewards) & ((sessions.clicks < sessions.num_items) | law.has_zero))
    if len(wrong):
        raise ValueError(
            f"rewards[{wrong[0]}] is {sessions.rewards[wrong[0]]}: the user model's rewards are {law.words}"
        )
    skipped = np.flatnonzero(sessions.skipped)
    if len(skipped) and not config.outside_option:
        session = int(sessions.session_of_step[skipped[0]])
        raise ValueError(
            f"{len(skipped)} of {sessions.num_steps} steps have no click and go on (the first in session {session}): "
            "users of this model click at every step until they leave; outside_option=True lets them click nothing and "
            "go on, and policies such as PG learn from such sessions"
        )
    if config.ending == "leave":
        return with_leaving_step(sessions)
    if ((sessions.clicks == sessions.num_items) & ~sessions.skipped).any():
        raise ValueError("in these sessions users leave without a click: use ending='leave'")
    return sessions


def user_model_loss(
    likelihood: LogLikelihood, lambda_p: float, mean_steps: float, weights: Tensor | None = None
) -> Tensor:
    """Return the negative of Eq 3, or with ``weights`` q_D(tau_0:t) a loss whose gradient is minus Eq 7.

    Args:
        likelihood: of every step, [M].
        lambda_p: weight of the reward term.
        mean_steps: divisor of the sum over steps (see :meth:`SessionTensors.mean_steps`).
        weights: weight of every step, [M]; 1 when left out.
    """
    terms = likelihood.click + lambda_p * likelihood.reward
    return -(terms if weights is None else weights * terms).sum() / mean_steps


@torch.no_grad()
def mean_log_likelihood(model: UserModel, batches: Iterable[StepBatch]) -> tuple[float, float]:
    """Return the mean log-likelihood a step of clicks and of rewards, in nats."""
    click = reward = steps = 0.0
    for batch in batches:
        likelihood = model.log_likelihood(batch)
        click += float(likelihood.click.sum())
        reward += float(likelihood.reward.sum())
        steps += len(batch.clicks)
    return click / steps, reward / steps


def user_model_epoch(
    model: UserModel,
    data: BatchSource,
    optimizer: ClippedAdamW,
    config: FitConfig,
    generator: np.random.Generator,
    weights: NDArray[np.float32] | None = None,
) -> float:
    """Train a user model in one pass over the data and return the mean loss a step.

    Args:
        model: trained in place.
        data: real sessions, and generated ones for Eq 7.
        optimizer: updates the model.
        config: batch size, weight of the rewards and precision.
        generator: of the order of batches.
        weights: q_D of Eq 7 for every step of the data, float32 [T]; None for Eq 3, and where batches bring theirs.
    """
    mean_steps = data.mean_steps(config.batch_size)
    weight_column = None if weights is None else torch.from_numpy(weights).to(model.device)
    # Added up on the device: a number would have to be waited for after every batch.
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    for batch in data.shuffled(config.batch_size, generator, optimizer.ranks):
        batch_weights = batch.weights if weight_column is None else weight_column[batch.steps]
        with matrix_precision(config.precision, model.device):
            loss = user_model_loss(model.log_likelihood(batch), config.lambda_p, mean_steps, batch_weights)
        loss = loss * batch.share
        optimizer.step(loss)
        total += loss.detach().double() * mean_steps
    return float(optimizer.ranks.total(total)) / data.num_steps


def split_validation(sessions: LogT, validation: LogT | None, fraction: float, seed: int) -> tuple[LogT, LogT]:
    """Return the sessions to learn from and those held out: a given validation set, or a part of the sessions.

    Args:
        sessions: logged sessions.
        validation: held-out sessions, or None to hold out a part of ``sessions``.
        fraction: share of the sessions that is held out then.
        seed: of the choice of held-out sessions.

    Raises:
        ValueError: too few sessions for both parts to hold one.
    """
    if validation is None:
        sessions, validation = sessions.split((1 - fraction, fraction), seed=seed)
    for name, part in (("training", sessions), ("validation", validation)):
        if len(part) == 0:
            raise ValueError(f"no {name} sessions: give more sessions, or a validation set of your own")
    return sessions, validation


def ending_of(sessions: SessionLog) -> Literal["reward", "leave"]:
    """Return how sessions end, by what they show.

    ``"reward"`` where every step but the last has a reward, the last of a finished session has none, and nobody leaves
    without a click, as in ``RecSim-v0``; ``"leave"`` for everything else, as in click logs.
    """
    if isinstance(sessions, SessionDataset):
        return "leave" if any(ending_of(part) == "leave" for part in sessions) else "reward"
    last = np.zeros(sessions.num_steps, dtype=bool)
    last[sessions.offsets[1:][~sessions.truncated] - 1] = True
    by_reward = (sessions.rewards == np.where(last, 0, 1)).all() and (sessions.clicks < sessions.num_items).all()
    return "reward" if by_reward else "leave"


@torch.inference_mode(False)
@torch.enable_grad()
def fit_user_model(
    training: SessionLog,
    validation: SessionLog | None = None,
    model: UserModel | UserModelConfig | None = None,
    fit: FitConfig | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    validation_fraction: float = 0.1,
    recorder: Recorder = silent,
    schedule: Schedule = Schedule(),  # noqa: B008 (has no state)
    criterion: Callable[[], float] | None = None,
) -> UserModel:
    """Fit a user model to logged sessions by Eq 3 and leave it at its best validation likelihood.

    Args:
        training: sessions to learn from, in memory or on disk
            (:class:`~irecgan_gym.sessions.dataset.SessionDataset`).
        validation: held-out sessions that choose the epoch; a part of ``training`` when None.
        model: a model, which is trained in place; the settings of a new one; or None for a new one of the default
            shape whose sessions end as those of the log do (:func:`ending_of`), and whose users click nothing and go on
            if those of the log do.
        fit: how the model is trained; the defaults of :class:`FitConfig` when None.
        seed: of the parameters of a new model, the choice of held-out sessions and the order of batches.
        device: where a new model goes, ``"auto"``, ``"cpu"``, ``"cuda"``...
        validation_fraction: share of ``training`` that is held out when no validation is given.
        recorder: receives ``user_model/*`` once an epoch.
        schedule: gives the epochs, phase ``user_model``, and may keep checkpoints of them
            (:func:`irecgan_gym.storage.checkpoints.stored_schedule`).
        criterion: number by which epochs are compared in place of the likelihood, asked for after each; the least wins.

    Returns:
        The fitted model, the same object where one was given.

    Raises:
        ValueError: sessions that the model cannot learn from (see :func:`user_sessions`), or too few to hold some out.
    """
    fit = FitConfig() if fit is None else fit
    if model is None:
        skips = any(bool(part.skipped.any()) for part in parts_of(training))
        model = UserModelConfig(training.num_items, training.slate_size, ending_of(training), outside_option=skips)
    if isinstance(model, UserModelConfig):
        model = UserModel.create(model, seed=seed, device=device)
    catalogue = model.catalogue
    for part, name in ((training, "the sessions"), (validation, "the validation sessions")):
        if part is not None:
            catalogue.check_agrees(part.catalogue, "the user model", name)
            catalogue = catalogue.joined(part.catalogue)
    training, validation = split_validation(training, validation, validation_fraction, seed)
    seen_by_model = partial(user_sessions, config=model.config)
    data, held_out = (
        batches_of(part, leave_option=model.leave_option, device=model.device, prepared=seen_by_model)
        for part in (training, validation)
    )
    generator = np.random.default_rng(seed)
    take_log(model, training)
    optimizer = ClippedAdamW(model, fit, "user_model/train_loss", current_ranks())
    best = EarlyStopping(model, fit.patience)
    things: Things = {"model": model, "optimizer": optimizer, "best": best, "generator": generator}
    with best.diverging_kept(recorder):
        for epoch in schedule.steps("user_model", fit.max_epochs, things, until=lambda: best.should_stop):
            train_loss = user_model_epoch(model, data, optimizer, fit, generator)
            norm = optimizer.mean_norm()
            click, reward = mean_log_likelihood(model, held_out.all(fit.batch_size * 4))
            best.update(-(click + fit.lambda_p * reward) if criterion is None else criterion())
            recorder.record(
                {
                    "user_model/train_loss": train_loss,
                    "user_model/grad_norm": norm,
                    "user_model/validation_click_log_likelihood": click,
                    "user_model/validation_reward_log_likelihood": reward,
                },
                epoch,
            )
    best.restore("user_model/train_loss")
    take_log(model, training)
    model.catalogue = catalogue
    return model
