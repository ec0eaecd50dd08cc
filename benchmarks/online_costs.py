"""What jobs of the simulated online test take before any of them has been done here: a table measured once.

Seconds of one processor core (two-core virtual machine, one thread), preset ``fast``, RecSim-v0, seed 0, deployed for
1,000 sessions twice. Good for planning within a factor of two or so; a run corrects it by its own finished jobs.
"""

from __future__ import annotations

import numpy as np
from irecgan_gym.benchmarks.measurements import Job

_SESSIONS = (200, 1_000, 10_000)
# After sessions of the max policy, in the order of _SESSIONS.
_SECONDS = {
    "logging-policy": (0.01, 0.01, 0.02),
    "random": (0.02, 0.02, 0.02),
    "popularity": (0.02, 0.02, 0.03),
    "max-reward": (0.1, 0.1, 0.1),
    "belief": (3.0, 3.0, 3.0),
    "optimal": (0.1, 0.1, 0.1),
    "pg-limit": (0.1, 0.1, 0.1),
    "irecgan": (5.2, 16.0, 63.0),
    "pg": (1.4, 1.7, 11.0),
    "pgis": (0.6, 0.8, 6.2),
    "ac": (1.2, 1.8, 7.5),
    "lstm": (0.8, 3.1, 21.0),
    "lstmd": (5.3, 12.0, 58.0),
    "pgu": (2.3, 6.4, 39.0),
    "acu": (2.2, 10.0, 29.0),
    "pgc": (1.3, 3.0, 19.0),
}
# Mean length of the logged sessions: training costs by the step.
_LENGTH = {"random": 2.8, "max": 9.2, "mix": 4.0}


def fast_preset_seconds(job: Job) -> float | None:
    """Seconds that a job takes with the preset ``fast``; None for an agent that is not in the table.

    Costs between the sizes that were measured are interpolated on logarithmic scales, beyond the largest one they grow
    in proportion.
    """
    seconds = _SECONDS.get(job.agent)
    length = _LENGTH.get(job.logging_policy)
    if seconds is None or length is None:
        return None
    sessions = job.num_sessions * length / _LENGTH["max"]
    inside = float(np.exp(np.interp(np.log(sessions), np.log(_SESSIONS), np.log(seconds))))
    return inside * max(1.0, sessions / _SESSIONS[-1])
