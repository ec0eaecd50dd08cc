"""An estimate of the logging policy, for logs without propensities."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.kernels.catalogue_softmax import chosen_log_probabilities
from irecgan_gym.models.batches import SessionTensors, StepBatch
from irecgan_gym.models.fitting import ClippedAdamW, EarlyStopping, FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.streams import batches_of
from irecgan_gym.recorder import Recorder, silent
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.storage.schedule import Schedule
from irecgan_gym.storage.states import Things


def shown_log_likelihood(model: SlatePolicy, batch: StepBatch) -> Tensor:
    """Mean of log beta(i | s_t) over the items of each shown slate, [M] (differentiable)."""
    hidden, rows = model.encoder.distinct(batch)
    items = batch.slates.where(batch.slate_mask, 0)
    shown = chosen_log_probabilities(
        hidden, model.head.weight, model.head.bias, items.flatten(), rows.repeat_interleave(items.shape[1])
    )
    return (shown.view(items.shape) * batch.slate_mask).sum(1) / batch.slate_mask.sum(1)


@torch.inference_mode(False)
@torch.enable_grad()
def fit_logging_policy(
    model: SlatePolicy,
    training: SessionLog,
    validation: SessionLog,
    config: FitConfig,
    *,
    generator: np.random.Generator,
    recorder: Recorder = silent,
    schedule: Schedule = Schedule(),  # noqa: B008 (has no state)
) -> None:
    """Fit beta(i | s_t), the chance of item i at a random place of the slate, by likelihood of all slates shown.

    Args:
        model: trained in place, left at its best held-out likelihood.
        training: sessions whose slates the logging policy has shown.
        validation: held-out sessions.
        config: how.
        generator: of the order of batches.
        recorder: receives ``logging_policy/*`` once an epoch.
        schedule: gives the epochs, phase ``logging_policy``.
    """
    data, held_out = (batches_of(part, leave_option=False, device=model.device) for part in (training, validation))
    optimizer = ClippedAdamW(model, config, "logging_policy/loss")
    best = EarlyStopping(model, config.patience)
    mean_steps = data.mean_steps(config.batch_size)
    things: Things = {"model": model, "optimizer": optimizer, "best": best, "generator": generator}
    with best.diverging_kept(recorder):
        for epoch in schedule.steps("logging_policy", config.max_epochs, things, until=lambda: best.should_stop):
            for batch in data.shuffled(config.batch_size, generator):
                optimizer.step(-shown_log_likelihood(model, batch).sum() / mean_steps)
            norm = optimizer.mean_norm()
            with torch.no_grad():
                likelihood = sum(
                    float(shown_log_likelihood(model, batch).sum()) for batch in held_out.all(config.batch_size)
                )
            likelihood /= validation.num_steps
            best.update(-likelihood)
            recorder.record(
                {"logging_policy/grad_norm": norm, "logging_policy/validation_log_likelihood": likelihood}, epoch
            )
    best.restore("logging_policy/loss")


@torch.no_grad()
def estimated_propensities(model: SlatePolicy, sessions: Sessions, batch_size: int) -> NDArray[np.float32]:
    """Estimated probability that the clicked item is in the slate, k beta(c_t | s_t), at most 1; float32 [T].

    NaN where the user left without a click.
    """
    propensities = np.full(sessions.num_steps, np.nan, dtype=np.float32)
    for batch in SessionTensors(sessions, leave_option=False, device=model.device).all(batch_size):
        chance = batch.slate_mask.sum(1) * model.click_log_probabilities(batch).exp()
        chance = chance.clamp(max=1.0).masked_fill(batch.clicks == sessions.num_items, torch.nan)
        propensities[batch.steps.cpu().numpy()] = chance.cpu().numpy()
    return propensities
