"""View of one user of the simulated environment: slates, clicks and truth, printed step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from irecgan_gym.collection import SlatePredictor


def show_session(
    policy: SlatePredictor,
    env_id: str,
    env_kwargs: Mapping[str, Any],
    *,
    seed: int,
    console: Console,
    max_steps: int = 5,
) -> None:
    """Serve one user with the policy's top k and print every slate beside the truth that the policy cannot see.

    Args:
        policy: chooses the slates.
        env_id: id of a RecSim env.
        env_kwargs: arguments of the env.
        seed: seed of the user.
        console: prints.
        max_steps: steps shown at most.
    """
    env = gym.make(env_id, **env_kwargs)
    rewards = env.get_wrapper_attr("mdp").rewards
    observation, info = env.reset(seed=seed)
    policy_state, start = None, np.ones(1, dtype=bool)
    total = 0.0
    for step in range(1, max_steps + 1):
        slates, policy_state = policy.predict(np.array([observation]), policy_state, start, True)
        start = np.zeros(1, dtype=bool)
        state = int(info["state"])
        observation, reward, terminated, _, info = env.step(slates[0])
        total += float(reward)
        shown = np.asarray(info["slate"])
        console.print(_slate(step, state, shown, int(info["click"]), rewards[state]))
        outcome = "failure, the user leaves" if terminated else f"success, the user moves to state {info['state']}"
        console.print(f"clicks item {info['click']}: {outcome}\n")
        if terminated:
            break
    console.print(f"reward so far: {total:.0f}")
    env.close()


def _slate(step: int, state: int, slate: NDArray[np.int64], click: int, rewards: NDArray[np.float64]) -> Table:
    chance = rewards[slate] / rewards[slate].sum()
    rank = 1 + (rewards[None, :] > rewards[slate][:, None]).sum(1)
    table = Table(
        title=f"step {step}: the user is in state {state} and is shown",
        title_justify="left",
        show_header=False,
        box=None,
        pad_edge=False,
    )
    rows = {
        "item": [str(item) for item in slate],
        "click probability": [f"{value:.2f}" for value in chance],
        "success probability": [f"{value:.2f}" for value in rewards[slate]],
        "true rank": [str(value) for value in rank],
    }
    table.add_column()
    for item in slate:
        table.add_column(justify="right", style="bold reverse" if item == click else None)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table
