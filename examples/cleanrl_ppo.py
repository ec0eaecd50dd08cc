"""PPO in one file, in the manner of CleanRL, against the native vector env of RecSim-v0 or UserModel-v0.

python examples/cleanrl_ppo.py
"""

import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import tyro
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
    num_envs: int = 64
    """Users side by side."""
    num_steps: int = 16
    """Steps of each user between two updates."""
    update_epochs: int = 4
    """Passes over the steps of an update."""
    num_minibatches: int = 4
    """Parts of a pass."""
    learning_rate: float = 1e-3
    """Of Adam."""
    gamma: float = 0.9
    """Discount factor."""
    gae_lambda: float = 0.95
    """Of the generalised advantage estimates."""
    clip_coef: float = 0.2
    """Clipping of the ratio of policies."""
    ent_coef: float = 0.001
    """Weight of the entropy."""
    vf_coef: float = 0.5
    """Weight of the value's loss."""
    max_grad_norm: float = 0.5
    """Longest gradient."""


class Agent(nn.Module):
    """Actor and critic over the last click; every slot of the slate has a softmax over all items."""

    def __init__(self, num_items: int, slate_size: int) -> None:
        super().__init__()
        self.slate = (slate_size, num_items)
        self.network = nn.Sequential(nn.Embedding(num_items + 1, 64), nn.Linear(64, 64), nn.Tanh())
        self.actor = nn.Linear(64, slate_size * num_items)
        self.critic = nn.Linear(64, 1)
        nn.init.orthogonal_(self.actor.weight, 0.01)

    def get_value(self, x: torch.Tensor) -> torch.Tensor:
        """Values of observations, [B]."""
        return self.critic(self.network(x)).squeeze(-1)

    def get_policy(self, x: torch.Tensor) -> Independent:
        """Slates to choose from at observations [B]."""
        return Independent(Categorical(logits=self.actor(self.network(x)).unflatten(-1, self.slate)), 1)


def main(args: Args) -> float:
    """Train, and return the mean reward of the last sessions."""
    env_id, options = (
        ("RecSim-v0", {}) if args.user_model is None else ("UserModel-v0", {"user_model": args.user_model})
    )
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    envs = gym.make_vec(env_id, num_envs=args.num_envs, autoreset_mode="SameStep", **options)
    slots, num_items = len(envs.single_action_space.nvec), int(envs.single_action_space.nvec[0])
    agent = Agent(num_items, slots)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)

    shape = (args.num_steps, args.num_envs)
    obs = torch.zeros(shape, dtype=torch.int64)
    actions = torch.zeros((*shape, slots), dtype=torch.int64)
    logprobs, rewards, dones, values = (torch.zeros(shape) for _ in range(4))
    returns, earned = np.zeros(args.num_envs), []

    start = time.perf_counter()
    next_obs = torch.from_numpy(envs.reset(seed=args.seed)[0])
    num_updates = max(1, args.timesteps // (args.num_envs * args.num_steps))
    for update in range(1, num_updates + 1):
        optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - (update - 1) / num_updates)
        for step in range(args.num_steps):
            obs[step] = next_obs
            with torch.no_grad():
                policy = agent.get_policy(next_obs)
                actions[step] = policy.sample()
                logprobs[step] = policy.log_prob(actions[step])
                values[step] = agent.get_value(next_obs)
            observed, reward, terminated, truncated, _ = envs.step(actions[step].numpy())
            done = terminated | truncated
            next_obs, rewards[step], dones[step] = map(torch.from_numpy, (observed, reward, done))
            returns += reward
            earned += returns[done].tolist()
            returns[done] = 0

        # Generalised advantage estimates; a session that was done at a step has no value behind it.
        with torch.no_grad():
            following = agent.get_value(next_obs)
        advantages, last = torch.zeros(shape), torch.zeros(args.num_envs)
        for step in reversed(range(args.num_steps)):
            going = 1 - dones[step]
            delta = rewards[step] + args.gamma * going * following - values[step]
            advantages[step] = last = delta + args.gamma * args.gae_lambda * going * last
            following = values[step]

        batch = [column.flatten(0, 1) for column in (obs, actions, logprobs, advantages, advantages + values)]
        for _ in range(args.update_epochs):
            for rows in np.array_split(rng.permutation(obs.numel()), args.num_minibatches):
                mb_obs, mb_actions, mb_logprobs, mb_advantages, mb_returns = (column[rows] for column in batch)
                policy = agent.get_policy(mb_obs)
                ratio = (policy.log_prob(mb_actions) - mb_logprobs).exp()
                mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
                clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
                pg_loss = -torch.min(mb_advantages * ratio, mb_advantages * clipped).mean()
                v_loss = 0.5 * (agent.get_value(mb_obs) - mb_returns).square().mean()
                loss = pg_loss + args.vf_coef * v_loss - args.ent_coef * policy.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()

    envs.close()
    speed = num_updates * obs.numel() / (time.perf_counter() - start)
    first, last_mean = (float(np.mean(part)) for part in (earned[:500], earned[-500:]))
    print(f"{env_id}: a session earns {last_mean:.2f}; at the beginning, {first:.2f} ({speed:,.0f} steps a second)")
    return last_mean


if __name__ == "__main__":
    main(tyro.cli(Args))
