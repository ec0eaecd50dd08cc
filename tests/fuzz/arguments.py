"""Arguments of functions that make no sense: columns, settings, environments, wrappers and actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from irecgan_gym.collection import collect
from irecgan_gym.sessions import Sessions
from irecgan_gym.wrappers import ClickHistory, OneHotHistory, SequentialSlate, SingleItem, SlateScores
from tests.conftest import random_sessions
from tests.fuzz.bad_values import VALUES, pick, shown
from tests.fuzz.endings import Case, SilentlyWrongError

ARRAYS = ("lengths", "slates", "slate_lengths", "clicks", "rewards", "truncated", "propensities", "states", "users")
COLUMNS = (*ARRAYS, *("event_lengths", "event_items", "item_names", "provenance", "num_items"))


def columns(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Columns of ``Sessions.from_columns``, one of them wrong; what is taken must be saved and loaded the same."""
    good = random_sessions(np.random.default_rng(0), num_sessions=3).to_columns()
    steps, sessions = len(good["clicks"]), len(good["lengths"])
    good |= {"propensities": np.full(steps, 0.5), "states": np.zeros(steps, int), "users": np.arange(sessions)}
    good |= {"event_lengths": np.ones(steps, int), "event_items": np.zeros(steps, int)}
    path = folder / "columns.parquet"
    while True:
        name = pick(rng, COLUMNS)
        value = _other_column(rng, good[name]) if name in ARRAYS and rng.random() < 0.6 else pick(rng, VALUES)
        given = {**good, name: value}

        def run(given=given) -> None:
            made = Sessions.from_columns(**given)
            made.save(path)
            again = Sessions.load(path).to_columns()
            for column, values in made.to_columns().items():
                same = _same(values, again[column])
                if not same:
                    raise SilentlyWrongError(f"column {column} is another after saving and loading")

        yield Case(f"{name} = {shown(value)}", run)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def _other_column(rng: np.random.Generator, column: np.ndarray) -> Any:
    """A column with one entry, its type or its length changed."""
    numbers = (
        -1,
        0,
        3,
        7,
        8,
        10**6,
        2**31,
        2**40,
        2**63 - 1,
        0.5,
        -0.0,
        1e-50,
        1e-40,
        1e39,
        float("nan"),
        float("inf"),
    )
    ways = {
        "entry": lambda: _with_entry(rng, column, pick(rng, numbers)),
        "type": lambda: column.astype(pick(rng, ("f8", "f4", "f2", "i8", "i1", "u8", "U5", "O", "bool", "c16"))),
        "shorter": lambda: column[:-1],
        "longer": lambda: np.concatenate([column, column[:1]]),
        "list": lambda: list(column),
        "object": lambda: np.array([*column[:-1], None], dtype=object),
        "nested": lambda: column[None],
        "none": lambda: column[:0],
        "other way round": lambda: column[::-1],
    }
    return ways[pick(rng, list(ways))]()


def _with_entry(rng: np.random.Generator, column: np.ndarray, number: float) -> np.ndarray:
    kind = np.float64 if isinstance(number, float) else np.int64
    changed = column.astype(kind)
    changed[int(rng.integers(len(changed)))] = number
    return changed


def settings(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Settings of agents and models with one field that is another; what is taken must survive being stored."""
    import json

    from irecgan_gym.agents import AGENT_NAMES, AutoPlannerConfig, ChoicePlannerConfig, LatentPlannerConfig, preset
    from irecgan_gym.agents.cautious_planner import CautiousPlannerConfig
    from irecgan_gym.agents.online import OnlineConfig
    from irecgan_gym.agents.recurrent_planner import RecurrentPlannerConfig
    from irecgan_gym.agents.tabular_pg import TabularPGConfig
    from irecgan_gym.models.discriminator import DiscriminatorConfig
    from irecgan_gym.models.user_model import UserModelConfig
    from irecgan_gym.storage.files import from_json

    kinds = [preset(name, "fast") for name in AGENT_NAMES]
    kinds += [AutoPlannerConfig(), ChoicePlannerConfig(), LatentPlannerConfig(), TabularPGConfig()]
    kinds += [CautiousPlannerConfig(), RecurrentPlannerConfig()]
    kinds += [DiscriminatorConfig(6), UserModelConfig(6, 2), OnlineConfig(kinds[0])]
    while True:
        whole = pick(rng, kinds)
        path = _path_of_field(rng, whole)
        value = pick(rng, VALUES)

        def run(whole=whole, path=path, value=value) -> None:
            made = _with_field(whole, path, value)
            if not isinstance(made, OnlineConfig):  # Which holds the settings of any agent.
                again = from_json(type(made), json.loads(json.dumps(asdict(made))))
                if again != made:
                    raise SilentlyWrongError("other settings after storing them")

        yield Case(f"{type(whole).__name__}.{'.'.join(path)} = {shown(value)}", run)


def _path_of_field(rng: np.random.Generator, value: Any) -> tuple[str, ...]:
    field = pick(rng, fields(value))
    inner = getattr(value, field.name)
    if is_dataclass(inner) and rng.random() < 0.8:
        return field.name, *_path_of_field(rng, inner)
    return (field.name,)


def _with_field(value: Any, path: tuple[str, ...], other: Any) -> Any:
    inner = other if len(path) == 1 else _with_field(getattr(value, path[0]), path[1:], other)
    return replace(value, **{path[0]: inner})


WORLD = (
    "num_states",
    "num_items",
    "slate_size",
    "logging_policy",
    "mdp_seed",
    "transitions",
    "concentration",
    "epsilon",
)
# Without render_mode, which Gymnasium looks at first, and trips over what is no text.
WORLD += ("reward_scale", "observation", "duplicates", "mdp")


def environments(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Arguments of environments and wrappers, of ``reset`` and of ``collect``."""
    from irecgan_gym.agents.references.simple import RandomPolicy

    small = {"num_states": 3, "num_items": 6, "slate_size": 2}
    makers: dict[str, Any] = {
        "env": lambda value, name: gym.make("RecSim-v0", **{**small, name: value}).reset(seed=0),
        "vector env": lambda value, name: gym.make_vec("RecSim-v0", num_envs=2, **{**small, name: value}).reset(seed=0),
        "num_envs": lambda value, name: gym.make_vec("RecSim-v0", num_envs=value, **small).reset(seed=0),
        "reset seed": lambda value, name: gym.make("RecSim-v0", **small).reset(seed=value),
        "reset options": lambda value, name: gym.make("RecSim-v0", **small).reset(seed=0, options=value),
        "ClickHistory": lambda value, name: ClickHistory(gym.make("RecSim-v0", **small), value).reset(seed=0),
        "ClickHistory of": lambda value, name: ClickHistory(value, 3),
        "OneHotHistory of": lambda value, name: OneHotHistory(value),
        "SlateScores of": lambda value, name: SlateScores(value),
        "SingleItem of": lambda value, name: SingleItem(value, range(6)),
        "SlateScores bound": lambda value, name: SlateScores(gym.make("RecSim-v0", **small), bound=value).reset(seed=0),
        "SlateScores embeddings": lambda value, name: SlateScores(
            gym.make("RecSim-v0", **small), item_embeddings=value
        ),
        "SingleItem": lambda value, name: SingleItem(gym.make("RecSim-v0", **small), value),
        "SequentialSlate of": lambda value, name: SequentialSlate(value),
        "collect sessions": lambda value, name: collect(RandomPolicy(6, 2), "RecSim-v0", value, 0, env_kwargs=small),
        "collect seed": lambda value, name: collect(RandomPolicy(6, 2), "RecSim-v0", 2, value, env_kwargs=small),
        "collect steps": lambda value, name: collect(
            RandomPolicy(6, 2), "RecSim-v0", 2, 0, env_kwargs=small, max_session_steps=value
        ),
        "collect envs": lambda value, name: collect(
            RandomPolicy(6, 2), "RecSim-v0", 2, 0, env_kwargs=small, num_envs=value
        ),
    }
    while True:
        way = pick(rng, list(makers)) if rng.random() < 0.6 else pick(rng, ("env", "vector env"))
        name, value = pick(rng, WORLD), pick(rng, VALUES)
        label = f"{way} {name}" if way in ("env", "vector env") else way
        yield Case(f"{label} = {shown(value)}", lambda way=way, name=name, value=value: makers[way](value, name))


def actions(rng: np.random.Generator, folder: Path) -> Iterator[Case]:
    """Actions of any type, in environments and under wrappers; afterwards the env must go on."""
    small = {"num_states": 3, "num_items": 6, "slate_size": 2}
    envs = {
        "env": gym.make("RecSim-v0", **small),
        "vector env": gym.make_vec("RecSim-v0", num_envs=2, **small),
        "ClickHistory": ClickHistory(gym.make("RecSim-v0", **small), 3),
        "SlateScores": SlateScores(gym.make("RecSim-v0", **small)),
        "SingleItem": SingleItem(gym.make("RecSim-v0", **small), range(6)),
        "SequentialSlate": SequentialSlate(gym.make("RecSim-v0", **small)),
    }
    while True:
        name = pick(rng, list(envs))
        action = pick(rng, VALUES) if rng.random() < 0.5 else _nearly_an_action(rng, envs[name].action_space)

        def run(env=envs[name], action=action) -> None:
            env.reset(seed=0)
            try:
                env.step(action)
            finally:
                env.reset(seed=0)
                env.action_space.seed(0)
                observation = env.step(env.action_space.sample())[0]
                if not env.observation_space.contains(observation):
                    raise SilentlyWrongError(f"an observation outside the space: {observation}")

        yield Case(f"{name}: {shown(action)}", run)


def _nearly_an_action(rng: np.random.Generator, space: gym.Space[Any]) -> Any:
    action = np.asarray(space.sample())
    ways = {
        "float": lambda: action.astype(np.float64),
        "half": lambda: action + 0.5,
        "minus": lambda: -action - 1,
        "large": lambda: action + 10**6,
        "nan": lambda: np.full(action.shape, np.nan),
        "shape": lambda: action[None],
        "text": lambda: action.astype(str),
        "list": lambda: action.tolist(),
        "same": lambda: np.zeros_like(action),
        "int8": lambda: action.astype(np.int8),
        "object": lambda: action.astype(object),
        "bool": lambda: action.astype(bool),
        "short": lambda: action.reshape(-1)[:-1],
    }
    return ways[pick(rng, list(ways))]()
