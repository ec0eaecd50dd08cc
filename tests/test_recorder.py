"""Recorders: what reaches a terminal, TensorBoard, Weights & Biases and MLflow; and the table of all logged numbers."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from irecgan_gym.evaluation import Fidelity
from irecgan_gym.logged_metrics import LOGGED_METRICS
from irecgan_gym.recorder import (
    MLflowRecorder,
    ProgressRecorder,
    Recorders,
    TensorBoardRecorder,
    WandbRecorder,
    silent,
)
from tests.golden.runs import FILE, Tape

VALUES = {"train/policy_loss": 0.123456, "train/validation_loss": 2.0, "train/value_error": 3.0, "train/more": 4.0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_one_line():
    output = Terminal()
    recorder = ProgressRecorder(output, names=2)
    recorder.record(VALUES, 3)
    recorder.record({"disc/loss": 1.0}, 0)
    recorder.record({}, 1)
    recorder.close()
    recorder.close()
    first, second = "train 3: policy_loss 0.1235, validation_loss 2", "disc 0: loss 1"
    # The second line hides the first one whole.
    assert output.getvalue() == f"\r{first}\r{second.ljust(len(first))}\n"


def test_progress_in_a_file_is_lines():
    output = io.StringIO()
    recorder = ProgressRecorder(output, names=1)
    recorder.record(VALUES, 0)
    recorder.record(VALUES, 1)
    recorder.close()
    assert output.getvalue() == "train 0: policy_loss 0.1235\ntrain 1: policy_loss 0.1235\n"


def test_several_recorders_receive_the_same():
    first, second = Tape(), Tape()
    Recorders(first, silent, second).record(VALUES, 2)
    assert first.rows == second.rows == [(2, name, value) for name, value in VALUES.items()]


def test_tensorboard(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recorder = TensorBoardRecorder(tmp_path)
    recorder.record({"train/policy_loss": 0.5}, 1)
    recorder.record({"train/policy_loss": 0.25}, 2)
    recorder.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/policy_loss")] == [(1, 0.5), (2, 0.25)]


class FakeRun:
    def __init__(self):
        self.logged, self.axes, self.finished = [], [], False

    def define_metric(self, name, step_metric):
        self.axes.append((name, step_metric))

    def log(self, values):
        self.logged.append(values)

    def finish(self):
        self.finished = True


def test_wandb_begins_a_run_and_gives_components_their_own_steps(monkeypatch):
    run, asked = FakeRun(), []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **options: asked.append(options) or run))
    recorder = WandbRecorder(project="slates")
    recorder.record({"train/policy_loss": 0.5}, 7)
    recorder.record({"train/policy_loss": 0.25}, 8)
    recorder.record({"disc/loss": 1.0}, 0)
    recorder.close()
    assert asked == [{"project": "slates"}]
    assert run.axes == [("train/*", "train/step"), ("disc/*", "disc/step")]
    assert run.logged == [
        {"train/policy_loss": 0.5, "train/step": 7},
        {"train/policy_loss": 0.25, "train/step": 8},
        {"disc/loss": 1.0, "disc/step": 0},
    ]
    assert run.finished
    with pytest.raises(ValueError, match=r"got a run and \['project'\]"):
        WandbRecorder(run, project="slates")


def test_mlflow_logs_to_the_active_run_or_to_one_by_id(monkeypatch):
    calls = []
    fake = SimpleNamespace(log_metrics=lambda metrics, **options: calls.append((metrics, options)))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    MLflowRecorder().record({"p@1/top-k": 0.5}, 3)
    MLflowRecorder("abc").record({"disc/loss": 1}, 4)
    assert calls == [
        ({"p_at_1/top-k": 0.5}, {"step": 3}),
        ({"disc/loss": 1.0}, {"step": 4, "run_id": "abc"}),
    ]


@pytest.mark.parametrize(
    ("make", "module", "package"),
    [
        (lambda: TensorBoardRecorder("events"), "torch.utils.tensorboard", "tensorboard"),
        (WandbRecorder, "wandb", "wandb"),
        (MLflowRecorder, "mlflow", "mlflow"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, make, module, package):
    # None in its place makes the import fail.
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        make()


def test_every_reported_number_is_in_the_table():
    names = [metric.name for metric in LOGGED_METRICS]
    assert len(set(names)) == len(names)
    golden = json.loads(FILE.read_text())
    reported = {name for run in golden.values() for _, name, _ in run["reported"]}
    assert reported - set(names) == set()
    # And nothing is in it that no training reports; online updates have no golden run, and golden runs do not diverge.
    diverged = {f"{phase}/diverged" for phase in ("user_model", "train", "logging_policy", "disc", "adversarial")}
    assert set(names) - reported == {"online/policy_loss"} | diverged
    assert {f"fidelity/{name}" for name in Fidelity.__dataclass_fields__} <= set(names)
    for metric in LOGGED_METRICS:
        assert all((metric.unit, metric.meaning, metric.healthy))
