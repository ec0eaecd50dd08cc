"""Recovery of tables and growth of the latent-state user model, on tiny settings."""

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.tables import read_results
from irecgan_gym.benchmarks.latent_growth import LatentGrowth, made_up_log
from irecgan_gym.benchmarks.latent_recovery import LatentRecovery, table_errors
from irecgan_gym.models.latent_fitting import random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig, LatentUserModel


def test_errors_do_not_depend_on_the_names_of_states(rng):
    mdp = gym.make("RecSim-v0", num_states=3, num_items=6, slate_size=2).get_wrapper_attr("mdp")
    parameters = random_start(LatentUserConfig(3), 6, rng)
    parameters["success_deviation"] = np.log(mdp.rewards / np.maximum(1 - mdp.rewards, 1e-9))
    order = [2, 0, 1]
    renamed = dict(parameters)
    for name in ("success_deviation", "start", "success_level"):
        renamed[name] = parameters[name][order]
    renamed["source"] = parameters["source"][order][:, order]
    renamed["target"] = parameters["target"][:, order]
    first, second = (table_errors(LatentUserModel(LatentUserConfig(3), one, 6), mdp) for one in (parameters, renamed))
    assert first == pytest.approx(second)
    assert first[0] < 1e-6


def test_recovery_and_growth_print_their_tables(tmp_path, capsys):
    options = "--env RecSim-v0 --sessions 30 --starts 1 --max-iterations 3 --jobs 1 --out"
    assert command_line(LatentRecovery, [*options.split(), str(tmp_path / "run")]) == 0
    measured = read_results(tmp_path / "run").set_index("metric")["value"]
    assert 0 < measured["error/reward"] < 1
    assert 0 < measured["error/transition"] < 1
    assert f"{measured['error/reward']:.3f}" in capsys.readouterr().out
    assert command_line(LatentGrowth, ["--items", "40", "--sessions", "20", "--iterations", "2"]) == 0
    assert "5 states, embeddings of 8 numbers" in capsys.readouterr().out


def test_made_up_slates_hold_different_items(rng):
    log = made_up_log(40, 30, rng)
    assert (np.diff(np.sort(log.slate_items.reshape(-1, 10), axis=1), axis=1) > 0).all()
