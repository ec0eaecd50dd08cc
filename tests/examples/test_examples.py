"""The programs under examples/: each library trains on both kinds of envs, as a user would write it."""

import importlib
import io
from pathlib import Path

import numpy as np
import pytest

from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.user_model import UserModel, UserModelConfig

# What each program needs beside this project.
LIBRARIES = {
    "cleanrl_ppo": "torch",
    "sb3_ppo": "stable_baselines3",
    "sb3_contrib_maskable_ppo": "sb3_contrib",
    "tianshou_ppo": "tianshou",
    "torchrl_ppo": "torchrl",
}


@pytest.fixture(scope="module")
def user_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "user_model.safetensors"
    encoder = EncoderConfig(hidden_size=8, embedding_size=8)
    UserModel.create(UserModelConfig(20, 4, encoder=encoder), seed=0, device="cpu").save(path)
    return path


def example(name):
    library = LIBRARIES[name]
    pytest.importorskip(library, reason=f"examples/{name}.py needs {library}")
    return importlib.import_module(f"examples.{name}")


@pytest.mark.parametrize("world", ["RecSim-v0", "UserModel-v0"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_trains_on_an_env(name, world, user_model, capsys):
    program = example(name)
    settings = program.Args(timesteps=320, user_model=user_model if world == "UserModel-v0" else None)
    reward = program.main(settings)
    # Every program says what to read the number against.
    assert f"{world}: a session earns {reward:.2f}; " in capsys.readouterr().out
    # Random slates earn about 1 to 3 in either; a session of one step without a reward earns 0.
    assert 0.1 < reward < 10


def test_every_program_is_tested():
    programs = {path.stem for path in Path(__file__).parents[2].joinpath("examples").glob("*_ppo.py")}
    assert programs == set(LIBRARIES)


def test_a_user_model_of_the_shop_beats_popularity(tmp_path, capsys):
    program = importlib.import_module("examples.fit_user_model")
    program.main(program.Args(out=tmp_path / "model.safetensors"))
    lines = capsys.readouterr().out.splitlines()
    likelihood = {
        line.rpartition(" ")[0].strip(): float(line.split()[-1]) for line in lines if "log likelihood" in line
    }
    assert likelihood["click log likelihood"] > likelihood["popularity log likelihood"] + 0.05
    assert likelihood["popularity log likelihood"] > likelihood["uniform log likelihood"]
    assert UserModel.load(tmp_path / "model.safetensors").config.num_items == 25


def test_the_shops_log_is_what_its_program_writes():
    program = importlib.import_module("examples.shop_log")
    written = io.StringIO()
    program.write_log(written, 800, np.random.default_rng(0))
    shipped = Path(__file__).parents[2] / "examples" / "shop_log.csv"
    assert written.getvalue() == shipped.read_text(encoding="utf-8")
