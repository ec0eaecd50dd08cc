"""Damaged and made-up files of the package's own formats: weights, sessions, run folders, presets."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from irecgan_gym.agents import PG, ChoicePlanner, IRecGAN, PGConfig
from irecgan_gym.agents.preset_file import read_preset_file
from irecgan_gym.agents.references.simple import PopularityPolicy
from irecgan_gym.agents.references.state_policies import Optimal
from irecgan_gym.mdp import draw_mdp
from irecgan_gym.models.appeal import AppealTables
from irecgan_gym.models.choice_model import ChoiceModel, ChoiceModelConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.latent_user_model import LatentPrior, LatentUserConfig, LatentUserModel
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.weights import load_weights, save_weights
from tests.conftest import random_sessions
from tests.fuzz.bad_values import JSON_VALUES, damaged, pick, replaced, shown
from tests.fuzz.endings import Case, SilentlyWrongError

ITEMS, SLATE = 6, 2
ENCODER = EncoderConfig(hidden_size=4, embedding_size=3)


def _stored(folder: Path) -> list[tuple[Path, Callable[[Path], Any]]]:
    """Files of weights of every kind, and their readers."""
    shapes = LatentPrior(LatentUserConfig(num_states=2), ITEMS).shapes
    things = {
        "user_model": (
            UserModel.create(UserModelConfig(ITEMS, SLATE, encoder=ENCODER), seed=0, device="cpu"),
            UserModel,
        ),
        "pg": (PG(ITEMS, SLATE, PGConfig(encoder=ENCODER), device="cpu"), PG),
        "irecgan": (IRecGAN(ITEMS, SLATE, device="cpu"), IRecGAN),
        "popularity": (PopularityPolicy(ITEMS, SLATE), PopularityPolicy),
        "optimal": (Optimal(draw_mdp(3, ITEMS), SLATE), Optimal),
        "choice_planner": (ChoicePlanner(ITEMS, SLATE), ChoicePlanner),
        "choice_model": (
            ChoiceModel(ChoiceModelConfig(), ITEMS, AppealTables(np.zeros((2, ITEMS)), np.ones((2, ITEMS)))),
            ChoiceModel,
        ),
        "latent_user_model": (
            LatentUserModel(LatentUserConfig(num_states=2), {n: np.full(s, 0.1) for n, s in shapes.items()}, ITEMS),
            LatentUserModel,
        ),
    }
    for name, (thing, _) in things.items():
        thing.save(folder / f"{name}.safetensors")
    return [(folder / f"{name}.safetensors", kind.load) for name, (_, kind) in things.items()]


def damaged_weights(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Bytes of weight files that were lost or changed."""
    files = [(path, path.read_bytes(), load, _kind(path)) for path, load in _stored(folder)]
    while True:
        path, data, load, kind = pick(rng, files)
        name, bad = damaged(rng, data)

        def run(path=path, data=data, load=load, kind=kind, bad=bad) -> None:
            path.write_bytes(data)
            config, tensors = load_weights(path, kind)
            path.write_bytes(bad)
            load(path)
            there = load_weights(path, kind)
            if there[0] != config or any(not torch.equal(there[1][one], tensors[one]) for one in tensors):
                raise SilentlyWrongError(f"{path.name} was loaded as another")

        yield Case(f"{path.stem}: {name}", run)


def crafted_weights(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Weight files that someone wrote with care: right digests or none, and settings or tensors that do not fit."""
    files = [(path, load, _kind(path), load_weights(path, _kind(path))) for path, load in _stored(folder)]
    while True:
        path, load, kind, (config, tensors) = pick(rng, files)
        way = pick(rng, ("settings", "settings", "header", "tensors", "description"))
        if way == "settings":
            name, other = replaced(rng, config)

            def write(path=path, kind=kind, other=other, tensors=tensors) -> None:
                save_weights(path, kind, other, tensors)
        elif way == "tensors":
            name, others = _other_tensors(rng, tensors)

            def write(path=path, kind=kind, config=config, others=others) -> None:
                save_weights(path, kind, config, others)
        else:
            save_weights(path, kind, config, tensors)
            name, data = _other_header(rng, path, description=way == "description")

            def write(path=path, data=data) -> None:
                path.write_bytes(data)

        def run(path=path, load=load, write=write) -> None:
            try:
                write()
            except ValueError:
                return  # No such file comes into being.
            load(path)

        yield Case(f"{path.stem}, {way}: {name}", run)


def _kind(path: Path) -> str:
    return path.stem


def _other_tensors(rng: np.random.Generator, tensors: dict[str, torch.Tensor]) -> tuple[str, dict[str, torch.Tensor]]:
    name = pick(rng, list(tensors))
    tensor = tensors[name]
    kinds = {
        "transposed": lambda: tensor.T.contiguous() if tensor.ndim == 2 else tensor[None],
        "integers": lambda: tensor.to(torch.int32),
        "bfloat16": lambda: tensor.to(torch.bfloat16),
        "flat": lambda: tensor.reshape(-1),
        "empty": lambda: tensor.reshape(-1)[:0],
        "longer": lambda: torch.cat([tensor.reshape(-1), tensor.reshape(-1)]),
        "minus": lambda: -tensor - 1,
        "huge": lambda: tensor * 1e30,
    }
    way = pick(rng, [*kinds, "gone", "renamed"])
    others = {one: value for one, value in tensors.items() if one != name}
    if way in kinds:
        others[name] = kinds[way]()
    elif way == "renamed":
        others[f"{name}x"] = tensor
    return f"{name} {way}", others


def _other_header(rng: np.random.Generator, path: Path, *, description: bool) -> tuple[str, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if description:
        inner = json.loads(header["__metadata__"]["irecgan_gym"])
        if rng.random() < 0.5:  # As of old: without a digest, so that other settings get further.
            del inner["digest"], inner["format_version"]
        name, inner = replaced(rng, inner)
        header["__metadata__"]["irecgan_gym"] = json.dumps(inner)
    else:
        name, header = replaced(rng, header)
    text = json.dumps(header).encode()
    return name, struct.pack("<Q", len(text)) + text + data[8 + length :]


def damaged_sessions(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Bytes of Parquet files of sessions that were lost or changed."""
    sessions = random_sessions(np.random.default_rng(0))
    path = folder / "log.parquet"
    sessions.save(path)
    data = path.read_bytes()
    while True:
        name, bad = damaged(rng, data)

        def run(bad=bad) -> None:
            path.write_bytes(bad)
            columns = Sessions.load(path).to_columns()
            for key, value in sessions.to_columns().items():
                if not (
                    np.array_equal(columns[key], value) if isinstance(value, np.ndarray) else columns[key] == value
                ):
                    raise SilentlyWrongError(f"column {key} was loaded as another")

        yield Case(name, run)


def damaged_run_folders(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Bytes of the files of a run folder that were lost or changed."""
    from rich.console import Console

    from irecgan_gym.benchmarks.engine.job import Job
    from irecgan_gym.benchmarks.engine.job_loop import run_jobs
    from irecgan_gym.benchmarks.engine.run_folder import RunFolder
    from irecgan_gym.benchmarks.engine.tables import DURATIONS, RESULTS, TRAINING, read_table

    jobs = [Job("experiment", agent, "max", 10, seed) for seed in range(3) for agent in ("a", "b")]
    settings = {"seeds": 3, "agents": {"a": {"rate": 0.1}, "b": {}}, "sizes": [10]}

    def measure(job, recorder):
        recorder.record({"train/loss": 1.0 + job.seed}, 0)
        return {"reward/top-k": 0.125 + job.seed, "reward/sampled": 0.5}

    run_jobs(RunFolder(folder / "run", settings), jobs, measure, Console(file=io.StringIO()))
    tables = {"results.csv": RESULTS, "training.csv": TRAINING, "durations.csv": DURATIONS}
    files = (*tables, *tables, "config.json", "versions.json", "digests.json")
    whole = {name: (folder / "run" / name).read_bytes() for name in set(files)}
    right = {name: read_table(folder / "run" / name, columns) for name, columns in tables.items()}
    while True:
        name = pick(rng, files)
        way, bad = damaged(rng, whole[name])
        old = rng.random() < 0.3  # A folder of before there were digests.

        def run(name=name, bad=bad, old=old) -> None:
            for one, data in whole.items():
                (folder / "run" / one).write_bytes(data)
            (folder / "run" / name).write_bytes(bad)
            if old:
                (folder / "run" / "digests.json").unlink()
            RunFolder(folder / "run", settings)
            for one, columns in tables.items():
                table = read_table(folder / "run" / one, columns)
                if not old and not table.equals(right[one]):
                    raise SilentlyWrongError(f"{one} was read as another")

        yield Case(f"{name}{' without digests' if old else ''}: {way}", run)


def preset_files(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Presets that were damaged, or hold settings that make no sense."""
    kinds = {"pg": PGConfig, "irecgan": IRecGAN.config_type}
    whole = {
        name: {
            "settings": {"fit": {"learning_rate": 0.1, "patience": 3}, "gamma": 0.9, "encoder": {"cell": "gru"}},
            "provenance": {"source": "made up"},
        }
        for name in kinds
    }
    path = folder / "preset.json"
    while True:
        if rng.random() < 0.5:
            name, content = replaced(rng, whole)
            data = json.dumps(content).encode()
        else:
            name, data = damaged(rng, json.dumps(whole).encode())

        def run(data=data) -> None:
            path.write_bytes(data)
            read_preset_file(path, kinds)

        yield Case(name, run)


def settings_from_json(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Settings of agents as JSON with one entry that is another."""
    from dataclasses import asdict

    from irecgan_gym.agents import AGENT_NAMES, preset
    from irecgan_gym.storage.files import from_json

    presets = [preset(name, "fast") for name in AGENT_NAMES]
    while True:
        settings = pick(rng, presets)
        name, values = replaced(rng, asdict(settings), JSON_VALUES)

        def run(settings=settings, values=values) -> None:
            json.dumps(asdict_of(from_json(type(settings), values)))

        yield Case(f"{type(settings).__name__}: {shown(name)}", run)


def asdict_of(settings: Any) -> dict[str, Any]:
    """Settings as JSON-compatible values."""
    from dataclasses import asdict

    return asdict(settings)
