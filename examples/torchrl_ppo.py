"""TorchRL's PPO, with its GymEnv and collector, on RecSim-v0, or on UserModel-v0 with a fitted user model.

python examples/torchrl_ppo.py
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import Categorical, Independent
from torchrl.collectors import Collector
from torchrl.envs import GymEnv, InitTracker, RewardSum, TransformedEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

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


class Slots(Independent):
    """A softmax over all items for every slot of the slate."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__(Categorical(logits=logits), 1)


def main(args: Args) -> float:
    """Train, and return the mean reward of the last sessions."""
    env_id, options = (
        ("RecSim-v0", {}) if args.user_model is None else ("UserModel-v0", {"user_model": args.user_model})
    )
    torch.manual_seed(args.seed)
    # Categorical: item ids stay numbers, instead of one-hot vectors.
    env = TransformedEnv(GymEnv(env_id, categorical_action_encoding=True, **options))
    env.append_transform(InitTracker())
    env.append_transform(RewardSum())
    env.set_seed(args.seed)
    slate, items = env.action_spec.shape[-1], env.action_spec.space.n

    network = nn.Sequential(nn.Embedding(items + 1, 64), nn.Linear(64, 64), nn.Tanh())
    slots = nn.Sequential(network, nn.Linear(64, slate * items), nn.Unflatten(-1, (slate, items)))
    actor = ProbabilisticActor(
        TensorDictModule(slots, in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=Slots,
        spec=env.action_spec,
        return_log_prob=True,
    )
    critic = ValueOperator(nn.Sequential(network, nn.Linear(64, 1)), in_keys=["observation"])
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.001)
    advantage = GAE(gamma=0.9, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    collector = Collector(env, actor, frames_per_batch=min(1000, args.timesteps), total_frames=args.timesteps)

    earned = []
    for batch in collector:
        ended = batch["next", "done"].squeeze(-1)
        earned += batch["next", "episode_reward"][ended].flatten().tolist()
        for _ in range(4):
            advantage(batch)
            for part in batch[torch.randperm(len(batch))].split(250):
                losses = loss(part)
                total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
    collector.shutdown()

    first, last = (float(np.mean(part)) for part in (earned[:500], earned[-500:]))
    print(f"{env_id}: a session earns {last:.2f}; at the beginning, {first:.2f}")
    return last


if __name__ == "__main__":
    main(tyro.cli(Args))
