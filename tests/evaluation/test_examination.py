"""The choice model of scores, places and what was touched last: what it finds in clicks that were drawn from it."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from irecgan_gym.evaluation import examination
from irecgan_gym.evaluation.examination import Examination, ExaminedScorer
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


def test_finds_how_readily_users_return_to_what_they_touched_last(rng):
    """Sessions of two lists: in the second the item clicked first stands again, and draws exp(1.5) times its score."""
    slates, clicks = [], []
    for _ in range(6000):
        first = rng.permutation(20)[:4]
        touched = first[rng.integers(4)]
        second = rng.permutation(np.append(touched, 20 + rng.permutation(10)[:3]))
        chances = np.exp(1.5 * (second == touched))
        clicks += [touched, second[rng.choice(4, p=chances / chances.sum())]]
        slates += [first, second]
    sessions = Sessions.from_columns(
        num_items=30,
        lengths=np.full(6000, 2),
        slates=np.concatenate(slates),
        slate_lengths=np.full(12_000, 4),
        clicks=clicks,
        rewards=np.ones(12_000),
    )
    later = sessions.select(slice(0, 6000))
    found = Examination.fit(np.zeros(len(sessions.slate_items)), sessions)
    assert found.resumption == pytest.approx(1.5, abs=0.15)
    logits = found.logits(np.zeros(len(later.slate_items)), later)
    np.testing.assert_allclose(logits[:4], found.places[:4], atol=1e-6)


def test_few_lists_make_neighbouring_places_alike(rng):
    scores, sessions = log(rng, 60, 1.0)
    rough, smooth = (Examination.fit(scores, sessions, smoothness=weight).places for weight in (0.01, 1000.0))
    assert np.ptp(smooth) < 0.1 < np.ptp(rough)
    chosen = Examination.fit(scores, sessions).places
    assert np.ptp(smooth) <= np.ptp(chosen) <= np.ptp(rough)


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
