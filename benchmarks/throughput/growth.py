"""Cost against one size at a time, and whether it grows as the algorithm says it should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import nnls

from irecgan_gym.benchmarks.throughput.phases import (
    GENERATION_PHASES,
    TRAINING_PHASES,
    agent_epoch,
    discriminator_epoch,
    generate_plainly,
    generate_with_scores,
    user_epoch,
)
from irecgan_gym.benchmarks.throughput.shapes import Method, Networks, Shape, networks
from irecgan_gym.benchmarks.throughput.synthetic_logs import LogShape
from irecgan_gym.benchmarks.throughput.timing import time_calls
from irecgan_gym.models.building import resolve_device
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig

Axis = Literal["items", "sessions", "session length", "slate size", "roll-outs"]
Phase = Literal["agent", "user model", "discriminator", "generation", "adversarial"]

# So long a mean that all sessions are cut, at the same length.
_NEVER_LEAVES = 1e9
_ROLLOUTS = 5  # Where they are not what grows.


@dataclass(frozen=True)
class Series:
    """One phase along one axis.

    Attributes:
        axis: what grows.
        phase: whose cost is measured.
        sizes: values of the axis, increasing.
        per: what the cost is counted for, ``"session"`` or ``"epoch"``.
        law: how the cost should grow, in n items, l steps, k items of a slate or N roll-outs.
        reason: why, where it needs saying.
        exponent: power of the size that the cost approaches.
    """

    axis: Axis
    phase: Phase
    sizes: tuple[int, ...]
    per: Literal["session", "epoch"]
    law: str
    exponent: int = 1
    reason: str = ""

    def work(self, size: float) -> float:
        """The part of the cost that grows, up to a factor."""
        if self.axis == "session length" and self.phase == "adversarial":
            return size + _ROLLOUTS * size * (size - 1) / 2
        return size**self.exponent


_SOFTMAX = "softmax over the catalogue"
_TABLE = "the optimizer goes over the whole embedding table once a batch"
_ITEMS = (50, 1_000, 10_000, 100_000, 1_000_000)
_SESSIONS = (1_024, 4_096, 16_384, 65_284)
_SLATES = (10, 50, 250, 1_000)
FULL: tuple[Series, ...] = (
    Series("items", "agent", _ITEMS, "session", "constant + n", reason=_SOFTMAX),
    Series("items", "user model", _ITEMS, "session", "constant + n", reason=_TABLE),
    Series("items", "generation", _ITEMS, "session", "constant + n", reason=_SOFTMAX),
    Series("sessions", "agent", _SESSIONS, "epoch", "constant + sessions"),
    Series("sessions", "user model", _SESSIONS, "epoch", "constant + sessions"),
    Series("session length", "agent", (2, 8, 32, 128), "session", "constant + l"),
    Series("session length", "user model", (2, 8, 32, 128), "session", "constant + l"),
    Series("session length", "adversarial", (2, 4, 8, 16, 32), "session", "constant + l + N l (l - 1) / 2", 2),
    Series("slate size", "user model", _SLATES, "session", "constant + k"),
    Series("slate size", "discriminator", _SLATES, "session", "constant + k"),
    Series("slate size", "generation", _SLATES, "session", "constant + k"),
    Series("roll-outs", "adversarial", (1, 2, 5, 10, 20, 50), "session", "constant + N"),
)
SMOKE: tuple[Series, ...] = (
    Series("items", "agent", (50, 100), "session", "constant + n"),
    Series("roll-outs", "adversarial", (1, 2), "session", "constant + N"),
)


@dataclass(frozen=True)
class GrowthTask:
    """One point of a series.

    Attributes:
        series: phase and axis.
        size: where on the axis.
        device: where it is computed.
        seconds: least time of the measurement.
    """

    series: Series
    size: int
    device: str
    seconds: float


@dataclass(frozen=True)
class GrowthLaw:
    """A fit of cost = fixed + factor * work(size) to measured costs, both at least 0.

    Attributes:
        fixed: seconds that do not grow.
        factor: seconds for each unit of work.
        worst: largest relative distance of a measured cost from the fit.
        slope: growth on log-log axes between the last two points.
        expected_slope: the same of the fit.
    """

    fixed: float
    factor: float
    worst: float
    slope: float
    expected_slope: float


def growth_shape(series: Series, size: int) -> Shape:
    """A small world in which one size is given.

    Networks are small so that what grows is not hidden behind them: one LSTM layer of 64, embeddings of 16, or a layer
    of 32 where the catalogue grows (a million items would need several GB for their Adam moments otherwise).
    """
    hidden, num_items, length, slate, sessions, rollouts = 64, 1_000, 4, 10, 256, _ROLLOUTS
    if series.axis == "items":
        # Fewer sessions where each costs more.
        hidden, num_items, sessions = 32, size, 256 if size <= 10_000 else 64
        if series.phase == "generation":
            sessions //= 4
    elif series.axis == "sessions":
        sessions, num_items = size, 50
    elif series.axis == "session length":
        length, sessions = size, 128 if series.phase != "adversarial" else 32
    elif series.axis == "slate size":
        slate, num_items, sessions = size, 10_000, 64
    else:
        rollouts, sessions = size, 32
    encoder = EncoderConfig(hidden_size=hidden, embedding_size=16)
    config = Method(encoder, "leave", FitConfig(), num_rollouts=rollouts)
    log = LogShape(num_items, mean_length=_NEVER_LEAVES, longest=length, slate_sizes=(slate, slate))
    return Shape(f"{series.axis} {size:,}", log, sessions, slate, config)


def measure_growth(task: GrowthTask) -> float:
    """Seconds a session, or an epoch, at one point of a series; the fastest of some runs."""
    series, device = task.series, resolve_device(task.device)
    shape = growth_shape(series, task.size)
    models = networks(shape, device)
    run = _generation(models, shape, series) if series.phase in GENERATION_PHASES else _epoch(models, shape, series)
    run()
    seconds = time_calls(run, task.seconds, device).best
    return seconds if series.per == "epoch" else seconds / shape.num_sessions


def _epoch(models: Networks, shape: Shape, series: Series) -> Callable[[], object]:
    make = dict(zip(TRAINING_PHASES, (agent_epoch, user_epoch, discriminator_epoch), strict=True))
    batch_size = 256 if series.axis == "sessions" else 32
    return make[series.phase](models, shape.sessions(seed=0), shape, batch_size, "float32")  # type: ignore[index]


def _generation(models: Networks, shape: Shape, series: Series) -> Callable[[], object]:
    never_leaves(models)
    assert shape.log is not None
    longest = shape.log.longest
    generate = generate_plainly if series.phase == "generation" else generate_with_scores
    return lambda: generate(models, shape.config, longest, shape.num_sessions, 0)


@torch.no_grad()
def never_leaves(models: Networks) -> None:
    """Change the user model's click head so that "no click" has next to no chance: all sessions are cut."""
    user = models.user_model
    no_click = user.encoder.embedding.weight[user.config.num_items]
    user.click_head.weight.zero_()
    user.click_head.bias.copy_(-30 * len(no_click) ** 0.5 * no_click / no_click.square().sum())


def fit_law(series: Series, costs: Sequence[float]) -> GrowthLaw:
    """Fit the law that a series should follow, weighing relative errors.

    Args:
        series: with as many sizes as there are costs.
        costs: seconds, in the order of sizes.
    """
    measured = np.asarray(costs, dtype=float)
    work = np.array([series.work(size) for size in series.sizes])
    design = np.stack([np.ones_like(work), work], axis=1)
    (fixed, factor), _ = nnls(design / measured[:, None], np.ones_like(measured))
    worst = float(np.abs((fixed + factor * work) / measured - 1).max())
    stretch = np.log(series.sizes[-1] / series.sizes[-2])
    slopes = [float(np.log(ends[1] / ends[0]) / stretch) for ends in (measured[-2:], (fixed + factor * work)[-2:])]
    return GrowthLaw(float(fixed), float(factor), worst, *slopes)
