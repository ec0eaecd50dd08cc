"""The command `irecgan-gym decide`: from a log and two policies to a page with a plain verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from irecgan_gym.agents import Agent, RandomPolicy
from irecgan_gym.agents.slate_probabilities import Deployment
from irecgan_gym.benchmarks.decision.account import Side, account_of
from irecgan_gym.benchmarks.decision.page import decision_html
from irecgan_gym.benchmarks.engine.command import SettingsError, check_at_least, check_known
from irecgan_gym.benchmarks.engine.experiment import check_device
from irecgan_gym.benchmarks.jobs.options import load_agent
from irecgan_gym.benchmarks.log_data import FORMATS, read_log
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.ope import LoggedSlates, SlatePropensities, fit_logging_policy
from irecgan_gym.ope.policies import EvaluationPolicy
from irecgan_gym.sessions import Sessions
from irecgan_gym.storage.files import write_atomically

Source = Literal["auto", "log", "current", "estimated"]
LOGGED, RANDOM = "logged", "random"
_KNOWN = {"state": "the user's true state", "history": "slates and clicks before", "clicks": "the clicks before"}


@dataclass(frozen=True, kw_only=True)
class Decide:
    """Say from a log whether a new policy is better than the current one, on one self-contained HTML page."""

    log: Path
    """The sessions: a file, or a folder for formats of several files."""
    new: str
    """Policy that may be deployed: the file of a trained agent, or random."""
    current: str = LOGGED
    """Policy to be replaced: the file of a trained agent, random, or logged: the one that made the log."""
    out: Path = Path("decision.html")
    """The page."""
    format: str = "sessions"
    """Format of the log."""
    on_error: Literal["raise", "skip"] = "raise"
    """Effect of a malformed row: it ends the job, or is skipped and counted."""
    deployment: Deployment = "sampled"
    """Slates of the new policy: drawn from it (sampled), or its best ones (top-k)."""
    current_deployment: Deployment = "sampled"
    """Slates of the current policy."""
    epsilon: float = 0.0
    """Share of uniformly random slates among those of a policy deployed by top-k."""
    propensities: Source = "auto"
    """Probabilities of the logged slates: from the log's own columns (log), those of the current policy, which then
    made the log (current), or estimated by a model of the logging policy. auto takes the first that there is."""
    user_model: Path | None = None
    """File of a user model, as saved by `irecgan-gym fit`, in which both policies are played too."""
    agent_class: str | None = None
    """Class of agents that are not of the suite, as module:Class."""
    gamma: float = 1.0
    """Discount factor of a step."""
    margin: float = 0.0
    """Smallest difference in what a session earns that counts."""
    seed: int = 0
    """Seed of everything that is random."""
    device: str = "auto"
    """Device to compute on: auto, cpu, cuda."""

    def execute(self, console: Console) -> None:
        """Read, judge and write the page.

        Raises:
            SettingsError: settings that make no sense, or that do not fit the log.
        """
        self._check()
        sessions, report = read_log(self.log, self.format, self.on_error)
        new = self._side("new", self.new, self.deployment, sessions)
        current = self._side("current", self.current, self.current_deployment, sessions)
        user_model = None if self.user_model is None else UserModel.load(self.user_model, device=self.device)
        try:
            logging, source = self._logging(sessions, current)
            account = account_of(
                LoggedSlates(sessions, logging),
                new,
                current,
                source=source,
                gamma=self.gamma,
                margin=self.margin,
                user_model=user_model,
                seed=self.seed,
            )
        except ValueError as error:
            raise SettingsError(f"--log {self.log}: {error}") from error
        write_atomically(self.out, decision_html(account, self._settings(), report).encode())
        console.print(str(account.decision), markup=False, highlight=False, soft_wrap=True)
        console.print("written:", self.out, soft_wrap=True)

    def _check(self) -> None:
        check_known(FORMATS, format=(self.format,))
        check_at_least(0, seed=self.seed)
        check_device(self.device)
        for name, value, low, high in (("gamma", self.gamma, 0, 1), ("epsilon", self.epsilon, 0, 1)):
            if not low <= value <= high:
                raise SettingsError(f"--{name} must be from {low} to {high}, got {value}")
        if not self.margin >= 0:
            raise SettingsError(f"--margin must not be negative, got {self.margin}")
        if self.new == LOGGED:
            raise SettingsError("--new takes the file of an agent, or random")
        if self.propensities == "current" and self.current == LOGGED:
            raise SettingsError("--propensities current takes the current policy, which --current must name")

    def _side(self, name: str, given: str, deployment: Deployment, sessions: Sessions) -> Side:
        """Return one of the two policies, as it is deployed."""
        if given == LOGGED:
            return Side(name, "the policy that made the log", None, None)
        agent: Agent
        if given == RANDOM:
            agent = RandomPolicy(sessions.num_items, sessions.slate_size, seed=self.seed)
        else:
            agent = load_agent(Path(given), self.device, self.agent_class)
        if agent.num_items != sessions.num_items:
            raise SettingsError(f"--{name} {given}: it has {agent.num_items} items, the log {sessions.num_items}")
        agent.set_random_seed(self.seed)
        epsilon = self.epsilon if deployment == "top-k" else 0.0
        try:
            policy = agent.evaluation_policy(deployment, epsilon=epsilon)
        except NotImplementedError as error:
            raise SettingsError(f"--{name} {given}: {error}") from error
        if given == RANDOM:
            return Side(name, "random slates", agent.evaluation_policy(), agent)
        shown = "slates drawn from it" if deployment == "sampled" else "its best slates"
        if epsilon:
            shown += f", {epsilon:.0%} random ones"
        return Side(name, f"{Path(given).name}, {shown}", policy, agent, deployment == "top-k")

    def _logging(self, sessions: Sessions, current: Side) -> tuple[EvaluationPolicy | SlatePropensities, str]:
        """Return who showed the logged slates, and where that is known from."""
        recorded = sessions.slate_propensities
        if self.propensities == "log" and recorded is None:
            raise SettingsError(f"--propensities log: {self.log} holds no probabilities of its slates")
        if recorded is not None and self.propensities in ("auto", "log"):
            how = " (a model's estimate)" if recorded.estimated else ""
            return recorded, f"columns of the log{how}, given {_KNOWN[recorded.given]}"
        if self.propensities == "current" or (self.propensities == "auto" and current.policy is not None):
            assert current.policy is not None
            return current.policy, "the current policy, which is taken to have made the log"
        return fit_logging_policy(sessions), "estimated by a model of the logging policy"

    def _settings(self) -> dict[str, object]:
        return {
            "log": self.log,
            "current policy": self.current,
            "new policy": self.new,
            "propensities": self.propensities,
            "discount": self.gamma,
            "margin": self.margin,
            "seed": self.seed,
        }
