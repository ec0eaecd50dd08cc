"""The choice model of scores and places: what it finds in clicks that were drawn from it."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from agents import examination
from agents.examination import Examination, ExaminedScorer
from irecgan_gym.sessions import Sessions

PLACES = np.array([1.0, 0.5, 0.0, -0.5, -1.0])


def log(rng, num_lists, sharpness):
    """Lists of two to five items with scores, and clicks in proportion to exp(sharpness score + place)."""
    lengths = rng.integers(2, 6, size=num_lists)
    scores, slates, clicks = [], [], []
    for length in lengths:
        score, slate = rng.normal(size=length), rng.permutation(20)[:length]
        chances = np.exp(sharpness * score + PLACES[:length])
        clicks.append(slate[rng.choice(length, p=chances / chances.sum())])
        scores.append(score)
        slates.append(slate)
    sessions = Sessions.from_columns(
        num_items=20,
        lengths=np.ones(num_lists, dtype=int),
        slates=np.concatenate(slates),
        slate_lengths=lengths,
        clicks=clicks,
        rewards=np.ones(num_lists),
    )
    return np.concatenate(scores), sessions


@pytest.mark.parametrize("sharpness", [0.0, 0.7, 2.0])
def test_finds_what_the_clicks_were_drawn_from(rng, sharpness):
    found = Examination.fit(*log(rng, 20_000, sharpness))
    assert found.sharpness == pytest.approx(sharpness, abs=0.06)
    np.testing.assert_allclose(found.places - found.places.mean(), PLACES, atol=0.1)


def test_gradient_of_the_likelihood(rng, monkeypatch):
    def checked(loss, start, **options):
        point = rng.normal(size=len(start))
        assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], point) < 1e-4 * np.abs(loss(point)[1]).max()
        return minimize(loss, start, **options)

    minimize = examination.minimize
    monkeypatch.setattr(examination, "minimize", checked)
    Examination.fit(*log(rng, 200, 1.0))


def test_users_who_left_and_longer_lists_are_no_problem(rng):
    scores, sessions = log(rng, 500, 1.0)
    found = Examination.fit(scores, sessions)
    longer = Sessions.from_columns(num_items=20, lengths=[1], slates=[np.arange(8)], clicks=[20], rewards=[0])
    logits = found.logits(np.zeros(8), longer)
    assert (logits[5:] == logits[4]).all()
    with pytest.raises(ValueError, match="needs lists with clicks"):
        Examination.fit(np.zeros(8), longer)


def test_a_scorer_with_places_ranks_by_both(rng):
    class Scorer:
        def slate_scores(self, sessions):
            return np.zeros(len(sessions.slate_items), dtype=np.float32)

    _, sessions = log(rng, 2000, 0.0)
    ranked = ExaminedScorer.fit(Scorer(), sessions).slate_scores(sessions)
    first = ranked[sessions.slate_offsets[0] : sessions.slate_offsets[1]]
    assert (np.diff(first) < 0).all()
