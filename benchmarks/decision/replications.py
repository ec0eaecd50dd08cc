"""Share of right verdicts of a decision, over many small logs of worlds whose truth is known."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import check_at_least, check_distinct, check_positive, command_line
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.benchmarks.ope_worlds import (
    MAX_STEPS,
    Target,
    World,
    make_scored_target,
    make_targets,
    make_world,
    true_value,
)
from irecgan_gym.collection import collect
from irecgan_gym.mdp import RecommendationMDP
from irecgan_gym.ope import EvaluationPolicy, LoggedSlates, PlackettLucePolicy, fixed_scores
from irecgan_gym.ope.decision import Decision, decide
from irecgan_gym.ope.plackett_luce import sample_slates
from irecgan_gym.storage.files import write_atomically

Case = Literal["equal", "equal, own log", "different", "different, own log"]
CASES: tuple[Case, ...] = ("equal", "equal, own log", "different", "different, own log")
VERDICTS = ("better", "worse", "not known")
COLUMNS = ("case", "truth", "sessions", "replications", *VERDICTS, "wrong", "believed", "covered")
_WORLDS = 20
"""Worlds that replications take in turn: the truth of each is worked out once."""


@dataclass(frozen=True, kw_only=True)
class DecisionReplications:
    """Say how often verdicts are wrong: policies of equal value, and better and worse ones, by logs of known truth."""

    out: Path
    """File for the table (CSV)."""
    cases: tuple[Case, ...] = CASES
    """Pairs of policies: of equal value, or different; judged by a log of random slates, or one that the current policy
    made itself."""
    sessions: int = 500
    """Sessions of a log."""
    replications: int = 200
    """Logs of each case."""
    strength: float = 0.5
    """How far policies are from random slates: factor of their scores."""
    truth_sessions: int = 40_000
    """Sessions of each policy itself, for the truth of different ones."""
    seed: int = 0
    """Of worlds, policies and logs."""

    def execute(self, console: Console) -> None:
        """Run all cases; the table is written after each."""
        check_distinct(cases=self.cases)
        check_positive(replications=self.replications, sessions=self.sessions, truth_sessions=self.truth_sessions)
        check_at_least(0, seed=self.seed)
        rows: list[Sequence[object]] = []
        for case in self.cases:
            rows += rows_of(case, self.sessions, list(replicate(case, self)))
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
            write_atomically(self.out, text.getvalue().encode())
            console.print(f"{case}: done", highlight=False)
        text_table("verdicts", COLUMNS, [tuple(map(str, row)) for row in rows]).print(console)


class Judged(NamedTuple):
    """A decision beside the truth.

    Attributes:
        decision: what was said.
        gap: true value of the new policy less that of the current one.
    """

    decision: Decision
    gap: float

    @property
    def covered(self) -> bool:
        """True if there is an interval that holds the gap."""
        interval = self.decision.interval
        return interval is not None and interval.low <= self.gap <= interval.high


def rows_of(case: Case, sessions: int, judged: Sequence[Judged]) -> list[Sequence[object]]:
    """Return a row for each kind of truth: how often each verdict was given, and how often it was wrong.

    The last two columns are of intervals: those that could be believed, and those of them that hold the true gap.
    """
    rows: list[Sequence[object]] = []
    for truth, members in (
        ("equal", [one for one in judged if one.gap == 0]),
        ("better", [one for one in judged if one.gap > 0]),
        ("worse", [one for one in judged if one.gap < 0]),
    ):
        if members:
            counts: Counter[str] = Counter(one.decision.verdict for one in members)
            wrong = len(members) - counts["not known"] - (counts[truth] if truth in VERDICTS else 0)
            believed = [one for one in members if one.decision.is_believed]
            covered = sum(one.covered for one in believed)
            verdicts = (counts[verdict] for verdict in VERDICTS)
            rows.append((case, truth, sessions, len(members), *verdicts, wrong, len(believed), covered))
    return rows


def replicate(case: Case, settings: DecisionReplications) -> Iterator[Judged]:
    """Judge pairs of policies by one log after the other."""
    pairs = [_pair(case, number, settings) for number in range(min(_WORLDS, settings.replications))]
    for number in range(settings.replications):
        pair = pairs[number % len(pairs)]
        seed = int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])
        own = case.endswith("own log")
        num_items, size = pair.world.mdp.num_items, pair.world.slate_size
        uniform = PlackettLucePolicy(fixed_scores(np.zeros(num_items)), num_items, size)
        shown: EvaluationPolicy = pair.current.policy if own else uniform
        scores = pair.current.scores if own else np.zeros_like(pair.current.scores)
        sessions = collect(
            ScoresByClick(scores, size),
            "RecSim-v0",
            settings.sessions,
            seed,
            deterministic=False,
            max_session_steps=MAX_STEPS,
            env_kwargs={"mdp": pair.world.mdp, "slate_size": size},
        )
        # Who judges by a log does not see what users are like.
        columns = sessions.to_columns() | {"states": None}
        log = LoggedSlates(type(sessions).from_columns(**columns), shown)
        yield Judged(decide(log, pair.new.policy, None if own else pair.current.policy), pair.gap)


class Pair(NamedTuple):
    """Two policies and their truth.

    Attributes:
        world: where they act.
        current: the one to be replaced.
        new: the one to replace it.
        gap: true difference of what a session earns.
    """

    world: World
    current: Target
    new: Target
    gap: float


def _pair(case: Case, number: int, settings: DecisionReplications) -> Pair:
    seed = settings.seed + number
    if case.startswith("equal"):
        world = twin_world(make_world("small", seed))
        (current,) = make_targets(world, (settings.strength,), seed)
        return Pair(world, current, twin_target(world, current), 0.0)
    world = make_world("small", seed)
    (current,), (new,) = (make_targets(world, (settings.strength,), other) for other in (seed, seed + 1000))
    now, then = (true_value(world, target, 1.0, settings.truth_sessions, seed + 2000)[0] for target in (current, new))
    return Pair(world, current, new, then - now)


def twin_world(world: World) -> World:
    """Return a world in which items 0 and 1, 2 and 3, ... are alike to users; an even number of items."""
    first = np.arange(world.mdp.num_items) // 2 * 2
    mdp = RecommendationMDP(world.mdp.rewards[:, first], world.mdp.transitions[:, first])
    return World(f"{world.name}-twins", mdp, world.slate_size)


def twin_target(world: World, target: Target) -> Target:
    """Return a policy that shows the twin of every item that another shows, and so earns exactly the same."""
    twin = np.arange(world.mdp.num_items) ^ 1
    clicks = np.append(twin, world.mdp.num_items)
    return make_scored_target(world, f"{target.name}, twins", target.scores[clicks][:, twin])


class ScoresByClick:
    """Policy that draws slates from a softmax of scores by the click before.

    Args:
        scores: [n + 1, n]; the last row is for the start of a session.
        slate_size: k.
    """

    def __init__(self, scores: NDArray[np.float64], slate_size: int) -> None:
        self._scores = scores
        self._slate_size = slate_size
        self._rng = np.random.default_rng(0)

    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are drawn from now on."""
        self._rng = np.random.default_rng(seed)

    def predict(
        self, observation: NDArray[np.int64], state: None = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[NDArray[np.int64], None]:
        """Draw slates after the last clicks, [B] to [B, k]."""
        return sample_slates(self._scores[observation], self._slate_size, self._rng), None

    def select(self, state: None, rows: NDArray[np.int64]) -> None:
        """Nothing is remembered of a session."""


if __name__ == "__main__":
    sys.exit(command_line(DecisionReplications))
