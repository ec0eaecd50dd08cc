"""Tianshou's PPO on RecSim-v0, or on UserModel-v0 with a fitted user model (Python 3.11 or newer).

python examples/tianshou_ppo.py
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, CollectStats, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import ActionReprNet
from torch import nn
from torch.distributions import Categorical, Independent

import irecgan_gym  # noqa: F401 (registers the envs)


@dataclass
class Args:
    """Settings."""

    timesteps: int = 50_000
    """Slates to learn from."""
    user_model: Path | None = None
    """File of a fitted user model: train in UserModel-v0. RecSim-v0 if left out."""
    seed: int = 0
    """Of everything that is random."""


class Actor(ActionReprNet):
    """Logits of all items for every slot of the slate, from the last click."""

    def __init__(self, network: nn.Module, slate: int, items: int) -> None:
        super().__init__()
        self.network = nn.Sequential(network, nn.Linear(64, slate * items), nn.Unflatten(-1, (slate, items)))

    def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[torch.Tensor, Any]:
        """Logits [B, k, n]."""
        return self.network(torch.as_tensor(obs)), state


class Critic(nn.Module):
    """The value of the last click."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = nn.Sequential(network, nn.Linear(64, 1))

    def forward(self, obs: Any, **kwargs: Any) -> torch.Tensor:
        """Values [B, 1]."""
        return self.network(torch.as_tensor(obs))


def main(args: Args) -> float:
    """Train, and return the mean reward of a session."""
    env_id, options = (
        ("RecSim-v0", {}) if args.user_model is None else ("UserModel-v0", {"user_model": args.user_model})
    )
    np.random.seed(args.seed)  # noqa: NPY002 (Tianshou's batches)
    torch.manual_seed(args.seed)
    training, test = (DummyVectorEnv([lambda: gym.make(env_id, **options) for _ in range(16)]) for _ in range(2))
    training.seed(args.seed)
    test.seed(args.seed + 1000)
    space = training.action_space[0]
    slate, items = len(space.nvec), int(space.nvec[0])

    network = nn.Sequential(nn.Embedding(items + 1, 64), nn.Linear(64, 64), nn.Tanh())
    policy = ProbabilisticActorPolicy(
        actor=Actor(network, slate, items),
        dist_fn=lambda logits: Independent(Categorical(logits=logits), 1),
        action_space=space,
        action_scaling=False,
        action_bound_method=None,
        deterministic_eval=True,
    )
    algorithm = PPO(
        policy=policy, critic=Critic(network), optim=AdamOptimizerFactory(lr=1e-3), gamma=0.9, ent_coef=0.001
    )
    before = Collector[CollectStats](algorithm, test).collect(n_episode=200, reset_before_collect=True).returns.mean()
    steps = min(1024, args.timesteps)
    algorithm.run_training(
        OnPolicyTrainerParams(
            training_collector=Collector[CollectStats](algorithm, training, VectorReplayBuffer(steps * 2, 16)),
            test_collector=None,
            max_epochs=1,
            epoch_num_steps=args.timesteps,
            collection_step_num_env_steps=steps,
            update_step_num_repetitions=4,
            batch_size=256,
            verbose=False,
            show_progress=False,
        )
    )
    collected = Collector[CollectStats](algorithm, test).collect(n_episode=200, reset_before_collect=True)
    reward = float(collected.returns.mean())
    print(f"{env_id}: a session earns {reward:.2f}; before training, {before:.2f}")
    return reward


if __name__ == "__main__":
    main(tyro.cli(Args))
