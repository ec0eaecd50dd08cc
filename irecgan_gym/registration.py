"""Registration of the suite's environments with Gymnasium."""

from __future__ import annotations

import gymnasium as gym


def register_envs() -> None:
    """Register the suite's ids; entry points are named, not imported, so that nothing heavy is loaded."""
    recsim = {
        "entry_point": "irecgan_gym.envs.recsim:RecSimEnv",
        "vector_entry_point": "irecgan_gym.envs.recsim_vector:RecSimVectorEnv",
    }
    observable = {"transitions": "item", "epsilon": 0.05}
    _register("RecSim-v0", recsim, {})
    _register("RecSim-Observable-v0", recsim, observable)
    _register("RecSim-Planning-v0", recsim, {**observable, "reward_scale": 0.1})
    _register(
        "UserModel-v0",
        {
            "entry_point": "irecgan_gym.envs.user_model:UserModelEnv",
            "vector_entry_point": "irecgan_gym.envs.user_model_vector:UserModelVectorEnv",
        },
        {},
    )


def _register(env_id: str, entry_points: dict[str, str], kwargs: dict[str, object]) -> None:
    if env_id not in gym.registry:
        gym.register(id=env_id, kwargs=kwargs, **entry_points)
