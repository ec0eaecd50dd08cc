"""Jobs that train models of their own go on from their checkpoints, and measure what an unbroken job measures."""

import pytest

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.simulators import Simulators
from irecgan_gym.benchmarks.value_bias import ValueBias
from irecgan_gym.recorder import silent
from tests.stopped import Stopped


def measured(experiment, agent, path):
    folder = RunFolder(path, {}, checkpoint_seconds=0)
    job = Job(experiment.name, agent, "RecSim-v0/random", 20, 0)
    found = experiment.measure(job, silent, folder)
    assert not any(folder.checkpoints.iterdir()), "checkpoints of a job that is over are gone"
    return found


@pytest.mark.parametrize(
    ("kind", "agent", "options", "stops"),
    [
        (ValueBias, "irecgan", {"rounds": 1, "simulated": 5}, 2),
        (Simulators, "lstm", {"eval_sessions": 10}, 1),
        (Simulators, "choice", {"eval_sessions": 10}, 1),
    ],
)
def test_a_stopped_job_goes_on(kind, agent, options, stops, tmp_path, writes):
    experiment = kind(out=tmp_path, env=("RecSim-v0",), logging_policy=("random",), sessions=(20,), seeds=1, **options)
    unbroken = measured(experiment, agent, tmp_path / "unbroken")
    number = len(writes)
    assert number >= 2
    for stop in range(1, stops + 1):
        writes.clear()
        writes.allowed = max(1, number * stop // (stops + 1))
        with pytest.raises(Stopped):
            measured(experiment, agent, tmp_path / str(stop))
        writes.allowed = None
        assert measured(experiment, agent, tmp_path / str(stop)) == unbroken
        assert len(writes) == number, "no step was made twice"
