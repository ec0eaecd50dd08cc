"""An agent that is not of the suite, joined by its name as module:Class."""

import json
from pathlib import Path

import numpy as np


class FirstItems:
    """Shows the first items of the catalogue; not even a subclass of Agent."""

    def __init__(self, num_items, slate_size, config=None, *, seed=0, device="auto"):
        self.num_items, self.slate_size = num_items, slate_size

    def learn(self, sessions, validation=None, *, recorder=None):
        recorder.record({"train/sessions": float(len(sessions))}, 0)
        return self

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.tile(np.arange(self.slate_size), (len(np.atleast_1d(observation)), 1)), None

    def slate_scores(self, sessions):
        return -sessions.slate_items.astype(np.float32)

    def save(self, path):
        Path(path).write_text(json.dumps([self.num_items, self.slate_size]))

    @classmethod
    def load(cls, path, *, device="auto"):
        return cls(*json.loads(Path(path).read_text()))
