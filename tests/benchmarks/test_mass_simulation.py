"""Simulations in parts: files that are read like any others, the same however they are made, and more on demand."""

import gymnasium as gym
import numpy as np
import pyarrow.dataset as ds
import pytest

from irecgan_gym.agents import make_agent, preset
from irecgan_gym.benchmarks.main import main
from irecgan_gym.benchmarks.mass_simulation import MassSimulation
from irecgan_gym.sessions import Sessions

SMALL = '{"num_items": 12, "slate_size": 3}'


def simulate(folder, *words):
    return main(["simulate-many", "--out", str(folder), "--env-kwargs", SMALL, "--part", "20", "--jobs", "1", *words])


def parts(folder):
    return [Sessions.load(file) for file in sorted((folder / "sessions").glob("*.parquet"))]


def test_parts_are_sessions_of_users_of_their_own(tmp_path, capsys):
    assert simulate(tmp_path / "run", "--sessions", "40", "--policy", "max") == 0
    first, second = parts(tmp_path / "run")
    steps = first.num_steps + second.num_steps
    assert f"40 sessions of {steps} steps in 2 files" in capsys.readouterr().out
    assert (len(first), len(second)) == (20, 20)
    assert not np.array_equal(first.clicks, second.clicks)
    assert ds.dataset(tmp_path / "run" / "sessions").count_rows() == steps
    # The first part is what the seed of the simulation and the part's number say.
    seed = int(np.random.SeedSequence((0, 0)).generate_state(1)[0])
    made = gym.make("RecSim-v0", num_items=12, slate_size=3, logging_policy="max")
    alone = made.get_wrapper_attr("collect")(20, seed=seed, max_session_steps=40)
    np.testing.assert_array_equal(alone.slate_items, first.slate_items)
    np.testing.assert_array_equal(alone.clicks, first.clicks)


def test_a_simulation_grows_by_parts_and_keeps_those_that_are_there(tmp_path):
    assert simulate(tmp_path / "grown", "--sessions", "20") == 0
    (file,) = (tmp_path / "grown" / "sessions").iterdir()
    before = file.stat().st_mtime_ns
    assert simulate(tmp_path / "grown", "--sessions", "60") == 0
    assert file.stat().st_mtime_ns == before
    assert simulate(tmp_path / "at once", "--sessions", "60") == 0
    for grown, at_once in zip(parts(tmp_path / "grown"), parts(tmp_path / "at once"), strict=True):
        np.testing.assert_array_equal(grown.slate_items, at_once.slate_items)
    results = [(tmp_path / name / "results.csv").read_bytes() for name in ("grown", "at once")]
    assert results[0] == results[1]


def test_agents_play_too(tmp_path):
    agent = tmp_path / "agent.safetensors"
    make_agent("pg", num_items=12, slate_size=3, config=preset("pg", "fast"), seed=0).save(agent)
    assert simulate(tmp_path / "run", "--sessions", "20", "--policy", str(agent)) == 0
    (played,) = parts(tmp_path / "run")
    assert len(played) == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sessions", "50"], "--sessions 50 must be whole parts of --part 20"),
        (["--sessions", "0"], "--sessions must be at least 1, got 0"),
        (["--sessions", "20", "--policy", "none.safetensors"], "no such file: none.safetensors"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_is_made(tmp_path, capsys, words, message):
    assert simulate(tmp_path / "run", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_seeds_of_parts_are_all_different(tmp_path):
    simulations = [MassSimulation(out=tmp_path, seed=seed) for seed in range(3)]
    seeds = {simulation._simulation(number, 1, tmp_path).seed for simulation in simulations for number in range(200)}
    assert len(seeds) == 600
