"""The figure that Open Bandit Pipeline publishes for its packaged sample, from the same sample by our estimators."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.special import betainc

from irecgan_gym.ope import OffPolicyData, SelfNormalizedSlateStandardIPS, SlatePropensities, SlateStandardIPS
from irecgan_gym.sessions import Sessions

WHEELS = Path(__file__).parents[2] / "build" / "wheels"
PLACES = 3


@pytest.fixture(scope="module")
def wheel():
    found = sorted(WHEELS.glob("obp-0.4.1-*.whl"))
    if not found:
        pytest.skip(f"needs OBP's wheel: pip download --no-deps --dest {WHEELS.relative_to(Path.cwd())} obp==0.4.1")
    with zipfile.ZipFile(found[-1]) as archive:
        yield archive


def read_log(archive, policy, campaign):
    """Impressions in the order of time: item, place (from 0), click and propensity of each; [T] each."""
    content = archive.read(f"obp/dataset/obd/{policy}/{campaign}/{campaign}.csv").decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    columns = ("item_id", "position", "click", "propensity_score")
    items, places, clicks, propensities = (np.array([float(row[name]) for row in rows]) for name in columns)
    return items.astype(int), places.astype(int) - 1, clicks.astype(int), propensities


def read_prior(archive, campaign):
    """The beta distributions with which ZOZOTOWN's Thompson sampling began, alpha and beta; [n] each."""
    numbers, section = {}, ""
    for line in archive.read("obp/policy/conf/prior_bts.yaml").decode().splitlines():
        if line and not line.startswith(" "):
            section = line.rstrip(":")
        elif line.endswith(":"):
            numbers[section, line.strip(" :")] = current = []
        elif line.strip():
            current.append(float(line.strip(" -")))
    return np.array(numbers[campaign, "alpha"]), np.array(numbers[campaign, "beta"])


def thompson_places(alpha, beta, cells=4000):
    """Probability that each item has the largest, second and third of independent beta numbers; [places, n].

    Item a is at place l if its number is x and those of l - 1 others are larger: a sum over small cells of x.
    """
    ends = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, cells)])
    inside = np.diff(betainc(alpha[:, None], beta[:, None], ends), axis=1)
    larger = 1 - betainc(alpha[:, None], beta[:, None], (ends[1:] + ends[:-1]) / 2)
    chances = np.empty((PLACES, len(alpha)))
    for item in range(len(alpha)):
        counts = np.zeros((PLACES, cells))
        counts[0] = 1.0
        for other in np.delete(np.arange(len(alpha)), item):
            counts[1:] = counts[1:] * (1 - larger[other]) + counts[:-1] * larger[other]
            counts[0] *= 1 - larger[other]
        chances[:, item] = counts @ inside[item]
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-3)
    return chances


def impressions(log, num_items, of_target):
    """One session an impression, with what both policies say of it."""
    items, places, clicks, propensities = log
    sessions = Sessions.from_columns(
        num_items=num_items,
        lengths=np.ones(len(items), dtype=int),
        slates=items[:, None],
        clicks=np.where(clicks == 1, items, num_items),
        rewards=clicks,
    )
    with np.errstate(divide="ignore"):
        target = np.log(of_target[places, items])
    return OffPolicyData.create(
        sessions,
        SlatePropensities.from_columns(sessions, np.log(propensities)),
        SlatePropensities.from_columns(sessions, target),
    )


def test_thompson_sampling_over_random_is_1_198(wheel):
    log = read_log(wheel, "random", "all")
    data = impressions(log, 80, thompson_places(*read_prior(wheel, "all")))
    found = SlateStandardIPS().evaluate(data)
    on_policy = log[2].mean()
    # OBP's README: 1.198126, from 100,000 draws of its own generator.
    assert abs(found.estimate / on_policy - 1.198126) < 0.01
    # 38 clicks in 10,000 impressions: the figure is far from sure.
    interval = found.interval("bootstrap")
    assert interval.low / on_policy < 0.85
    assert interval.high / on_policy > 1.5
    assert 1600 < found.effective_sample_size < 2500


def test_thompson_sampling_from_random_logs_is_right_within_its_interval(wheel):
    for campaign, num_items in (("all", 80), ("men", 34), ("women", 46)):
        places = thompson_places(*read_prior(wheel, campaign))
        data = impressions(read_log(wheel, "random", campaign), num_items, places)
        found = SelfNormalizedSlateStandardIPS().evaluate(data)
        shown = read_log(wheel, "bts", campaign)[2]
        error = np.hypot(found.standard_error(), shown.std() / np.sqrt(len(shown)))
        assert abs(found.estimate - shown.mean()) < 2 * error


def test_random_from_logs_of_thompson_sampling_leaves_hardly_an_impression(wheel):
    data = impressions(read_log(wheel, "bts", "women"), 46, np.full((PLACES, 46), 1 / 46))
    assert SlateStandardIPS().evaluate(data).effective_sample_size < 10
