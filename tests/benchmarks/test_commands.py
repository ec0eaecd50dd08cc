"""The commands on tiny settings: what they write, how they go on, and what they refuse."""

import csv
import errno
import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from irecgan_gym.benchmarks import rerank
from irecgan_gym.benchmarks.engine.command import SettingsError, carry_out, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.processors import Processes
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.main import main
from irecgan_gym.benchmarks.rerank import Rerank
from irecgan_gym.benchmarks.rerank_features import Features, agent_config
from irecgan_gym.benchmarks.simulated_online import SimulatedOnline
from irecgan_gym.benchmarks.user_hits import read_user_hits
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.recorder import silent
from irecgan_gym.sessions import Sessions, SessionsError
from tests.benchmarks.run_folders import table


def rows_of(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def online(folder, *more):
    settings = {
        "--agents": "pg",
        "--logging-policy": "max",
        "--sessions": "30",
        "--seeds": "1",
        "--eval-sessions": "20",
        "--jobs": "1",
    }
    words = [word for pair in settings.items() for word in pair]
    return command_line(SimulatedOnline, [*words, "--out", str(folder), *more])


def test_simulated_online(tmp_path, capsys):
    assert online(tmp_path / "run", "--show-slate") == 0
    output = capsys.readouterr().out
    for text in ("user     clicked item", "   reward   click\n", "coverage@10", "Every agent: max, 30 sessions"):
        assert text in output

    rows = rows_of(tmp_path / "run")
    assert list(rows[0]) == ["experiment", "agent", "logging_policy", "num_sessions", "seed", "metric", "value"]
    measured = {(row["agent"], row["metric"]): float(row["value"]) for row in rows}
    for agent in ("random", "pg"):
        for deployment in ("top-k", "sampled"):
            assert measured[agent, f"reward_low/{deployment}"] <= measured[agent, f"reward/{deployment}"]
            assert 0 <= measured[agent, f"coverage@10/{deployment}"] <= 1
    # The max policy shows the best items of every state.
    assert measured["logging-policy", "coverage@1/logged"] == 1
    assert measured["logging-policy", "coverage@10/logged"] == 1
    names = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {"config.json", "versions.json", "training.csv", "checkpoints/pg-max-30-seed0.safetensors"} <= names
    assert {"plots/simulated_online-max-30.png", "plots/simulated_online-max-30.svg"} <= names
    assert any(name.startswith("tensorboard/pg-max-30-seed0/") for name in names)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["agents"]["pg"]["gamma"] == 0.9

    before = (tmp_path / "run" / "results.csv").read_bytes()
    assert online(tmp_path / "run") == 0
    assert (tmp_path / "run" / "results.csv").read_bytes() == before
    assert "9 of 9 jobs are in" in capsys.readouterr().out
    assert online(tmp_path / "run", "--eval-sessions", "21") == 2
    assert "eval_sessions is 20 there and 21 now" in " ".join(capsys.readouterr().err.split())

    # Another folder, the same numbers.
    assert online(tmp_path / "again") == 0
    assert (tmp_path / "again" / "results.csv").read_bytes() == before


def test_agents_share_environment_log_and_users():
    settings = SimulatedOnline(out="unused", agents=("irecgan", "pg"), seeds=2)
    jobs = settings.grid(table([]))
    references = ["random", "popularity", "max-reward", "blind", "belief", "optimal", "pg-limit"]
    names = ["logging-policy", *references, "irecgan", "pg"]
    assert [job.agent for job in jobs] == names * 2
    assert [job.seed for job in jobs] == [0] * 10 + [1] * 10


def test_the_grid_joins_every_policy_with_every_number_of_sessions():
    settings = SimulatedOnline(
        out="unused", agents=("pg",), logging_policy=("random", "mix"), sessions=(20, 10), seeds=1
    )
    cells = [(job.logging_policy, job.num_sessions) for job in settings.grid(table([])) if job.agent == "pg"]
    assert cells == [("random", 20), ("random", 10), ("mix", 20), ("mix", 10)]
    assert len(settings.grid(table([]))) == 9 * 4


def test_a_grid_from_the_dry_run_to_the_figures(tmp_path, capsys, monkeypatch):
    grid = ["--logging-policy", "random", "max", "--sessions", "20"]
    assert online(tmp_path / "run", *grid, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "jobs: 18 with 1 seeds; finished: 0" in output
    assert "nothing is known yet of what they take" in output
    assert not (tmp_path / "run").exists()

    def fails(self, name, log, seed):
        raise RuntimeError(f"no agent for {len(log)} sessions")

    new_agent = SimulatedOnline.new_agent
    monkeypatch.setattr(SimulatedOnline, "new_agent", fails)
    assert online(tmp_path / "run", *grid) == 1
    captured = capsys.readouterr()
    assert "2 jobs have failed" in captured.err
    assert "pg-max-20-seed0: RuntimeError: no agent for 20 sessions" in captured.err
    assert "Reward of a session, top-k: every agent by log" in captured.out
    traceback = (tmp_path / "run" / "failures" / "pg-max-20-seed0.txt").read_text()
    assert "in fails" in traceback
    assert online(tmp_path / "run", *grid, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "jobs: 18 with 1 seeds; finished: 16" in output
    assert "forecast from the finished jobs" not in output  # No PG has finished.

    monkeypatch.setattr(SimulatedOnline, "new_agent", new_agent)
    assert online(tmp_path / "run", *grid) == 0
    output = capsys.readouterr().out
    assert "16 of 18 jobs are in" in output
    assert "random-max" not in output.split("measurements:")[0]  # What was finished is not done again.
    assert {row["logging_policy"] for row in rows_of(tmp_path / "run") if row["agent"] == "pg"} == {"random", "max"}
    assert not list((tmp_path / "run" / "failures").iterdir())
    names = {path.name for path in (tmp_path / "run" / "plots").glob("figure2-*.svg")}
    assert names == {
        "figure2-reward.svg",
        "figure2-reward-belief.svg",
        "figure2-reward-optimal.svg",
        "figure2-coverage-top-k.svg",
        "figure2-coverage-sampled.svg",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agents": ("pg", "pq")}, "--agents takes one or more of irecgan, pg"),
        ({"agents": ()}, "--agents takes"),
        ({"agents": ("pg", "pg")}, "--agents takes"),
        ({"eval_sessions": 0}, "--eval-sessions must be at least 1, got 0"),
        ({"sessions": (200, 0)}, "--sessions must be at least 1, got 0"),
        ({"sessions": (200, 200)}, "--sessions takes one or more different values, got: 200 200"),
        ({"logging_policy": ()}, "--logging-policy takes one or more different values, got: none"),
        ({"agents": ("nowhere:Agent",)}, "nowhere:Agent: No module named 'nowhere'"),
        ({"agents": ("tests.benchmarks.own:Nobody",)}, "has no attribute 'Nobody'"),
        ({"device": "bogus"}, "--device: "),
        ({"env": "CartPole-v7"}, "no environment 'CartPole-v7'"),
    ],
)
def test_senseless_settings_of_simulated_online(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        SimulatedOnline(out=tmp_path, **changes).check()
    assert not list(tmp_path.iterdir())


def test_more_seeds_than_make_sense_are_refused_at_once(tmp_path, capsys):
    assert main(["online", "--dry-run", "--out", str(tmp_path / "run"), "--seeds", "99999999999"]) == 2
    assert "--seeds must be at most 10,000, got 99,999,999,999" in capsys.readouterr().err


def test_more_sessions_than_memory_holds_are_refused_at_once(tmp_path, capsys):
    assert main(["simulate", "--out", str(tmp_path / "log.parquet"), "--sessions", "99999999999"]) == 2
    assert "irecgan-gym simulate-many plays any number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": (0.5, 0.5, 0.0)}, "--split takes three positive shares"),
        ({"split": (0.5, 0.5, 0.5)}, "--split takes three positive shares"),
        ({"format": "excel"}, "--format takes one or more of recsys-challenge-2019"),
        ({"min_list_length": 0}, "--min-list-length must be at least 1"),
        ({"split_seed": -1}, "--split-seed must be at least 0, got -1"),
        ({"device": "bogus"}, "--device: "),
        ({"learning_rate": 0.0}, "--learning-rate must be positive"),
    ],
)
def test_senseless_settings_of_rerank(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        Rerank(data=tmp_path / "data", out=tmp_path / "out", **changes).check()


def logs(path, num_users=20):
    """Two sessions a user, who always clicks the same item of two popular ones in lists of 12 of 20 items."""
    rng = np.random.default_rng(0)
    clicks = np.repeat(rng.integers(2, size=num_users), 4)
    others = np.array([2 + rng.permutation(18)[:10] for _ in clicks])
    slates = np.concatenate([np.tile([0, 1], (len(clicks), 1)), others], axis=1)
    sessions = Sessions.from_columns(
        num_items=20,
        lengths=[2] * (2 * num_users),
        slates=rng.permuted(slates, axis=1),
        clicks=clicks,
        rewards=np.tile([0, 1], 2 * num_users),
        users=np.repeat(np.arange(num_users), 2),
    )
    sessions.save(path)
    return sessions


def short_training(name, preset_name, features, learning_rate):
    """IRecGAN's settings for a test: all of its phases, each short."""
    config = agent_config(name, preset_name, features)
    if name == "pg":
        return config
    assert config.ending == "leave"
    return replace(
        config,
        rounds=1,
        fit=FitConfig(max_epochs=4),
        user_model_fit=FitConfig(max_epochs=2),
        pre_training_d_steps=1,
        num_rollouts=2,
    )


def test_rerank(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rerank, "agent_config", short_training)
    logs(tmp_path / "log.parquet")
    arguments = ["--data", str(tmp_path / "log.parquet"), "--format", "sessions", "--agents", "irecgan", "pg"]
    arguments += ["--split", "0.6", "0.2", "0.2", "--out", str(tmp_path / "run"), "--jobs", "1", "--seeds", "1"]
    assert command_line(Rerank, [*arguments, "--dry-run"]) == 0
    assert "jobs: 9 with 1 seeds; finished: 0" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    assert command_line(Rerank, arguments) == 0
    output = capsys.readouterr().out
    assert "test, seed 0: 8 sessions, 16 lists" in output
    measured = {(row["agent"], row["metric"]): float(row["value"]) for row in rows_of(tmp_path / "run")}
    learnt = {"irecgan", "pg", "irecgan+all", "pg+all"}
    assert {agent for agent, _ in measured} == {*rerank.BASELINES, *learnt}
    assert measured["popularity", "p@10/top-k"] == 1
    assert measured["pg", "p@10/top-k"] == 1
    assert measured["random", "p@1/top-k"] < measured["pg", "p@1/top-k"]
    assert (tmp_path / "run" / "plots" / "rerank-logged-40.png").exists()
    hits = read_user_hits([tmp_path / "run"])
    assert hits.groupby("agent")["user"].nunique().eq(4).all()
    for (agent, metric), value in measured.items():
        if metric in hits:
            of_agent = hits[hits["agent"] == agent]
            assert of_agent[metric].sum() / of_agent["lists"].sum() == pytest.approx(value)
    assert "mean length" in (tmp_path / "run" / "read_report.txt").read_text()
    assert command_line(Rerank, arguments) == 0
    assert "9 of 9 jobs are in" in capsys.readouterr().out


def test_seeds_of_rerank_share_their_test_part_and_split_the_rest_for_all_methods_alike(tmp_path):
    logs(tmp_path / "log.parquet")
    options = {"data": tmp_path / "log.parquet", "format": "sessions", "out": tmp_path / "run"}
    settings = Rerank(**options, split=(0.6, 0.2, 0.2))
    parts = [settings.parts(seed) for seed in (0, 0, 1)]
    tests, trainings = ([set(getattr(part, name).users.tolist()) for part in parts] for name in ("test", "training"))
    assert tests[0] == tests[1] == tests[2]
    assert trainings[0] == trainings[1] != trainings[2]
    for part in parts:
        users = [set(of.users.tolist()) for of in part]
        assert [len(of) for of in users] == [12, 4, 4]
        assert len(set.union(*users)) == 20
    other = Rerank(**options, split=(0.6, 0.2, 0.2), split_seed=1)
    assert set(other.parts(0).test.users.tolist()) != tests[0]


@pytest.mark.parametrize("agent", ["pg", "lstm", "irecgan", "lstmd"])
def test_features_of_real_logs_are_settings_of_every_agent(agent):
    plain = agent_config(agent, "fast", Features(), 1e-3)
    full = agent_config(agent, "fast", Features(events=True, recall=True, positions=True), 1e-3)
    plain, full = (config.irecgan if agent == "lstmd" else config for config in (plain, full))
    assert plain.fit.learning_rate == full.fit.learning_rate == 1e-3
    assert full.encoder == replace(plain.encoder, events=True, recall=True)
    assert agent == "pg" or (full.position_term and full.ending == "leave" and not plain.position_term)


def test_other_data_in_the_same_folder_are_refused(tmp_path):
    first, second = logs(tmp_path / "a.parquet"), logs(tmp_path / "b.parquet", num_users=21)
    assert rerank.fingerprint(first) == rerank.fingerprint(first.select(slice(None)))
    assert rerank.fingerprint(first) != rerank.fingerprint(second)


def test_experiments_survive_the_way_to_a_worker(tmp_path):
    folder = RunFolder(tmp_path / "run", {})
    online_test = SimulatedOnline(out=folder.path, eval_sessions=20)
    job = Job("simulated_online", "random", "max", 10, 3)
    again = pickle.loads(pickle.dumps(online_test))
    assert again.measure(job, silent, folder) == online_test.measure(job, silent, folder)

    logs(tmp_path / "log.parquet")
    real = Rerank(data=tmp_path / "log.parquet", format="sessions", out=folder.path, split=(0.6, 0.2, 0.2))
    job = Job("rerank", "popularity", "logged", 24, 0)
    again = pickle.loads(pickle.dumps(real))
    assert again.measure(job, silent, folder) == real.measure(job, silent, folder)


def test_more_jobs_than_processors_are_reduced_with_a_word(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    assert SimulatedOnline(out=tmp_path, jobs=3, threads=2)._processes(4, console) == Processes(2, 2)
    assert "--jobs 3 with 2 threads each are too many for 4 processors: 2 at a time" in console.file.getvalue()
    console = Console(file=io.StringIO())
    assert SimulatedOnline(out=tmp_path)._processes(4, console) == Processes(4, 1)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize("option", ["--jobs", "--threads"])
def test_numbers_of_processes_are_checked(tmp_path, capsys, option):
    assert command_line(SimulatedOnline, ["--out", str(tmp_path / "run"), option, "0"]) == 2
    assert f"{option} must be at least 1, got 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_errors_that_a_user_can_mend_are_one_line(tmp_path, capsys):
    arguments = ["--data", str(tmp_path / "none.parquet"), "--format", "sessions", "--out", str(tmp_path)]
    assert command_line(Rerank, arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


class Fails:
    """A command that raises."""

    def __init__(self, error):
        self.error = error

    def execute(self, console):
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "run/results.csv"), 1, "run/results.csv: No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "/run"), 2, "/run: Permission denied"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "file/x"), 2, "file/x: Not a directory"),
        (FileNotFoundError("no such file: log.csv"), 2, "no such file: log.csv"),
        (SettingsError("--seeds must be at least 1"), 2, "--seeds must be at least 1"),
        (SessionsError("nothing that makes sessions"), 1, "nothing that makes sessions"),
    ],
)
def test_exit_statuses(capsys, error, status, message):
    assert carry_out(Fails(error)) == status
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_a_stopped_command_says_how_to_go_on(capsys):
    assert carry_out(Fails(KeyboardInterrupt())) == 130
    assert "goes on with what is left" in capsys.readouterr().out


def test_a_finished_folder_takes_more_agents_seeds_and_sizes(tmp_path, capsys):
    assert online(tmp_path / "run") == 0
    before = {(row["agent"], row["seed"]): row for row in rows_of(tmp_path / "run")}
    capsys.readouterr()
    grown = ["--agents", "pg", "tests.benchmarks.own:FirstItems", "--seeds", "2", "--sessions", "20", "30"]
    assert online(tmp_path / "run", *grown) == 0
    output = capsys.readouterr().out
    assert "9 of 40 jobs are in" in output  # Also the references are not run again.
    rows = rows_of(tmp_path / "run")
    assert {(row["num_sessions"], row["seed"]) for row in rows} == {
        (size, seed) for size in ("20", "30") for seed in "01"
    }
    assert {row["agent"] for row in rows} == {agent for agent, _ in before} | {"tests.benchmarks.own:FirstItems"}
    for row in before.values():
        assert row in rows
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["seeds"] == 2
    assert sorted(config["sessions"]) == [20, 30]
    # And the first command still goes on in it.
    assert online(tmp_path / "run") == 0
    assert "9 of 9 jobs are in" in capsys.readouterr().out


def test_worlds_of_the_users_own(tmp_path, capsys):
    world = ["--env-kwargs", '{"num_items": 12, "slate_size": 3, "num_states": 4}']
    assert online(tmp_path / "small", *world, "--agents", "tests.benchmarks.own:FirstItems") == 0
    assert {row["metric"] for row in rows_of(tmp_path / "small") if row["metric"].startswith("coverage@3/")}
    rewards = np.random.default_rng(0).uniform(0.1, 1, (2, 5))
    tables = {"rewards": rewards.tolist(), "transitions": np.full((2, 5, 2), 0.5).tolist()}
    (tmp_path / "mdp.json").write_text(json.dumps({"mdp": tables, "slate_size": 2}))
    own = ["--env-kwargs", f"@{tmp_path / 'mdp.json'}", "--agents", "tests.benchmarks.own:FirstItems"]
    assert online(tmp_path / "own", *own) == 0
    for kwargs, message in (
        ('{"num_items": "many"}', "--env"),
        ("[1]", "expected a JSON object"),
        ('{"slate_sise": 3}', "slate_sise"),
        ("{", "--env-kwargs"),
    ):
        assert online(tmp_path / "wrong", "--env-kwargs", kwargs) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_metrics_join_by_name(tmp_path, capsys):
    own = "tests.benchmarks.own:first_item_shown"
    assert online(tmp_path / "run", "--agents", "tests.benchmarks.own:FirstItems", "--metrics", own, "ndcg@3") == 0
    assert "first_item_shown" in "".join(capsys.readouterr().out.split()).replace("│", "")
    measured = {(row["agent"], row["metric"]): float(row["value"]) for row in rows_of(tmp_path / "run")}
    assert measured["tests.benchmarks.own:FirstItems", f"{own}/top-k"] == 1
    assert 0 < measured["random", f"{own}/sampled"] < 1
    assert 0 < measured["random", "ndcg@3_low/top-k"] < measured["random", "ndcg@3/top-k"] < 1
    assert online(tmp_path / "run", "--agents", "pg") == 2
    assert "metrics is" in capsys.readouterr().err

    logs(tmp_path / "log.parquet")
    arguments = ["--data", str(tmp_path / "log.parquet"), "--format", "sessions", "--out", str(tmp_path / "real")]
    arguments += ["--agents", "tests.benchmarks.own:FirstItems", "--features", "none", "--seeds", "1", "--jobs", "1"]
    assert command_line(Rerank, [*arguments, "--metrics", own, "recall@2"]) == 0
    measured = {(row["agent"], row["metric"]): float(row["value"]) for row in rows_of(tmp_path / "real")}
    assert measured["tests.benchmarks.own:FirstItems", f"{own}/top-k"] == 1
    # Users click items 0 and 1, which such an agent puts first.
    assert measured["tests.benchmarks.own:FirstItems", "recall@2/top-k"] == 1
    for wrong in ("ndcg@0", "nowhere:metric", "beauty"):
        assert command_line(Rerank, [*arguments, "--metrics", wrong]) == 2
        assert "--metrics" in capsys.readouterr().err


def test_min_list_length_is_checked_against_the_log_before_jobs_start(tmp_path, capsys):
    logs(tmp_path / "log.parquet")
    arguments = ["--data", str(tmp_path / "log.parquet"), "--format", "sessions", "--out", str(tmp_path / "run")]
    assert command_line(Rerank, [*arguments, "--min-list-length", "13", "--split", "0.6", "0.2", "0.2"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "--min-list-length 13: no list of the test part counts, the longest has 12" in error
    assert not (tmp_path / "run").exists()
