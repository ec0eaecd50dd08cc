"""Training that was stopped and goes on gives what an unbroken one gives, to the bit."""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import replace

import gymnasium as gym
import pytest
import torch

from irecgan_gym.agents import AGENT_NAMES
from irecgan_gym.agents.online import OnlineLearner, learn_in_rounds
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.storage import checkpoints
from irecgan_gym.storage.checkpoints import (
    CheckpointError,
    Checkpoints,
    CheckpointWarning,
    stored_schedule,
)
from irecgan_gym.storage.interruption import TrainingStopped
from tests.agents.test_online import learner_of
from tests.agents.test_training_loops import agent_of
from tests.golden.runs import Tape
from tests.stopped import Stopped


@pytest.fixture(scope="module")
def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=12, slate_size=3).unwrapped.collect(20, seed=0)


def everything(agent, tape):
    """Weights, treatment and recorded rows, to be compared to the bit."""
    weights = {
        f"{name}.{key}": value.numpy().tobytes()
        for name, network in agent.networks().items()
        for key, value in network.state_dict().items()
    }
    return weights, agent.treatment, repr(tape.rows)


CHANGES = {
    "pg": {"selection": "objective", "fit": FitConfig(max_epochs=6, patience=1, batch_size=16, learning_rate=0.1)},
    "pgis": {"propensities": "estimated", "logging_policy_fit": FitConfig(max_epochs=3, batch_size=16)},
    "pgu": {"generated_pool": 12},
    "acu": {"generated_pool": 12, "selection": "objective"},
    "irecgan": {"generated_pool": 12, "likelihood_epochs": 1},
}


def learned(kind, sessions, resume=None):
    agent, tape = agent_of(kind, sessions, **CHANGES.get(kind, {})), Tape()
    agent.learn(sessions, recorder=tape, resume=resume)
    return everything(agent, tape)


@pytest.mark.parametrize("kind", AGENT_NAMES)
def test_stopped_after_any_checkpoint_training_goes_on_to_the_same_end(kind, log, writes, tmp_path):
    unbroken = learned(kind, log)
    place = Checkpoints(tmp_path / "whole", seconds=0)
    assert learned(kind, log, place) == unbroken
    number = len(writes)
    assert number >= 2
    # Once more from a finished folder: nothing is learned again.
    assert learned(kind, log, place) == unbroken
    assert len(writes) == number
    # LSTMD learns by IRecGAN's algorithm, in a folder inside of its own.
    for allowed in range(3 if kind == "lstmd" else 1, number, 4 if kind == "lstmd" else 1):
        place = Checkpoints(tmp_path / str(allowed), seconds=0)
        writes.clear()
        writes.allowed = allowed
        with pytest.raises(Stopped):
            learned(kind, log, place)
        writes.allowed = None
        assert learned(kind, log, place) == unbroken
        assert len(writes) == number, "no step was made twice"


def test_a_training_goes_through_its_phases_by_name(log, writes, tmp_path):
    learned("irecgan", log, Checkpoints(tmp_path, seconds=0))
    assert writes == [
        *(
            (phase, position, position == 2)
            for phase in ("user_model", "policy", "discriminator")
            for position in (1, 2)
        ),
        *(("rounds", position, position == 3) for position in (2, 3)),
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *(f"{phase}.safetensors" for phase in ("discriminator", "policy", "rounds")),
        "training.json",
        "user_model.safetensors",
    ]


def test_phases_that_were_over_before_the_first_checkpoint_are_kept_with_it(log, writes, tmp_path, monkeypatch):
    unbroken = learned("irecgan", log)
    # A clock that goes a second a look: what comes before the sixth look waits.
    clock = iter(range(1000))
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: float(next(clock)))
    writes.allowed = 4
    with pytest.raises(Stopped):
        learned("irecgan", log, Checkpoints(tmp_path, seconds=7))
    assert writes == [("user_model", 2, True), ("policy", 2, True), ("discriminator", 2, True), ("rounds", 2, False)]
    writes.allowed = None
    assert learned("irecgan", log, tmp_path) == unbroken


def test_short_trainings_write_nothing_but_what_they_are(log, writes, tmp_path):
    learned("irecgan", log, tmp_path)
    assert writes == []
    assert [file.name for file in tmp_path.iterdir()] == ["training.json"]


def long_pg(sessions, resume=None, epochs=6):
    agent, tape = agent_of("pg", sessions, fit=FitConfig(max_epochs=epochs, batch_size=16)), Tape()
    agent.learn(sessions, recorder=tape, resume=resume)
    return everything(agent, tape)


def test_so_many_checkpoints_are_kept_and_older_ones_stand_in_for_damaged_ones(log, writes, tmp_path):
    unbroken = long_pg(log)
    writes.allowed = 5
    with pytest.raises(Stopped):
        long_pg(log, Checkpoints(tmp_path, seconds=0, keep=3))
    writes.allowed = None
    files = sorted(tmp_path.glob("policy.*.safetensors"))
    # The fifth was written, and the process gone before the third last was removed.
    assert [int(file.name.split(".")[1]) for file in files] == [3, 4, 5]
    files[-1].write_bytes(files[-1].read_bytes()[:-1] + b"\x01\x02")
    with pytest.warns(CheckpointWarning, match=r"policy\.000000005\.safetensors.*an older checkpoint stands in for it"):
        assert long_pg(log, Checkpoints(tmp_path, seconds=0)) == unbroken


def test_where_all_checkpoints_are_damaged_training_does_not_begin_again_by_itself(log, writes, tmp_path):
    writes.allowed = 2
    with pytest.raises(Stopped):
        long_pg(log, Checkpoints(tmp_path, seconds=0, keep=1))
    writes.allowed = None
    (file,) = tmp_path.glob("policy.*.safetensors")
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"policy\.000000002\.safetensors is not a safetensors file"):
        long_pg(log, tmp_path)
    assert file.read_bytes() == b"nothing"


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def other_sessions(sessions):
    rewards = sessions.rewards.copy()
    rewards[3] = 1 - rewards[3]
    return replace(sessions, rewards=rewards)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda sessions: long_pg_of(sessions, other_sessions(sessions)), "another training: sessions is "),
        (lambda sessions: long_pg_of(sessions, sessions, epochs=7), r"config\.fit\.max_epochs is 6 there, 7 here"),
        (lambda sessions: long_pg_of(sessions, sessions, seed=1), "seed is 0 there, 1 here"),
        (lambda sessions: long_pg_of(sessions, sessions, validation=sessions), 'validation is null there, "'),
        (lambda sessions: long_pg_of(sessions, sessions, lessons=1), "lessons is 0 there, 1 here"),
        (lambda sessions: long_pg_of(sessions, sessions, kind="ac"), 'agent is "PG" there, "AC" here'),
        (lambda sessions: long_pg_of(sessions, sessions, weight=1.0), "networks is "),
    ],
)
def test_another_training_is_refused_and_the_checkpoints_stay(other, message, log, writes, tmp_path):
    writes.allowed = 2
    with pytest.raises(Stopped):
        long_pg_of(log, log)(tmp_path)
    writes.allowed = None
    before = content(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        other(log)(tmp_path)
    assert content(tmp_path) == before


def long_pg_of(known, sessions, *, epochs=6, seed=0, lessons=0, validation=None, kind="pg", weight=None):
    agent = agent_of(kind, known, fit=FitConfig(max_epochs=epochs, batch_size=16))
    agent.seed, agent.lessons = seed, lessons
    if weight is not None:
        with torch.no_grad():
            next(agent.policy.parameters())[0, 0] = weight
    return lambda folder: agent.learn(sessions, validation, resume=Checkpoints(folder, seconds=0))


def test_a_checkpoint_of_another_training_is_refused_in_the_folder_of_this_one(log, writes, tmp_path):
    for number, epochs in enumerate((6, 7)):
        writes.clear()
        writes.allowed = 1
        with pytest.raises(Stopped):
            long_pg(log, Checkpoints(tmp_path / str(number), seconds=0), epochs=epochs)
    writes.allowed = None
    name = "policy.000000001.safetensors"
    (tmp_path / "0" / name).write_bytes((tmp_path / "1" / name).read_bytes())
    with pytest.raises(CheckpointError, match=f"{name} is a checkpoint of another training or phase"):
        long_pg(log, tmp_path / "0")


def test_a_folder_of_something_else_is_refused(log, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"holds 'thesis.txt' but no training.json: it keeps no checkpoints"):
        long_pg(log, tmp_path)
    assert content(tmp_path) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "training.json is not valid JSON"),
        ("[]", "must be a JSON object with an object 'training'"),
        ('{"format_version": 9, "training": {}}', "format version 9, expected 1"),
    ],
)
def test_a_damaged_description_is_refused(text, message, log, tmp_path):
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        long_pg(log, tmp_path)


def test_two_trainings_in_one_folder_are_refused(log, tmp_path):
    class Second:
        def record(self, values, step):
            with pytest.raises(CheckpointError, match="another training is at work in"):
                long_pg(log, tmp_path)

    agent_of("pg", log).learn(log, recorder=Second(), resume=tmp_path)


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_learned(log, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    tape = Tape()
    with pytest.raises(FileExistsError):
        agent_of("pg", log).learn(log, recorder=tape, resume=tmp_path / "file")
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match=r"No space left on device: checkpoints take up to .* MB"):
        agent_of("pg", log).learn(log, recorder=tape, resume=tmp_path / "new")
    assert tape.rows == []


def test_a_disk_that_fills_up_stops_a_training_only_before_its_first_checkpoint(log, tmp_path, monkeypatch):
    unbroken, save, full = long_pg(log), checkpoints.save_weights, [True]

    def saved(*arguments):
        if full[0]:
            raise OSError(28, "No space left on device", str(tmp_path))
        save(*arguments)

    monkeypatch.setattr(checkpoints, "save_weights", saved)
    with pytest.raises(OSError, match="No space left on device"):
        long_pg(log, Checkpoints(tmp_path, seconds=0))
    full[0] = False

    class Filling(Tape):
        def record(self, values, step):
            super().record(values, step)
            full[0] = step >= 3

    agent, tape = agent_of("pg", log, fit=FitConfig(max_epochs=6, batch_size=16)), Filling()
    with pytest.warns(CheckpointWarning, match="no checkpoint could be written, training goes on: .*No space left"):
        agent.learn(log, recorder=tape, resume=Checkpoints(tmp_path, seconds=0))
    assert everything(agent, tape) == unbroken
    # The old checkpoints are still there.
    full[0] = False
    assert sorted(int(file.name.split(".")[1]) for file in tmp_path.glob("policy.*.safetensors")) == [2, 3]
    assert long_pg(log, Checkpoints(tmp_path, seconds=0)) == unbroken


@pytest.fixture
def interruptible():
    """Ctrl-C as programs have it in a terminal: shells have those in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_after_its_epoch_with_a_checkpoint(number, log, tmp_path, capfd):
    class Signalling(Tape):
        def record(self, values, step):
            super().record(values, step)
            if step == 2:
                signal.raise_signal(number)

    before = signal.getsignal(number)
    unbroken = long_pg(log)
    agent = agent_of("pg", log, fit=FitConfig(max_epochs=6, batch_size=16))
    with pytest.raises(TrainingStopped, match="stopped in phase 'policy' after step 3; checkpoint in") as stopped:
        agent.learn(log, recorder=Signalling(), resume=tmp_path)
    assert stopped.value.signal == number
    assert signal.getsignal(number) is before
    assert "stopping after this epoch or round, with a checkpoint" in capfd.readouterr().err
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["policy.000000003.safetensors"]
    assert long_pg(log, tmp_path) == unbroken


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_stops_at_once(log, tmp_path):
    class Impatient(Tape):
        def record(self, values, step):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        agent_of("pg", log).learn(log, recorder=Impatient(), resume=tmp_path)
    assert not isinstance(stopped.value, TrainingStopped)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_after_the_last_step_is_not_lost(log, tmp_path):
    class Late(Tape):
        def record(self, values, step):
            if "treatment/policy_updates" in values:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        agent_of("pg", log).learn(log, recorder=Late(), resume=tmp_path)
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["policy.safetensors"]


def test_without_checkpoints_signals_are_left_alone(log):
    seen = []

    class Looking(Tape):
        def record(self, values, step):
            seen.append(signal.getsignal(signal.SIGTERM))

    agent_of("pg", log).learn(log, recorder=Looking())
    assert set(seen) == {signal.getsignal(signal.SIGTERM)}


def learned_into(out, sessions, place):
    out.write_text(repr(learned("irecgan", sessions, place)))


def test_killed_at_random_moments_a_process_comes_to_the_same_end(log, tmp_path, rng):
    out, kills = tmp_path / "out", 0
    place = Checkpoints(tmp_path / "training", seconds=0)
    # Not forks: PyTorch refuses gradients in those of a process that has taken some on a GPU.
    context = multiprocessing.get_context("spawn")
    # As many as are needed on a busy machine, but an end: each start gets longer, and one that fails is no kill.
    for number in range(100):
        process = context.Process(target=learned_into, args=(out, log, place))
        process.start()
        process.join(rng.uniform(0.01, 5.0 * (1 + number)))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert kills >= 1
    assert out.read_text() == repr(learned("irecgan", log))


def learned_in_rounds(method, schedule=None, recorder=None):
    learner, tape = learner_of(method), Tape() if recorder is None else recorder
    options = {} if schedule is None else {"schedule": schedule}
    rounds = [
        (one.number, one.sessions.slate_items.tolist(), one.sessions.clicks.tolist(), one.sessions.states.tolist())
        for one in learn_in_rounds(
            learner, "RecSim-v0", rounds=3, sessions_per_round=10, seed=1, recorder=tape, **options
        )
    ]
    return rounds, everything(learner.agent, Tape())


@pytest.mark.parametrize("method", ["pg-online&offline", "lstm-offline", "pg-online"])
def test_rounds_go_on_in_their_midst(method, writes, tmp_path):
    tape = Tape()
    unbroken = learned_in_rounds(method, recorder=tape)

    def in_folder(name):
        again = Tape()
        with stored_schedule(Checkpoints(tmp_path / name, seconds=0), {"method": method}, again) as schedule:
            return learned_in_rounds(method, schedule, schedule.recorder), again.rows

    assert in_folder("whole") == (unbroken, tape.rows)
    number = len(writes)
    for allowed in range(1, number):
        writes.clear()
        writes.allowed = allowed
        with pytest.raises(Stopped):
            in_folder(str(allowed))
        writes.allowed = None
        assert in_folder(str(allowed)) == (unbroken, tape.rows)
        assert len(writes) == number
    # What was kept inside of rounds that are over is gone.
    assert sorted(entry.name for entry in (tmp_path / "whole").iterdir()) == ["rounds.safetensors", "training.json"]


def test_rounds_of_an_agent_without_networks_keep_no_checkpoints():
    learner = OnlineLearner(RandomPolicy(50, 10), 5)
    with pytest.raises(TypeError, match="rounds of a RandomPolicy keep no checkpoints"):
        learner.state_dict()
