"""The phases of training in plain PyTorch, timed: one session at a time, states from the session's start each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.agents.returns import offline_rewards
from irecgan_gym.benchmarks.throughput.phases import GenerationPhase, TrainingPhase, session_limit
from irecgan_gym.benchmarks.throughput.plain_models import (
    PlainDiscriminator,
    PlainPolicy,
    PlainUserModel,
    candidates_of,
)
from irecgan_gym.benchmarks.throughput.shapes import Shape, networks
from irecgan_gym.benchmarks.throughput.timing import time_calls
from irecgan_gym.models.building import resolve_device
from irecgan_gym.models.fitting import user_sessions
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions


@dataclass(frozen=True)
class PlainTask:
    """One phase, run for some seconds.

    Attributes:
        shape: log and networks.
        phase: what is trained or generated.
        user_model: file of a fitted user model, for generation.
        device: where.
        seconds: least time.
        batch_size: sessions between two updates.
    """

    shape: Shape
    phase: TrainingPhase | GenerationPhase
    user_model: Path | None
    device: str
    seconds: float
    batch_size: int = 32


@dataclass(frozen=True)
class PlainNetworks:
    """Agent, user model and discriminator of a shape, with the weights of the suite's own."""

    policy: PlainPolicy
    user_model: PlainUserModel
    discriminator: PlainDiscriminator
    leave_option: bool
    slate_size: int


def plain_networks(shape: Shape, user_model: Path | None, device: torch.device) -> PlainNetworks:
    """Plain networks with copied weights."""
    config, num_items = shape.config, shape.num_items
    models = networks(shape, device)
    fitted = models.user_model if user_model is None else UserModel.load(user_model, device=device)
    policy = PlainPolicy(num_items, config.encoder).to(device)
    user = PlainUserModel(num_items, config.encoder).to(device)
    discriminator = PlainDiscriminator(num_items, config.encoder, config.temperature).to(device)
    for plain, own in ((policy, models.policy), (user, fitted), (discriminator, models.discriminator)):
        plain.load_state_dict(own.state_dict())
    return PlainNetworks(policy, user, discriminator, config.ending == "leave", shape.slate_size)


def measure_plain(task: PlainTask) -> float:
    """Sessions a second; the first session warms up."""
    device, shape = resolve_device(task.device), task.shape
    models, log = plain_networks(shape, task.user_model, device), shape.sessions(seed=0)
    if task.phase == "generation":
        longest = session_limit(log)
        generator = torch.Generator(device).manual_seed(0)
        return _rate(lambda: generate_session(models, longest, generator), task.seconds, device)
    if task.phase == "adversarial":
        longest = session_limit(log)
        generator = torch.Generator(device).manual_seed(0)
        rollouts = shape.config.num_rollouts
        return _rate(lambda: generate_scored_session(models, longest, rollouts, generator), task.seconds, device)
    module: nn.Module
    if task.phase == "agent":
        losses, module = agent_losses(models, log, shape, device), models.policy
    elif task.phase == "user model":
        losses, module = user_losses(models, log, shape, device), models.user_model
    else:
        losses, module = discriminator_losses(models, log, shape, device), models.discriminator
    return _training_rate(losses, module, task, device)


def agent_losses(models: PlainNetworks, log: Sessions, shape: Shape, device: torch.device) -> Iterator[Tensor]:
    """The agent's loss of one session after another, for ever."""
    returns = log.returns_to_go(offline_rewards(log, shape.config.lambda_r), shape.config.gamma)
    while True:
        for number, session in enumerate(log):
            steps = slice(int(log.offsets[number]), int(log.offsets[number + 1]))
            clicks = torch.tensor(session.clicks, dtype=torch.int64, device=device)
            yield models.policy.loss(clicks, torch.tensor(returns[steps], dtype=torch.float32, device=device))


def user_losses(models: PlainNetworks, log: Sessions, shape: Shape, device: torch.device) -> Iterator[Tensor]:
    """The user model's loss of one session after another, for ever."""
    for columns in _columns(models, log, shape, device):
        yield models.user_model.loss(*columns, shape.config.fit.lambda_p)


def discriminator_losses(models: PlainNetworks, log: Sessions, shape: Shape, device: torch.device) -> Iterator[Tensor]:
    """Eq 5 for one pair of a real and a generated session after another, for ever."""
    # Real sessions stand in for generated ones: only the time matters here.
    columns = _columns(models, log, shape, device)
    for real in columns:
        generated = next(columns)
        yield F.softplus(-models.discriminator.logit(*real)) + F.softplus(models.discriminator.logit(*generated))


def _columns(
    models: PlainNetworks, log: Sessions, shape: Shape, device: torch.device
) -> Iterator[tuple[list[Tensor], Tensor, Tensor]]:
    """Candidates, clicks and rewards of one session after another, for ever."""
    sessions = user_sessions(log, shape.user_model_config)
    while True:
        for session in sessions:
            yield (
                candidates_of(session, log.num_items, models.leave_option, device),
                torch.tensor(session.clicks, dtype=torch.int64, device=device),
                torch.tensor(session.rewards, dtype=torch.float32, device=device),
            )


def _training_rate(losses: Iterator[Tensor], module: nn.Module, task: PlainTask, device: torch.device) -> float:
    """Sessions a second: gradients add up session by session, Adam updates after each batch.

    Sessions and updates are timed one after the other, so that a slow phase need not fill a whole batch.
    """
    optimizer = torch.optim.Adam(module.parameters(), lr=task.shape.config.fit.learning_rate)

    def learn() -> None:
        (next(losses) / task.batch_size).backward()  # type: ignore[no-untyped-call]

    def update() -> None:
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimizer.step()

    learn()
    update()
    sessions = time_calls(learn, 0.75 * task.seconds, device)
    updates = time_calls(update, 0.25 * task.seconds, device)
    return 1 / (sessions.seconds_per_call + updates.seconds_per_call / task.batch_size)


def _rate(function: Callable[[], object], at_least: float, device: torch.device) -> float:
    timing = time_calls(function, at_least, device)
    return timing.calls / timing.seconds


@dataclass
class _Walk:
    """One session on its way: what was seen, and the policy's recurrent state."""

    slates: list[Tensor]
    clicks: list[Tensor]
    rewards: list[Tensor]
    policy_state: tuple[Tensor, Tensor] | Tensor | None


@torch.no_grad()
def generate_session(models: PlainNetworks, longest: int, generator: torch.Generator) -> Tensor:
    """One session without scores; its clicks [T]."""
    return torch.stack(_complete(_Walk([], [], [], None), models, longest, generator).clicks)


@torch.no_grad()
def generate_scored_session(
    models: PlainNetworks, longest: int, num_rollouts: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One session and q_D of each of its steps (Eq 6), roll-outs one by one; clicks and scores [T]."""
    walk, scores, over = _Walk([], [], [], None), [], False
    while not over:
        over = _extend(walk, models, longest, generator)
        completions = [walk] if over else [_complete(walk, models, longest, generator) for _ in range(num_rollouts)]
        scores.append(torch.stack([_probability(completion, models) for completion in completions]).mean())
    return torch.stack(walk.clicks), torch.stack(scores)


def _complete(prefix: _Walk, models: PlainNetworks, longest: int, generator: torch.Generator) -> _Walk:
    """A copy of an unfinished session, carried on to its end."""
    walk = _Walk([*prefix.slates], [*prefix.clicks], [*prefix.rewards], prefix.policy_state)
    while not _extend(walk, models, longest, generator):
        pass
    return walk


def _extend(walk: _Walk, models: PlainNetworks, longest: int, generator: torch.Generator) -> bool:
    """One more step, and whether it was the last.

    The policy carries its state; the user model starts from the session's beginning again.
    """
    policy, user, num_items = models.policy, models.user_model, models.policy.encoder.num_items
    device = policy.head.weight.device
    no_click = torch.full((), num_items, device=device)
    last = walk.clicks[-1] if walk.clicks else no_click
    output, walk.policy_state = policy.encoder.rnn(policy.encoder.embedding(last).view(1, 1, -1), walk.policy_state)
    chances = policy.head(output[0, 0]).softmax(-1)
    slate = torch.multinomial(chances, models.slate_size, replacement=False, generator=generator)
    options = torch.cat([slate, no_click.unsqueeze(0)]) if models.leave_option else slate
    # The encoder gives the states before clicks, so the step to come needs a click, whichever.
    hidden = user.encoder(torch.stack([*walk.clicks, no_click]))[-1]
    choice = torch.multinomial(user.click_logits(hidden, options).softmax(-1), 1, generator=generator)
    click = options[choice[0]]
    left = int(click) == num_items
    reward = (
        torch.zeros((), device=device)
        if left
        else torch.bernoulli(user.reward_logit(hidden, click).sigmoid(), generator=generator)
    )
    walk.slates.append(options)
    walk.clicks.append(click)
    walk.rewards.append(reward)
    ended = left if models.leave_option else float(reward) == 0
    return ended or len(walk.clicks) >= longest


def _probability(walk: _Walk, models: PlainNetworks) -> Tensor:
    """D of a whole session."""
    logit = models.discriminator.logit(walk.slates, torch.stack(walk.clicks), torch.stack(walk.rewards))
    return logit.sigmoid()
