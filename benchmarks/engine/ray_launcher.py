"""Jobs on the machines of a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import torch

from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.launcher import Outcomes
from irecgan_gym.benchmarks.engine.processors import THREAD_VARIABLES, Processes
from irecgan_gym.benchmarks.engine.progress import JobProgress
from irecgan_gym.benchmarks.engine.run_folder import RunFolder
from irecgan_gym.benchmarks.engine.run_folder_error import RunFolderError
from irecgan_gym.benchmarks.engine.worker import Failed, Outcome, Work, do_job

ATTEMPTS = 3
"""Times that a job is begun whose process or machine dies; on a cluster, that need not be the job's fault."""


_DEATHS = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError,
    ray.exceptions.OutOfMemoryError,
)


class RayLauncher:
    """Does jobs as tasks of Ray; this process hands them out and keeps the tables.

    The suite must be installed on every machine, and the run folder, like the logs that jobs read, be in a file system
    that all of them see under the same path. A job whose worker dies is begun again.
    """

    @property
    def processors(self) -> int:
        """Processors of the cluster as it is now."""
        return int(ray.cluster_resources().get("CPU", 0))

    def launch(
        self, waiting: Sequence[Job], work: Work, folder: RunFolder, progress: JobProgress, processes: Processes
    ) -> Outcomes:
        """See :meth:`~irecgan_gym.benchmarks.engine.launcher.Launcher.launch`."""
        task: Any = ray.remote(_do_job_here).options(
            num_cpus=processes.threads,
            # Ray would begin a job that ran out of memory again and again.
            max_retries=0,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(processes.threads))},
        )
        # In a list, so that workers load it when they are where the command is, and find what it needs.
        shared = [ray.put(work)]
        queue, attempts = list(reversed(waiting)), dict.fromkeys(waiting, 0)
        at_work: dict[Any, Job] = {}

        def begin(job: Job) -> None:
            attempts[job] += 1
            at_work[task.remote(shared, job, folder, os.getcwd(), sys.path, processes.threads)] = job

        try:
            while queue or at_work:
                while queue and len(at_work) < processes.jobs:
                    job = queue.pop()
                    begin(job)
                    progress.started(job)
                (ready,), _ = ray.wait(list(at_work), num_returns=1)
                job = at_work.pop(ready)
                outcome = _outcome(ready)
                if outcome is None and attempts[job] < ATTEMPTS:
                    progress.said(job, f"its worker died: begun again, {attempts[job] + 1} of {ATTEMPTS}")
                    begin(job)
                    continue
                yield job, _given_up() if outcome is None else outcome
        finally:
            for reference in at_work:
                ray.cancel(reference, force=True)


@contextmanager
def ray_cluster(address: str | None, processors: int) -> Iterator[RayLauncher]:
    """Be connected to a Ray cluster meanwhile, and launch jobs on it.

    Args:
        address: of a running cluster, such as ``"auto"`` (the one that this machine belongs to) or
            ``"ray://head:10001"``; None for a cluster of this machine alone, which ends with the context.
        processors: of a cluster of this machine alone.

    Raises:
        ConnectionError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield RayLauncher()
        return
    # Ray tells its makers of every cluster unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here = {"num_cpus": processors, "include_dashboard": False} if address is None else {}
    ray.init(address="local" if address is None else address, log_to_driver=False, **here)
    try:
        yield RayLauncher()
    finally:
        ray.shutdown()


def _do_job_here(
    shared: list[Any], job: Job, folder: RunFolder, place: str, modules: list[str], threads: int
) -> Outcome:
    """Do a job in a process of Ray's, as if it were one of the command's own."""
    try:
        os.chdir(place)
        folder.check_there()
    except (OSError, RunFolderError) as error:
        reason = f"{os.uname().nodename} does not see the folders of the command: {error}"
        return Failed(reason, f"{reason}\nThe run folder must be in a file system that all machines share.\n")
    # Agents and metrics of the user's own are found where the command finds them.
    sys.path += [entry for entry in modules if entry not in sys.path]
    torch.set_num_threads(threads)
    return do_job(ray.get(shared[0]), job, folder.tensorboard, lambda text: None)


def _outcome(reference: Any) -> Outcome | None:
    """Return what a task has come to, or None where its process or machine died."""
    try:
        outcome: Outcome = ray.get(reference)
    except _DEATHS:
        return None
    except ray.exceptions.RayError as error:
        return Failed(f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:200]}", f"{error}\n")
    return outcome


def _given_up() -> Failed:
    reason = f"the worker process died, {ATTEMPTS} times"
    return Failed(reason, f"{reason}\nIt left no traceback; a lack of memory is the usual reason.\n")
