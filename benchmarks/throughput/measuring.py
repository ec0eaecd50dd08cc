"""All measurements of a run, one after the other, each in a process of its own."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from rich.console import Console

from irecgan_gym.benchmarks.throughput.arithmetic import Cost
from irecgan_gym.benchmarks.throughput.environments import (
    CARTPOLE,
    RECSIM,
    SARDINE,
    Actions,
    EnvTask,
    measure_env,
    sardine_is_installed,
)
from irecgan_gym.benchmarks.throughput.growth import GrowthTask, Series, fit_law, measure_growth
from irecgan_gym.benchmarks.throughput.growth_plots import MeasuredSeries
from irecgan_gym.benchmarks.throughput.isolation import Isolated, run_isolated
from irecgan_gym.benchmarks.throughput.machine import Rates, RateTask, measure_rates
from irecgan_gym.benchmarks.throughput.phases import (
    GENERATION_PHASES,
    TRAINING_PHASES,
    GenerationPhase,
    GenerationTask,
    PhaseResult,
    TrainingPhase,
    TrainingTask,
    UserModelTask,
    fit_for_generation,
    measure_generation,
    measure_training,
)
from irecgan_gym.benchmarks.throughput.plain_phases import PlainTask, measure_plain
from irecgan_gym.benchmarks.throughput.rows import SpeedRow, number
from irecgan_gym.benchmarks.throughput.shapes import Shape
from irecgan_gym.kernels.low_precision import Precision
from irecgan_gym.models.building import resolve_device

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

PLAIN = "plain PyTorch"
_SPEED = "sessions/s"
_ENV_ROUNDS = 3


@dataclass
class Measuring:
    """Settings of measurements, and the measurements made so far.

    Attributes:
        device: where phases run.
        threads: of torch.
        seconds: least time of a measurement.
        rate_task: how the machine's rates are measured.
        rates: the best that were measured, by number of threads.
        console: where progress is told.
        rows: what was measured.
        series: what was measured along an axis.
        notes: what a reader of the tables must know.
    """

    device: str
    threads: int
    seconds: float
    rate_task: RateTask
    console: Console
    rates: dict[int, Rates] = field(default_factory=dict)
    rows: list[SpeedRow] = field(default_factory=list)
    series: list[MeasuredSeries] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def threads_for(self, shape: Shape) -> int:
        """Threads that a shape's phases use."""
        return self.threads if shape.most_threads is None else min(self.threads, shape.most_threads)

    def isolated(
        self, label: str, function: Callable[[TaskT], ResultT], task: TaskT, threads: int | None = None
    ) -> Isolated[ResultT]:
        """Run one measurement and say so meanwhile; ``threads`` other than the run's own where they are given."""
        with self.console.status(label):
            return run_isolated(function, task, threads=threads or self.threads)

    def measure_rates(self, threads: int) -> None:
        """Measure the machine's rates once more; the best count."""
        now = self.isolated("rates of the machine", measure_rates, self.rate_task, threads).value
        self.rates[threads] = self.rates[threads].best(now) if threads in self.rates else now

    def with_limits(self) -> list[SpeedRow]:
        """The rows with their shares of the limit, by the rates known at last."""
        return [
            row
            if row.flops is None or row.bytes is None or row.threads is None
            else replace(
                row,
                limit_fraction=row.value * self.rates[row.threads].limit(Cost(row.flops, row.bytes), row.precision),
            )
            for row in self.rows
        ]

    def add(self, row: SpeedRow) -> None:
        """Keep a measurement and tell it."""
        self.rows.append(row)
        batch = "" if row.batch is None else f", {row.batch:,} at a time"
        ratio = "" if row.ratio is None else f" ({number(row.ratio)} times {row.compared_with})"
        self.console.print(f"{row.name}, {row.shape}{batch}: {number(row.value)} {row.unit}{ratio}", highlight=False)


def measure_environments(measuring: Measuring, vector_sizes: Sequence[int]) -> None:
    """Steps a second of RecSim-v0 against CartPole-v1 in the same modes, and against SARDINE's single env."""
    for num_envs in (None, *vector_sizes):
        seconds = measuring.seconds / 2
        others = [EnvTask(CARTPOLE, num_envs, seconds=seconds)]
        if num_envs is None and sardine_is_installed():
            others.append(EnvTask(SARDINE, None, "uniform", seconds))
        _compare_environments(measuring, num_envs, others)
    if not sardine_is_installed():
        measuring.notes.append("SARDINE is not installed (`pip install sardine-rec`), so nothing stands beside it.")


def measure_sb3_rollouts(measuring: Measuring, num_envs: int) -> None:
    """Steps a second under Stable-Baselines3's PPO: the native vector env against as many single envs."""
    if importlib.util.find_spec("stable_baselines3") is None:
        measuring.notes.append("Stable-Baselines3 is not installed (`pip install 'irecgan-gym[sb3]'`): no roll-outs.")
        return
    # The module imports that library.
    from irecgan_gym.benchmarks.throughput.sb3_rollouts import RolloutTask, measure_rollouts

    native, singles = (RolloutTask(kind, num_envs, measuring.seconds / 2) for kind in (True, False))
    rounds = [
        {task: measuring.isolated("roll-outs of PPO", measure_rollouts, task, threads=1) for task in (native, singles)}
        for _ in range(_ENV_ROUNDS)
    ]
    measuring.add(
        SpeedRow(
            group="environments",
            name=f"{RECSIM}, scores, roll-outs of SB3's PPO",
            shape="NativeVecEnv",
            batch=num_envs,
            precision="",
            threads=1,
            value=median(results[native].value for results in rounds),
            unit="steps/s",
            compared_with="DummyVecEnv",
            baseline=median(results[singles].value for results in rounds),
            ratio=median(results[native].value / results[singles].value for results in rounds),
            peak_memory_mb=max(results[native].peak_memory_mb for results in rounds),
        )
    )


def _compare_environments(measuring: Measuring, num_envs: int | None, others: Sequence[EnvTask]) -> None:
    """Measure all tasks in turn, some rounds over, so that a slow moment of the machine meets all of them."""
    kinds: tuple[Actions, ...] = ("distinct", "uniform")
    tasks = [*others, *(EnvTask(RECSIM, num_envs, actions, others[0].seconds) for actions in kinds)]
    rounds = [{task: measuring.isolated(task.env_id, measure_env, task) for task in tasks} for _ in range(_ENV_ROUNDS)]
    mode = "single env" if num_envs is None else "vector env"

    def row(task: EnvTask, name: str, baseline: EnvTask | None) -> SpeedRow:
        ratios = [] if baseline is None else [results[task].value / results[baseline].value for results in rounds]
        return SpeedRow(
            group="environments",
            name=name,
            shape=mode,
            batch=num_envs,
            precision="",
            threads=None,
            value=median(results[task].value for results in rounds),
            unit="steps/s",
            compared_with="" if baseline is None else baseline.env_id,
            baseline=None if baseline is None else median(results[baseline].value for results in rounds),
            ratio=median(ratios) if ratios else None,
            peak_memory_mb=max(results[task].peak_memory_mb for results in rounds),
        )

    for other in others:
        measuring.add(row(other, other.env_id, None))
    for task in tasks[len(others) :]:
        for other in others:
            measuring.add(row(task, f"{RECSIM}, {task.actions} slates", other))


def measure_training_phases(
    measuring: Measuring, shape: Shape, batch_sizes: Sequence[int], precisions: Sequence[Precision]
) -> None:
    """Sessions a second of each phase of training."""
    threads = measuring.threads_for(shape)
    measuring.measure_rates(threads)
    for phase in TRAINING_PHASES:
        plain = _plain(measuring, shape, phase, None)
        for precision in precisions:
            for batch_size in batch_sizes:
                task = TrainingTask(shape, phase, batch_size, precision, measuring.device, measuring.seconds)
                done = measuring.isolated(f"{phase}, {shape.name}, {batch_size}", measure_training, task, threads)
                measuring.add(_row(measuring, "training", shape, phase, batch_size, precision, done, plain))


def measure_generation_phases(
    measuring: Measuring, shape: Shape, counts: dict[GenerationPhase, int], precisions: Sequence[Precision]
) -> None:
    """Sessions a second of generation, ``counts`` sessions at once, by a user model fitted for the purpose."""
    threads = measuring.threads_for(shape)
    measuring.measure_rates(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "user_model.safetensors"
        fit = UserModelTask(shape, path, measuring.device)
        measuring.isolated(f"fitting a user model, {shape.name}", fit_for_generation, fit, threads)
        for phase in GENERATION_PHASES:
            plain = _plain(measuring, shape, phase, path)
            for precision in precisions:
                task = GenerationTask(shape, phase, counts[phase], path, precision, measuring.device, measuring.seconds)
                done = measuring.isolated(f"{phase}, {shape.name}", measure_generation, task, threads)
                measuring.add(_row(measuring, "generation", shape, phase, counts[phase], precision, done, plain))
                measuring.notes.append(
                    f"{shape.name}, {phase}, {precision}: sessions have {done.value.mean_length:.1f} steps on average."
                )


def _plain(
    measuring: Measuring, shape: Shape, phase: TrainingPhase | GenerationPhase, user_model: Path | None
) -> Isolated[float]:
    task = PlainTask(shape, phase, user_model, measuring.device, measuring.seconds)
    threads = measuring.threads_for(shape)
    done = measuring.isolated(f"{phase} in plain PyTorch, {shape.name}", measure_plain, task, threads)
    group = "training" if phase in TRAINING_PHASES else "generation"
    measuring.add(
        SpeedRow(
            group,
            f"{phase}, {PLAIN}",
            shape.name,
            1,
            "float32",
            threads,
            done.value,
            _SPEED,
            peak_memory_mb=done.peak_memory_mb,
        )
    )
    return done


def _row(
    measuring: Measuring,
    group: str,
    shape: Shape,
    phase: TrainingPhase | GenerationPhase,
    batch: int,
    precision: Precision,
    done: Isolated[PhaseResult],
    plain: Isolated[float],
) -> SpeedRow:
    speed, threads = done.value.sessions_per_second, measuring.threads_for(shape)
    computed = None
    if resolve_device(measuring.device).type == "cpu":
        computed = done.value.processor_seconds / (done.value.seconds * threads)
    return SpeedRow(
        group=group,
        name=phase,
        shape=shape.name,
        batch=batch,
        precision=precision,
        threads=threads,
        value=speed,
        unit=_SPEED,
        compared_with=PLAIN,
        baseline=plain.value,
        ratio=speed / plain.value,
        flops=done.value.cost.flops / done.value.sessions,
        bytes=done.value.cost.bytes / done.value.sessions,
        processor_share=computed,
        peak_memory_mb=done.peak_memory_mb,
    )


def measure_growth_series(measuring: Measuring, all_series: Sequence[Series]) -> None:
    """Cost along each axis, and how well the law fits."""
    for series in all_series:
        done = []
        for size in series.sizes:
            task = GrowthTask(series, size, measuring.device, measuring.seconds / 2)
            # One thread: the networks are small, and threads that wait for one another blur the curve.
            label = f"{series.phase}, {series.axis} {size:,}"
            done.append(measuring.isolated(label, measure_growth, task, threads=1))
            measuring.add(
                SpeedRow(
                    "growth",
                    series.phase,
                    f"{series.axis} {size:,}",
                    None,
                    "float32",
                    1,
                    done[-1].value,
                    f"s/{series.per}",
                    peak_memory_mb=done[-1].peak_memory_mb,
                )
            )
        costs = tuple(result.value for result in done)
        memory = tuple(result.peak_memory_mb for result in done)
        measuring.series.append(MeasuredSeries(series, costs, memory, fit_law(series, costs)))
