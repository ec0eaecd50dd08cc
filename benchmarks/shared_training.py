"""Agents that begin with the same training, or end with it, are trained once: jobs take over what others have learned.

PGC, PGU and IRecGAN pre-train the policy that PG is and the user model that LSTM is, ACU the policy of AC, and LSTMD
acts by the user model of IRecGAN. Networks of one name and seed are the same, so results do not depend on the order of
jobs.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import Any

from irecgan_gym.agents.ac import AC
from irecgan_gym.agents.base import Agent
from irecgan_gym.agents.irecgan import IRecGAN
from irecgan_gym.agents.lstm import LSTM, LSTMD
from irecgan_gym.agents.pg import PG, PGC
from irecgan_gym.agents.pgu import ACU, PGU
from irecgan_gym.agents.planner import Planner
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.pre_training import DifferentStart, start_from
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.rerank_features import label, of_label
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionLog
from irecgan_gym.sessions.digest import digest_of_log
from irecgan_gym.storage.checkpoints import Checkpoints, stored_schedule

_STAGES = {PG.kind: 0, AC.kind: 0, LSTM.kind: 0, LSTMD.kind: 2}


def stage_of(job: Job) -> int:
    """Return the stage of a job: agents that others begin with come first, LSTMD after IRecGAN.

    Jobs run side by side, and one that comes before the agent that it would take over trains it once more.
    """
    return _STAGES.get(of_label(job.agent)[0].partition("+")[0], 1)


def learn_job(
    agent: Agent,
    job: Job,
    folder: RunFolder,
    sessions: Sessions,
    validation: Sessions | None = None,
    *,
    recorder: Recorder,
) -> dict[str, float]:
    """Train the agent of a job, store it in the run folder, and return the treatment that it has had.

    What the folder holds of the same cell and seed is taken over where the agent would learn the same numbers.

    Args:
        agent: learns in place.
        job: what it is trained for.
        folder: of the run.
        sessions: to learn from.
        validation: held-out sessions, or None.
        recorder: receives the numbers of training.
    """
    training = folder.training(job)
    irecgan = _stored(IRecGAN, agent, job, folder) if isinstance(agent, LSTMD) else None
    if isinstance(agent, LSTMD) and irecgan is not None and irecgan.config == agent.config.irecgan:
        agent.adopt(irecgan)
    else:
        if isinstance(agent, PolicyAgent):
            _start(agent, job, folder)
        agent.learn(sessions, validation, recorder=recorder, **checkpointed(agent, training))
    agent.save(folder.checkpoint(job))
    shutil.rmtree(training.folder, ignore_errors=True)
    return dict(agent.treatment) if isinstance(agent, PolicyAgent) else {}


def checkpointed(agent: Agent, checkpoints: Checkpoints) -> dict[str, Any]:
    """Return the argument by which an agent's training keeps checkpoints; none for a class with a ``learn`` of its own.

    Args:
        agent: is going to learn.
        checkpoints: where, and how often.
    """
    return {"resume": checkpoints} if isinstance(agent, (PolicyAgent, Planner)) else {}


def fit_checkpointed(
    model: UserModel,
    fit: FitConfig,
    training: SessionLog,
    validation: SessionLog | None,
    *,
    seed: int,
    recorder: Recorder,
    resume: Checkpoints,
) -> None:
    """Fit a user model with checkpoints, from which the same call for the same model goes on.

    Args:
        model: fitted in place.
        fit: how.
        training: sessions to learn from.
        validation: held-out sessions; a part of ``training`` when None.
        seed: of the order of batches.
        recorder: receives the numbers of training.
        resume: where checkpoints are kept, and how often they are taken.
    """
    what = {
        "model": asdict(model.config),
        "fit": asdict(fit),
        "seed": seed,
        "sessions": digest_of_log(training),
        "validation": None if validation is None else digest_of_log(validation),
    }
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    with stored_schedule(resume, what, recorder, size) as schedule:
        fit_user_model(training, validation, model, fit, seed=seed, recorder=schedule.recorder, schedule=schedule)


def _start(agent: PolicyAgent[Any], job: Job, folder: RunFolder) -> None:
    """Let an agent begin with the networks of others, if the run folder holds them and they would be its own."""
    sources: dict[str, type[Any]] = {}
    if isinstance(agent, (PGC, PGU, ACU, IRecGAN)):
        sources["policy"] = AC if isinstance(agent, ACU) else PG
    if isinstance(agent, (PGU, ACU, IRecGAN)):
        sources["user_model"] = LSTM
    for network, kind in sources.items():
        source = _stored(kind, agent, job, folder)
        if source is not None:
            try:
                start_from(agent, **{network: source})
            except DifferentStart:  # The agent learns by itself.
                continue


def _stored(kind: type[Any], agent: PolicyAgent[Any], job: Job, folder: RunFolder) -> Any:
    """Return the agent of another kind that the run folder holds of a job's cell, seed and features."""
    _, features = of_label(job.agent)
    path = folder.checkpoint(replace(job, agent=label(kind.kind, features)))
    if not path.exists():
        return None
    found = kind.load(path, device=str(agent.device))
    return found if found.seed == agent.seed else None
