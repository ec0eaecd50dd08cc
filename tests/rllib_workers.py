"""``python -m tests.rllib_workers``: every env and wrapper under RLlib's env runners, in worker processes of Ray.

RLlib's release asks for one version of Gymnasium and is no extra here; ``make rllib`` puts what it needs besides aside.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import ray
from gymnasium.spaces.utils import unflatten
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune.registry import register_env

from tests.start_methods import Make, everything

MODES = ("sync", "async")
"""How envs stand side by side in a runner: in its process, or each in one of its own."""
STEPS = 40


def _flat(env: Any = None, spaces: Any = None, device: Any = None) -> FlattenObservations:
    """What RLlib's networks need before observations that are no boxes."""
    return FlattenObservations()


def sampled(make: Make, mode: str) -> str:
    """Have an env runner take random actions, and say how that ended: ``right``, or with what is wrong."""
    register_env("one", lambda context: make())
    config = PPOConfig().environment("one").debugging(log_level="ERROR")
    config.env_runners(num_envs_per_env_runner=2, gym_env_vectorize_mode=mode, env_to_module_connector=_flat)
    runner = SingleAgentEnvRunner(config=config, worker_index=1)
    space, steps = make().observation_space, 0
    for episode in runner.sample(num_timesteps=STEPS, random_actions=True):
        infos = episode.get_infos()
        if not all(space.contains(unflatten(space, observation)) for observation in episode.get_observations()):
            return "an observation outside of its space"
        if not np.isfinite(episode.get_rewards()).all():
            return "a reward that is no number"
        if len({tuple(sorted(info)) for info in infos[1:]}) > 1:
            return f"infos of different keys: {[sorted(info) for info in infos]}"
        steps += len(episode)
    runner.stop()
    return "right" if steps >= STEPS else f"{steps} steps of {STEPS}"


def main() -> int:
    """Command line; returns the exit status."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"working_dir": None})
    remote = ray.remote(sampled)
    wrong = number = 0
    for mode in MODES:
        for make in everything():
            try:
                ending = ray.get(remote.remote(make, mode))
            except Exception as error:
                ending = f"{type(error).__name__}: {str(error)[-300:]}"
            print(make.world, make.wrapper, mode, ending, flush=True)
            number += 1
            wrong += ending != "right"
    ray.shutdown()
    print(f"{number - wrong} of {number} are right")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
