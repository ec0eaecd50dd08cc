"""The command of online learning on tiny settings, and its figure."""

import csv
import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from irecgan_gym.agents import online
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.benchmarks import online_learning
from irecgan_gym.benchmarks.claims.judgement import judge_all
from irecgan_gym.benchmarks.claims.paper import CLAIMS
from irecgan_gym.benchmarks.claims.runs import Runs
from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.tables import read_results
from irecgan_gym.benchmarks.experiments import figures_of
from irecgan_gym.benchmarks.figures.run import draw
from irecgan_gym.benchmarks.online_learning import OnlineLearning, round_metrics, summaries
from irecgan_gym.collection import collect
from irecgan_gym.evaluation.metrics import coverage_at_r
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.recorder import silent
from tests.benchmarks.run_folders import Measurement, write_rows

METHODS = ("pg-online", "pg-online&offline", "lstm-offline", "irecgan")


@pytest.fixture
def short_training(monkeypatch):
    """All methods with every phase of theirs, each short."""
    preset = online.online_preset

    def short(method, name):
        config = preset(method, name)
        changes = {"encoder": EncoderConfig(hidden_size=8, embedding_size=4), "fit": FitConfig(max_epochs=1)}
        if method in ("pg-online&offline", "irecgan"):
            changes |= {"rounds": 1}
        if method == "irecgan":
            changes |= {"user_model_fit": FitConfig(max_epochs=1), "num_rollouts": 2, "pre_training_d_steps": 1}
        return replace(config, agent=replace(config.agent, **changes))

    monkeypatch.setattr(online_learning, "online_preset", short)


def command(folder, *more):
    settings = {"--rounds": "2", "--sessions": "12", "--seeds": "1", "--eval-sessions": "10", "--jobs": "1"}
    return command_line(
        OnlineLearning, [*(word for pair in settings.items() for word in pair), "--out", str(folder), *more]
    )


def rows_of(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch, short_training):
    work = OnlineLearning.measure
    done = []

    def stopped_after_two(self, job, recorder, folder):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job.agent)
        return work(self, job, recorder, folder)

    monkeypatch.setattr(OnlineLearning, "measure", stopped_after_two)
    assert command(tmp_path / "run") == 130
    assert len({row["agent"] for row in rows_of(tmp_path / "run")}) == 2

    def counted(self, job, recorder, folder):
        done.append(job.agent)
        return work(self, job, recorder, folder)

    monkeypatch.setattr(OnlineLearning, "measure", counted)
    assert command(tmp_path / "run") == 0
    assert sorted(done) == sorted(["random", *METHODS])
    output = capsys.readouterr().out
    assert "Every agent: online, 12 sessions" in output

    rows = rows_of(tmp_path / "run")
    assert list(dict.fromkeys(row["agent"] for row in rows)) == ["random", *METHODS]
    assert {(row["experiment"], row["logging_policy"], row["num_sessions"]) for row in rows} == {
        ("online_learning", "online", "12")
    }
    measured = {(row["agent"], row["metric"]): float(row["value"]) for row in rows}
    for agent in ("random", *METHODS):
        for measure in ("coverage@1", "coverage@10", "reward"):
            by_round = [measured[agent, f"{measure}/round-{number:02}"] for number in (1, 2)]
            assert measured[agent, f"{measure}/last"] == pytest.approx(np.mean(by_round))
            assert measured[agent, f"{measure}/mean"] == pytest.approx(np.mean(by_round))
        assert measured[agent, "reward/top-k"] >= 0
        # What the last offline stage has done.
        assert ((agent, "treatment/policy_updates") in measured) == (agent in ("pg-online&offline", "irecgan"))
    names = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {"plots/online_learning-online-12.png", "plots/online_learning-online-12.svg"} <= names
    assert "checkpoints/pg-online-offline-online-12-seed0.safetensors" in names
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["methods"]["irecgan"]["agent"]["num_rollouts"] == 2
    assert config["methods"]["irecgan"]["learning_rate"] == 1e-2

    # Another folder in one go, the same numbers.
    assert command(tmp_path / "again") == 0
    assert (tmp_path / "again" / "results.csv").read_bytes() == (tmp_path / "run" / "results.csv").read_bytes()
    assert command(tmp_path / "run", "--rounds", "3") == 2
    assert "rounds is 2 there and 3 now" in " ".join(capsys.readouterr().err.split())


def test_the_plan_writes_nothing(tmp_path, capsys):
    assert command(tmp_path / "run", "--dry-run") == 0
    assert "pg-online&offline" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_job_depends_on_its_seed_alone(tmp_path, short_training):
    run = OnlineLearning(out=tmp_path, rounds=2, eval_sessions=5)
    random = [run.measure(Job("online_learning", "random", "online", 10, seed), silent, None) for seed in (0, 0, 1)]
    assert random[0] == random[1]
    assert random[0] != random[2]


def test_numbers_of_a_round():
    rewards = gym.make("RecSim-v0", mdp_seed=3).get_wrapper_attr("mdp").rewards
    sessions = collect(RandomPolicy(50, 10), "RecSim-v0", 100, seed=0, env_kwargs={"mdp_seed": 3})
    measured = round_metrics(sessions, rewards)
    slates = sessions.slate_items.reshape(-1, 10)
    coverage = coverage_at_r(slates, sessions.states, rewards)
    assert measured["coverage@1"] == coverage[0]
    assert measured["coverage@10"] == coverage[9]
    # The plain way: step by step.
    ranked = np.argsort(-rewards, axis=1)
    shares = [len(set(slates[t]) & set(ranked[state, :10])) / 10 for t, state in enumerate(sessions.states)]
    assert measured["coverage@10"] == pytest.approx(np.mean(shares))
    assert measured["reward"] == pytest.approx(np.mean([session.rewards.sum() for session in sessions]))


def test_coverage_needs_the_true_states():
    sessions = collect(RandomPolicy(50, 10), "RecSim-v0", 3, seed=0)
    with pytest.raises(ValueError, match="true states"):
        round_metrics(replace(sessions, states=None), np.ones((10, 50)))


def test_summaries_of_rounds():
    found = summaries([{"reward": float(number)} for number in range(1, 9)])
    assert found == {"reward/last": 6.0, "reward/mean": 4.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("pg",)}, "--methods takes one or more of pg-online, pg-online&offline"),
        ({"methods": ()}, "--methods takes one or more different values"),
        ({"rounds": 0}, "--rounds must be at least 1, got 0"),
        ({"sessions": 1}, "--sessions must be at least 2"),
        ({"env": "CartPole-v7"}, "no environment 'CartPole-v7'"),
    ],
)
def test_senseless_settings(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        OnlineLearning(out=tmp_path, **changes).check()


def made_up(seeds, rounds=6, agents=("random", *METHODS)):
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for place, agent in enumerate(agents):
            job = Job("online_learning", agent, "online", 200, seed)
            for measure in ("coverage@1", "coverage@10", "reward"):
                for number in range(1, rounds + 1):
                    value = place / 10 + 0.01 * number + 0.01 * rng.uniform()
                    rows.append(Measurement(job, f"{measure}/round-{number:02}", value))
                rows += [
                    Measurement(job, f"{measure}/{end}", place / 10 + 0.01 * rng.uniform()) for end in ("last", "mean")
                ]
    return rows


@pytest.mark.parametrize("seeds", [1, 2, 6])
def test_the_figure_from_results_alone(tmp_path, seeds):
    (tmp_path / "results.csv").write_text(write_rows(Measurement, made_up(seeds)))
    [path] = draw(tmp_path, figures_of)
    assert path.name == "online_learning-online-200.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    svg = path.with_suffix(".svg").read_text()
    for label in ("random", "pg-online", "irecgan", "coverage@1", "coverage@10", "reward of a session"):
        assert f">{label}<" in svg
    before = path.read_bytes()
    draw(tmp_path, figures_of)
    assert path.read_bytes() == before


def test_no_results_no_figure(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.csv"):
        draw(tmp_path, figures_of)


def test_the_claims_read_these_results(tmp_path):
    (tmp_path / "results.csv").write_text(write_rows(Measurement, made_up(5)))
    results = read_results(tmp_path)
    about = [claim for claim in CLAIMS if claim.experiment == "online_learning"]
    judgements = {judgement.claim.name: judgement for judgement in judge_all(Runs(results), about)}
    # Made up so that IRecGAN is best and LSTM beats both PGs.
    assert judgements["IRecGAN converges best online"].verdict.value == "holds"
    assert len(judgements["IRecGAN converges best online"].evidence) == 2
    assert judgements["LSTM offline is worst online"].verdict.value == "does not hold: behind"
    assert len(judgements["LSTM offline is worst online"].evidence) == 3
    # The last rounds were made up apart from the others.
    assert len(judgements["Coverage@10 is harder to improve online"].evidence) == 4
    assert len(judgements["PG-online varies from round to round"].evidence) == 2
