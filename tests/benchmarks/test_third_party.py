"""The third-party test on tiny settings: what it trains, what it writes, how it goes on, and what it refuses."""

import csv

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from irecgan_gym.agents import IRecGANConfig
from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.third_party.algorithms import ALGORITHMS
from irecgan_gym.benchmarks.third_party.config import ThirdPartyConfig
from irecgan_gym.benchmarks.third_party.experiment import METHODS, WORLDS, ThirdParty
from irecgan_gym.benchmarks.third_party.training import Trainee, learn_adversarially
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from tests.benchmarks.run_folders import table
from tests.conftest import random_sessions

N, K = 12, 4
SHAPE = EncoderConfig(hidden_size=6, embedding_size=5)


class Records:
    def __init__(self):
        self.steps = []

    def record(self, values, step):
        assert "disc/loss" in values
        self.steps.append(step)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_learns_from_rewards_that_it_rolls_out_itself(algorithm, rng):
    real = random_sessions(rng, num_items=N, slate_size=K, num_sessions=20)
    config = ThirdPartyConfig(timesteps=24, num_envs=4, history=2, discriminator_updates=2, num_rollouts=2)
    model = UserModel.create(UserModelConfig(N, K, encoder=SHAPE), seed=0, device="cpu")
    envs = gym.make_vec(
        "UserModel-v0", num_envs=4, user_model=model, max_episode_steps=5, autoreset_mode=AutoresetMode.SAME_STEP
    )
    trainee = Trainee(algorithm, envs, real, config, seed=0)
    fit, records = IRecGANConfig(encoder=SHAPE, discriminator_fit=FitConfig(max_epochs=1, patience=None)), Records()
    learn_adversarially(trainee, envs, model, real, fit, 1, records)
    assert records.steps == [0, 1]
    assert trainee.model.num_timesteps >= trainee.total_actions
    world = {"num_items": N, "slate_size": K, "num_states": 3}
    deployed = [
        evaluate_online(trainee.policy, "RecSim-v0", 20, deterministic=False, seed=2, env_kwargs=world).rewards
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*deployed)


def command(folder, *more):
    settings = {"--agents": "pg", "--sessions": "40", "--seeds": "1", "--eval-sessions": "20", "--jobs": "1"}
    words = [word for pair in settings.items() for word in pair]
    algorithms = ["--algorithms", "a2c", "dqn", "--timesteps", "600"]
    return command_line(ThirdParty, [*words, *algorithms, "--out", str(folder), *more])


def test_the_command(tmp_path, capsys):
    assert command(tmp_path / "run", "--dry-run") == 0
    assert "jobs: 14 with 1 seeds; finished: 0" in capsys.readouterr().out
    assert command(tmp_path / "run") == 0
    output = capsys.readouterr().out
    assert "Every agent: max, 40 sessions" in output
    with (tmp_path / "run" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    methods = [f"{algorithm}/{world}" for algorithm in ("a2c", "dqn") for world in WORLDS]
    references = ["random", "popularity", "max-reward", "blind", "belief", "optimal", "pg-limit"]
    assert list(dict.fromkeys(row["agent"] for row in rows)) == [*references, "pg", *methods]
    for agent in methods:
        assert agent in output
        assert {"reward/top-k", "reward/sampled", "coverage@1/top-k"} <= {
            row["metric"] for row in rows if row["agent"] == agent
        }
    names = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {"plots/third_party-max-40.svg", "checkpoints/a2c-adversarial-max-40-seed0.zip"} <= names

    before = (tmp_path / "run" / "results.csv").read_bytes()
    assert command(tmp_path / "run") == 0
    assert "14 of 14 jobs are in" in capsys.readouterr().out
    # Another folder, some of the methods, the same numbers.
    assert command(tmp_path / "again", "--worlds", "adversarial") == 0
    lines = [line for line in before.decode().splitlines() if "/env," not in line and "/model," not in line]
    assert (tmp_path / "again" / "results.csv").read_text().splitlines() == lines
    assert command(tmp_path / "run", "--timesteps", "601") == 2
    assert "training.timesteps is 600 there and 601 now" in " ".join(capsys.readouterr().err.split())


def test_each_algorithm_learns_in_each_world():
    assert len(METHODS) == 18
    settings = ThirdParty(out="unused", seeds=2)
    assert [job.agent for job in settings.grid(table([])) if job.seed == 1][-18:] == list(METHODS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithms": ("ppo", "td3")}, "--algorithms takes one or more of ppo, a2c"),
        ({"algorithms": ()}, "--algorithms takes one or more different values"),
        ({"worlds": ("env", "env")}, "--worlds takes one or more different values, got: env env"),
        ({"agents": ("ppo",)}, "--agents takes one or more of irecgan"),
        ({"timesteps": 0}, "--timesteps must be at least 1, got 0"),
        ({"history": 0}, "--history must be at least 1, got 0"),
        ({"sessions": 5}, "--sessions must be at least 10"),
        ({"env": "CartPole-v7"}, "no environment 'CartPole-v7'"),
    ],
)
def test_senseless_settings(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        ThirdParty(out=tmp_path, **changes).check()
