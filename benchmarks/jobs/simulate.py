"""Play sessions of a policy into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console

from irecgan_gym.agents import Agent
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.benchmarks.engine.command import SettingsError, check_at_least, check_positive
from irecgan_gym.benchmarks.engine.experiment import check_device
from irecgan_gym.benchmarks.jobs.options import load_agent
from irecgan_gym.benchmarks.joining import check_env, read_env_kwargs
from irecgan_gym.collection import collect
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions

MOST_SESSIONS = 50_000_000
"""They are in memory all at once."""


@dataclass(frozen=True, kw_only=True)
class Simulate:
    """Play sessions of an environment, or of a fitted user model, under a policy, and save them as Parquet."""

    out: Path
    """Parquet file for the sessions."""
    policy: str = "random"
    """Policy: random, max or mix (logging policies; max and mix are RecSim's), or the file of a trained agent."""
    agent_class: str | None = None
    """Class of an agent that is not of the suite, as module:Class."""
    env: str = "RecSim-v0"
    """Environment: RecSim-v0, RecSim-Observable-v0, RecSim-Planning-v0, or any registered one (module:id)."""
    env_kwargs: str = "{}"
    """Arguments of the environment as JSON, or @FILE of JSON, e.g. '{"mdp_seed": 3}'."""
    user_model: Path | None = None
    """File of a user model, as saved by `irecgan-gym fit`, whose users are played instead."""
    sessions: int = 1000
    """Sessions to play."""
    max_session_steps: int = 40
    """Steps after which a session is cut."""
    top: bool = False
    """Show the agent's top items, not slates drawn from its policy."""
    slate_propensities: bool = False
    """Log the exact probabilities of whole slates and of each place, too."""
    seed: int = 0
    """Seed of users and slates."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda."""

    def execute(self, console: Console) -> None:
        """Play and save."""
        sessions = self.play()
        sessions.save(self.out)
        console.print(str(sessions.statistics()), markup=False, highlight=False)
        console.print("written:", self.out, soft_wrap=True)

    def play(self) -> Sessions:
        """Check the options and play the sessions.

        Raises:
            SettingsError: with the option and what it takes.
        """
        check_positive(sessions=self.sessions, max_session_steps=self.max_session_steps)
        if self.sessions > MOST_SESSIONS:
            raise SettingsError(
                f"--sessions must be at most {MOST_SESSIONS:,}, which memory holds, got {self.sessions:,}: "
                "irecgan-gym simulate-many plays any number, part by part"
            )
        check_at_least(0, seed=self.seed)
        check_device(self.device)
        env, kwargs = self.env, read_env_kwargs(self.env_kwargs)
        if self.user_model is not None:
            env, kwargs = "UserModel-v0", {"user_model": UserModel.load(self.user_model, device=self.device), **kwargs}
        check_env(env, kwargs)
        return self._play(env, kwargs)

    def _play(self, env: str, kwargs: dict[str, Any]) -> Sessions:
        policy: Agent
        if self.policy in ("random", "max", "mix"):
            options = kwargs if self.user_model is not None else {**kwargs, "logging_policy": self.policy}
            made = gym.make(env, **options)
            if made.has_wrapper_attr("collect"):
                logged: Sessions = made.get_wrapper_attr("collect")(
                    self.sessions,
                    seed=self.seed,
                    max_session_steps=self.max_session_steps,
                    **({"slate_propensities": True} if self.slate_propensities else {}),
                )
                return logged
            slates = made.action_space.nvec  # type: ignore[attr-defined]
            policy = RandomPolicy(int(slates[0]), len(slates), seed=self.seed)
        else:
            policy = load_agent(Path(self.policy), self.device, self.agent_class)
        sessions = collect(
            policy,
            env,
            self.sessions,
            self.seed,
            deterministic=self.top,
            max_session_steps=self.max_session_steps,
            env_kwargs=kwargs,
        )
        if not self.slate_propensities:
            return sessions
        shown = policy.evaluation_policy("top-k" if self.top else "sampled")
        return sessions.with_slate_propensities(shown.propensities(sessions))
