"""Agents that differ in nothing that is learnt are trained once: LSTMD acts by the user model of IRecGAN."""

from __future__ import annotations

from dataclasses import replace

from irecgan_gym.agents.base import Agent
from irecgan_gym.agents.irecgan import IRecGAN
from irecgan_gym.agents.lstm import LSTMD
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions


def learn_job(
    agent: Agent,
    job: Job,
    folder: RunFolder,
    sessions: Sessions,
    validation: Sessions | None = None,
    *,
    recorder: Recorder,
) -> None:
    """Train the agent of a job and store it in the run folder.

    LSTMD takes its user model from the folder's IRecGAN of the same cell and seed where that job is done; both would
    learn the same numbers, so results do not depend on the order of jobs.

    Args:
        agent: learns in place.
        job: what it is trained for.
        folder: of the run.
        sessions: to learn from.
        validation: held-out sessions, or None.
        recorder: receives the numbers of training.
    """
    learnt = _irecgan_of(agent, job, folder) if isinstance(agent, LSTMD) else None
    if learnt is not None:
        assert isinstance(agent, LSTMD)
        agent.adopt(learnt)
    else:
        agent.learn(sessions, validation, recorder=recorder)
    agent.save(folder.checkpoint(job))


def _irecgan_of(agent: LSTMD, job: Job, folder: RunFolder) -> IRecGAN | None:
    """Return the IRecGAN that this LSTMD would train, if the run folder holds it."""
    path = folder.checkpoint(replace(job, agent=job.agent.replace(LSTMD.kind, IRecGAN.kind)))
    if not path.exists():
        return None
    irecgan = IRecGAN.load(path, device=str(agent.device))
    return irecgan if (irecgan.config, irecgan.seed) == (agent.config.irecgan, agent.seed) else None
