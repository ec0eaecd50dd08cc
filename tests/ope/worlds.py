"""Tiny worlds in which every session can be listed with its probability."""

import itertools
from dataclasses import dataclass

import numpy as np

from irecgan_gym.mdp import START_STATE, RecommendationMDP
from irecgan_gym.sessions import Sessions


def tiny_mdp(num_states=2, num_items=4, seed=0):
    rng = np.random.default_rng(seed)
    rewards = 0.2 + 0.8 * rng.random((num_states, num_items))
    return RecommendationMDP(rewards, rng.dirichlet(np.ones(num_states), size=(num_states, num_items)))


def all_slates(num_items, slate_size):
    return np.array(list(itertools.permutations(range(num_items), slate_size)))


def luce_clicks(mdp, state, slate):
    """RecSim's users: one click, in proportion to the rewards."""
    weights = mdp.rewards[state, slate]
    return list(zip(slate.tolist(), weights / weights.sum(), strict=True))


def independent_clicks(mdp, state, slate):
    """A look at one place, a click on what stands there or none: an entry's click depends on nothing else."""
    chances = [mdp.rewards[state, item] / (1 + place) / len(slate) for place, item in enumerate(slate)]
    return [*zip(slate.tolist(), chances, strict=True), (mdp.num_items, 1 - sum(chances))]


def cascade_clicks(mdp, state, slate):
    """From the top down to the first item that pleases."""
    clicks, left = [], 1.0
    for item in slate.tolist():
        clicks.append((item, left * mdp.rewards[state, item]))
        left *= 1 - mdp.rewards[state, item]
    return [*clicks, (mdp.num_items, left)]


@dataclass(frozen=True)
class Listing:
    """All sessions of up to ``horizon`` steps that can be, with their probabilities under a logger.

    ``weights`` [S] add up to 1; ``counts`` are what an estimate's ``resampled`` takes to give its expectation.
    """

    sessions: Sessions
    weights: np.ndarray

    @property
    def counts(self):
        return self.weights[None]


def list_sessions(mdp, slate_size, slate_law, click_law, horizon):
    """Every session with its probability; ``slate_law(state, previous_click)`` gives probabilities of all slates."""
    slates = all_slates(mdp.num_items, slate_size)
    found = []

    def go_on(steps, state, previous, probability):
        chances = slate_law(state, previous)
        for slate, chance in zip(slates, chances, strict=True):
            if chance == 0:
                continue
            for click, click_chance in click_law(mdp, state, slate):
                if click_chance == 0:
                    continue
                here = probability * chance * click_chance
                if click == mdp.num_items:
                    found.append(([*steps, (slate, click, 0.0, state)], here, False))
                    continue
                success = mdp.rewards[state, click]
                if success < 1:
                    found.append(([*steps, (slate, click, 0.0, state)], here * (1 - success), False))
                won = [*steps, (slate, click, 1.0, state)]
                if len(won) == horizon:
                    found.append((won, here * success, True))
                    continue
                for following, move in enumerate(mdp.transitions[state, click]):
                    go_on(won, following, click, here * success * move)

    go_on([], START_STATE, mdp.num_items, 1.0)
    steps = [step for session, _, _ in found for step in session]
    return Listing(
        Sessions.from_columns(
            num_items=mdp.num_items,
            lengths=[len(session) for session, _, _ in found],
            slates=np.array([step[0] for step in steps]),
            clicks=[step[1] for step in steps],
            rewards=[step[2] for step in steps],
            states=[step[3] for step in steps],
            truncated=[cut for _, _, cut in found],
        ),
        np.array([probability for _, probability, _ in found]),
    )


def expected_return(listing, gamma):
    """Exact expected discounted reward of a session in a listing."""
    sessions = listing.sessions
    steps = np.arange(sessions.num_steps) - np.repeat(sessions.offsets[:-1], sessions.lengths)
    earned = np.add.reduceat(gamma**steps * sessions.rewards, sessions.offsets[:-1])
    return float(listing.weights @ earned)
