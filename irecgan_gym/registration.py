"""Registration of the suite's environments with Gymnasium."""

from __future__ import annotations

import gymnasium as gym


def register_envs() -> None:
    """Register the suite's ids; entry points are named, not imported, so that nothing heavy is loaded."""
    observable: dict[str, object] = {"transitions": "item", "epsilon": 0.05}
    _register("RecSim-v0", "recsim:RecSim", {})
    _register("RecSim-Observable-v0", "recsim:RecSim", observable)
    _register("RecSim-Planning-v0", "recsim:RecSim", {**observable, "reward_scale": 0.1})
    _register("UserModel-v0", "user_model:UserModel", {})


def _register(env_id: str, name: str, kwargs: dict[str, object]) -> None:
    """Register an env and its native vector twin; ``name`` is the module and the stem of both classes."""
    if env_id not in gym.registry:
        module, stem = name.split(":")
        gym.register(
            id=env_id,
            entry_point=f"irecgan_gym.envs.{module}:{stem}Env",
            vector_entry_point=f"irecgan_gym.envs.{module}_vector:{stem}VectorEnv",
            kwargs=kwargs,
        )
