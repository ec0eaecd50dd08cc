"""What tests of agents share: trainings that stop at a checkpoint."""

import pytest

from irecgan_gym.storage.checkpoints import StoredSchedule
from tests.agents.stopped import Stopped


@pytest.fixture
def writes(monkeypatch):
    """Checkpoints that were written; training stops after as many as ``writes.allowed``."""

    class Writes(list):
        allowed = None

    writes, write = Writes(), StoredSchedule._write

    def counted(self, kept):
        write(self, kept)
        writes.append((kept.phase, kept.position, kept.over))
        if len(writes) == writes.allowed:
            raise Stopped

    monkeypatch.setattr(StoredSchedule, "_write", counted)
    return writes
