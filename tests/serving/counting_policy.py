"""A policy whose slates tell the whole history of their session, and services of it."""

from dataclasses import replace

import numpy as np

from irecgan_gym.ope.plackett_luce import prefix_log_probabilities, sample_slates
from irecgan_gym.serving import ServiceError, open_service
from irecgan_gym.serving.event_log import read_log_events
from irecgan_gym.serving.events import Event
from irecgan_gym.slate_requests import SlateChoice, SlateRequest

N, K = 6, 3


class CountingPolicy:
    """Scores items by how often they were clicked in the session: its state, and its slates, tell all clicks."""

    num_items, slate_size = N, K

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.calls = 0

    def set_random_seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def predict(self, *arguments, **options):
        choice = self.recommend(*arguments, **options)
        return choice.slates, choice.state

    def recommend(self, observation, state=None, episode_start=None, deterministic=False, *, k=None, exclude=None):
        self.calls += 1
        clicks = np.asarray(observation)
        request = SlateRequest.checked(k, exclude, number=len(clicks), num_items=N, slate_size=K)
        counts = np.zeros((len(clicks), N)) if state is None else np.array(state[0])
        if episode_start is not None:
            counts[episode_start] = 0
        clicked = np.flatnonzero(clicks < N)
        counts[clicked, clicks[clicked]] += 1
        scores = counts + np.arange(N) / 10
        for row, items in zip(scores, request.excluded or (), strict=False):
            row[items] = -np.inf
        if deterministic:
            slates = np.argsort(-scores, axis=1)[:, : request.size]
            return SlateChoice(slates, np.zeros(slates.shape), (counts,))
        slates = sample_slates(scores, request.size, self.rng)
        return SlateChoice(slates, prefix_log_probabilities(scores, slates), (counts,))


def opened(folder, *, sampled=False, limits=None, **arguments):
    return open_service(
        CountingPolicy(), folder, policy_digest="digest", sampled=sampled, limits=limits, seed=0, **arguments
    )


def killed(service):
    """Leave a service as kill -9 does: nothing is written any more, and the system closes its files."""
    service.log.close()


def one(service, request):
    (answer,) = service.answer([request])
    if isinstance(answer, ServiceError):
        raise answer
    return answer


def told(folder):
    """Everything in a log but times."""
    return [replace(record, time=0.0) for record in read_log_events(folder) if isinstance(record, Event)]
