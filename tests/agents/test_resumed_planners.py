"""Planners whose training was stopped go on after the searches that are over, to the same end, to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium as gym
import pytest

from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.cautious_planner import CautiousPlanner, CautiousPlannerConfig
from irecgan_gym.agents.choice_planner import ChoicePlanner, ChoicePlannerConfig
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig
from irecgan_gym.agents.posterior_planner import PosteriorPlanner, PosteriorPlannerConfig
from irecgan_gym.storage.checkpoints import CheckpointError, Checkpoints
from tests.golden.runs import Tape
from tests.stopped import Stopped


@pytest.fixture(scope="module")
def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=12, slate_size=3).unwrapped.collect(20, seed=0)


PLANNERS = {
    "choice": (ChoicePlanner, ChoicePlannerConfig()),
    "latent": (LatentPlanner, LatentPlannerConfig(num_states=(3,), num_starts=2)),
    "posterior": (PosteriorPlanner, PosteriorPlannerConfig(num_states=(3,), spreads=(1.2,), num_draws=2)),
    "auto": (AutoPlanner, AutoPlannerConfig(links=("tied",), spreads=(0.6,), num_states=(3,), num_folds=2)),
    "cautious": (CautiousPlanner, CautiousPlannerConfig(links=("tied",), spreads=(0.6,), num_states=(3,), num_folds=2)),
}


def planned(kind, sessions, resume=None, seed=2, **changes):
    """The planner's file after learning, and what was recorded."""
    agent_type, config = PLANNERS[kind]
    agent, tape = agent_type(12, 3, replace(config, **changes), seed=seed), Tape()
    agent.learn(sessions, recorder=tape, resume=resume)
    with TemporaryDirectory() as folder:
        agent.save(Path(folder) / "agent.safetensors")
        return (Path(folder) / "agent.safetensors").read_bytes(), repr(tape.rows)


@pytest.mark.parametrize("kind", PLANNERS)
def test_planners_go_on_after_any_search(kind, log, writes, tmp_path):
    unbroken = planned(kind, log)
    place = Checkpoints(tmp_path / "whole", seconds=0)
    assert planned(kind, log, place) == unbroken
    number = len(writes)
    assert writes == [(f"search-{one:04}", 1, True) for one in range(1, number + 1)]
    assert planned(kind, log, place) == unbroken
    assert len(writes) == number, "nothing is searched for again"
    writes.clear()
    writes.allowed = max(number // 2, 1)
    with pytest.raises(Stopped):
        planned(kind, log, Checkpoints(tmp_path / "broken", seconds=0))
    writes.allowed = None
    assert planned(kind, log, Checkpoints(tmp_path / "broken", seconds=0)) == unbroken
    assert len(writes) == number


def test_searches_of_another_planner_are_not_taken(log, tmp_path):
    planned("latent", log, tmp_path)
    for changes in ({"seed": 3}, {"num_starts": 1}):
        with pytest.raises(CheckpointError, match="another training"):
            planned("latent", log, tmp_path, **changes)
