"""The sizes at which phases are timed: a log, a catalogue and networks that belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import gymnasium as gym
import numpy as np
import torch

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.benchmarks.throughput.synthetic_logs import CIKM, LogShape, log_of_shape
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions

ShapeName = Literal["cikm", "max", "fast"]

_TINY = EncoderConfig(hidden_size=8, embedding_size=4)
# Tables under which `max` sessions have the mean length, 11.6, of the log that the authors' code was timed on.
_MDP_SEED = 53


@dataclass(frozen=True)
class Method:
    """Networks, and the numbers of the method on which costs depend.

    Attributes:
        encoder: recurrent state of agent, user model and discriminator.
        ending: how sessions end, see :class:`~irecgan_gym.models.user_model.UserModelConfig`.
        fit: of all three.
        num_rollouts: completions for each score of Eq 6, N.
        gamma: discount factor of the reward-to-go.
        lambda_r: weight of rewards against the constant 1 in Eq 10.
        temperature: see :class:`~irecgan_gym.models.discriminator.DiscriminatorConfig`.
    """

    encoder: EncoderConfig
    ending: Literal["reward", "leave"]
    fit: FitConfig
    num_rollouts: int = 5
    gamma: float = 0.9
    lambda_r: float = 3.0
    temperature: float = 0.1


# The paper's networks and numbers (§7.1), and those of the preset `fast`.
PAPER = Method(
    EncoderConfig(num_layers=2, hidden_size=512, embedding_size=50, embedding_std=1.0),
    "reward",
    FitConfig(learning_rate=1e-4, weight_decay=0.0),
)
FAST = Method(EncoderConfig(hidden_size=64, embedding_size=50), "reward", FitConfig())


@dataclass(frozen=True)
class Shape:
    """A log and the networks that learn from it.

    Attributes:
        name: as it appears in tables.
        log: shape of a synthetic log; None for logs of ``RecSim-v0`` under the ``max`` policy.
        num_sessions: logged sessions that an epoch goes over.
        slate_size: items that the agent shows.
        config: networks and numbers of the method.
        most_threads: beyond which small networks only get slower; None where they are large.
    """

    name: str
    log: LogShape | None
    num_sessions: int
    slate_size: int
    config: Method
    most_threads: int | None = None

    @property
    def num_items(self) -> int:
        """Size of the catalogue, n."""
        return 50 if self.log is None else self.log.num_items

    @property
    def user_model_config(self) -> UserModelConfig:
        """Settings of the user model."""
        return UserModelConfig(self.num_items, self.slate_size, self.config.ending, self.config.encoder)

    def sessions(self, seed: int) -> Sessions:
        """The log, drawn from a seed."""
        if self.log is not None:
            return log_of_shape(self.log, self.num_sessions, np.random.default_rng(seed))
        env = gym.make("RecSim-v0", logging_policy="max", mdp_seed=_MDP_SEED)
        collected: Sessions = env.get_wrapper_attr("collect")(self.num_sessions, seed=seed)
        return replace(collected, propensities=None, states=None)

    def description(self) -> str:
        """One line for the report."""
        encoder = self.config.encoder
        source = (
            "`max` logs of RecSim-v0" if self.log is None else f"synthetic logs, mean length {self.log.mean_length}"
        )
        return (
            f"{source}; {self.num_sessions:,} sessions, {self.num_items:,} items, slates of {self.slate_size}, "
            f"{encoder.num_layers}x{encoder.hidden_size} {encoder.cell.upper()}"
        )


def shape(name: ShapeName, *, cikm_sessions: int, max_sessions: int, cikm_items: int = CIKM.num_items) -> Shape:
    """Return a shape that the benchmark knows.

    Args:
        name: ``"cikm"``, the size of the paper's real data, and ``"max"``, logs of the simulator, both with the paper's
            networks; ``"fast"``, the same logs with small ones.
        cikm_sessions: sessions of the first.
        max_sessions: sessions of the others.
        cikm_items: catalogue of the first.
    """
    if name == "cikm" and cikm_items != CIKM.num_items:
        log = replace(CIKM, num_items=cikm_items)
        return Shape(f"cikm, {cikm_items:,} items", log, cikm_sessions, 25, replace(PAPER, ending="leave"))
    if name == "cikm":
        return Shape(name, CIKM, cikm_sessions, 25, replace(PAPER, ending="leave"))
    if name == "max":
        return Shape(name, None, max_sessions, 10, PAPER)
    return Shape(name, None, max_sessions, 10, FAST, 1)


def smoke_shape(name: ShapeName) -> Shape:
    """A shape so small that its figures mean nothing, to see whether the command works."""
    config = replace(FAST, encoder=_TINY, num_rollouts=2)
    if name == "cikm":
        return Shape(name, LogShape(60, slate_sizes=(3, 6)), 12, 4, replace(config, ending="leave"), 1)
    return Shape(name, None, 12, 10, config, 1)


@dataclass(frozen=True)
class Networks:
    """Agent, user model and discriminator of a shape."""

    policy: SlatePolicy
    user_model: UserModel
    discriminator: Discriminator


def networks(shape: Shape, device: torch.device) -> Networks:
    """New networks, put together as IRecGAN does it."""
    config, num_items = shape.config, shape.num_items
    return Networks(
        build(
            lambda: SlatePolicy(num_items, shape.slate_size, config.encoder), torch.Generator().manual_seed(0), device
        ),
        UserModel.create(shape.user_model_config, seed=1, device=device),
        Discriminator.create(
            DiscriminatorConfig(num_items, config.encoder, config.temperature),
            seed=2,
            device=device,
        ),
    )
