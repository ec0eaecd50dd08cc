"""Recorders of the numbers of training: a line in the terminal, TensorBoard, W&B, MLflow, or an object of your own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO


class Recorder(Protocol):
    """Receives named numbers while something trains; anything with this one method is a recorder.

    Names are paths such as ``train/policy_loss``, ``disc/accuracy`` or ``user_model/validation_click_log_likelihood``;
    the part before the slash is the component. ``step`` counts epochs or rounds within that component. All names are in
    :data:`irecgan_gym.logged_metrics.LOGGED_METRICS`, with unit, equation and healthy range.
    """

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Take note of some numbers that belong to the same step."""


class SilentRecorder:
    """Recorder that takes no note of anything."""

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Drop the numbers."""


silent = SilentRecorder()


class Recorders:
    """Recorder that hands everything on to several others.

    Args:
        *recorders: the others, in the order in which they receive the numbers.
    """

    def __init__(self, *recorders: Recorder) -> None:
        self._recorders = recorders

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Hand the numbers on."""
        for recorder in self._recorders:
            recorder.record(values, step)


class ProgressRecorder:
    """Recorder that shows on one line of a terminal how far training is, and its last numbers.

    Where the output is no terminal, every component gets a line whenever it reports. Nothing else is needed.

    Args:
        output: where to write; standard error when None.
        names: most numbers shown at a time.
    """

    def __init__(self, output: TextIO | None = None, *, names: int = 3) -> None:
        self._output = sys.stderr if output is None else output
        self._names = names
        self._width = 0

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Show the first few numbers."""
        if not values:
            return
        component = next(iter(values)).partition("/")[0]
        shown = [f"{name.partition('/')[2]} {value:.4g}" for name, value in list(values.items())[: self._names]]
        line = f"{component} {step}: {', '.join(shown)}"
        if self._output.isatty():
            self._output.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            self._output.write(f"{line}\n")
        self._output.flush()

    def close(self) -> None:
        """End the line."""
        if self._width:
            self._output.write("\n")
            self._output.flush()
            self._width = 0


class TensorBoardRecorder:
    """Recorder that writes event files for TensorBoard.

    Args:
        folder: of the event files.

    Raises:
        ImportError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        module = _load("torch.utils.tensorboard", "tensorboard")
        # Written often enough to watch.
        self._writer = module.SummaryWriter(str(folder), flush_secs=10)

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Write every number as a scalar."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left and close the files."""
        self._writer.close()


class WandbRecorder:
    """Recorder that logs to a run of Weights & Biases; each component has an axis of its own, ``COMPONENT/step``.

    Args:
        run: a run that was begun by ``wandb.init``; one is begun when None.
        **options: arguments of ``wandb.init``, such as ``project``.

    Raises:
        ImportError: Weights & Biases is not installed.
        ValueError: options together with a run.
    """

    def __init__(self, run: Any = None, **options: Any) -> None:
        if run is not None and options:
            raise ValueError(f"options are for a run that the recorder begins, got a run and {sorted(options)}")
        self._run = _load("wandb", "wandb").init(**options) if run is None else run
        self._components: set[str] = set()

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Log the numbers; components count their own steps, so none is the run's step."""
        steps = {}
        for component in {name.partition("/")[0] for name in values}:
            if component not in self._components:
                self._components.add(component)
                self._run.define_metric(f"{component}/*", step_metric=f"{component}/step")
            steps[f"{component}/step"] = step
        self._run.log({**values, **steps})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class MLflowRecorder:
    """Recorder that logs to MLflow's active run, or to the run of an id.

    Args:
        run_id: the run; the active one, which MLflow begins where there is none, when None.

    Raises:
        ImportError: MLflow is not installed.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self._mlflow = _load("mlflow", "mlflow")
        self._run_id = run_id

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Log the numbers, ``@`` in a name as ``_at_``, which MLflow allows."""
        metrics = {name.replace("@", "_at_"): float(value) for name, value in values.items()}
        if self._run_id is None:
            self._mlflow.log_metrics(metrics, step=step)
        else:
            self._mlflow.log_metrics(metrics, step=step, run_id=self._run_id)


def _load(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{error}; this recorder needs: pip install {package}") from error
