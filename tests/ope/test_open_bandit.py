"""The samples that Open Bandit Pipeline packages: its published figure, and policies judged by each other's logs."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.open_bandit import (
    ITEMS,
    OpenBandit,
    crossed,
    impressions,
    read_log,
    read_prior,
    thompson_places,
)
from irecgan_gym.ope import OffPolicyData, SlateStandardIPS

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "build" / "wheels"


@pytest.fixture(scope="module")
def path():
    found = sorted(WHEELS.glob("obp-0.4.1-*.whl"))
    if not found:
        pytest.skip(f"needs OBP's wheel: pip download --no-deps --dest {WHEELS.relative_to(ROOT)} obp==0.4.1")
    return found[-1]


@pytest.fixture(scope="module")
def wheel(path):
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_thompson_sampling_shows_one_item_at_each_place():
    chances = thompson_places(np.array([1.0, 3.0, 2.0, 1.5]), np.array([9.0, 9.0, 20.0, 6.0]))
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-3)
    drawn = np.random.default_rng(0).beta([1.0, 3.0, 2.0, 1.5], [9.0, 9.0, 20.0, 6.0], size=(200_000, 4))
    ranked = np.argsort(-drawn, axis=1)
    for place in range(3):
        np.testing.assert_allclose(np.bincount(ranked[:, place], minlength=4) / 200_000, chances[place], atol=0.006)


def test_thompson_sampling_over_random_is_1_198(wheel):
    log = read_log(wheel, "random", "all")
    sessions, wanted = impressions(log, 80, thompson_places(*read_prior(wheel, "all")))
    data = OffPolicyData.create(sessions, sessions.slate_propensities, wanted)
    found = SlateStandardIPS().evaluate(data)
    on_policy = log.clicks.mean()
    # OBP's README: 1.198126, from 100,000 draws of its own generator.
    assert abs(found.estimate / on_policy - 1.198126) < 0.01
    # 38 clicks in 10,000 impressions: the figure is far from sure.
    interval = found.interval("bootstrap")
    assert interval.low / on_policy < 0.85
    assert interval.high / on_policy > 1.5
    assert 1600 < found.effective_sample_size < 2500


@pytest.mark.parametrize("campaign", ITEMS)
def test_thompson_sampling_from_random_logs_is_right_within_its_interval(wheel, campaign):
    found = crossed(wheel, campaign, "random")
    assert found.advice.verdict == "trust"
    estimate = found.advice.estimate
    assert 1600 < estimate.effective_sample_size < 2500
    error = np.hypot(estimate.standard_error(), found.on_policy.half_width / 1.96)
    assert abs(estimate.estimate - found.on_policy.mean) < 2 * error


def test_random_from_logs_of_thompson_sampling_is_refused(wheel):
    found = crossed(wheel, "women", "bts")
    assert found.advice.verdict == "refuse"
    assert found.advice.candidates["snsips"].effective_sample_size < 10
    assert any("effective sessions" in reason or "overlap" in reason for reason in found.advice.reasons)


def test_the_command_writes_both_directions(path, tmp_path, capsys):
    out = tmp_path / "table.csv"
    assert command_line(OpenBandit, ["--wheel", str(path), "--out", str(out), "--campaigns", "women"]) == 0
    rows = list(csv.DictReader(out.open()))
    assert [(row["log"], row["policy"], row["verdict"]) for row in rows] == [
        ("random", "bts", "trust"),
        ("bts", "random", "refuse"),
    ]


def test_what_is_no_wheel_is_refused(tmp_path, capsys):
    other = tmp_path / "obp.whl"
    assert command_line(OpenBandit, ["--wheel", str(other), "--out", str(tmp_path / "t.csv")]) == 2
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("nothing", "")
    assert command_line(OpenBandit, ["--wheel", str(other), "--out", str(tmp_path / "t.csv")]) == 2
    assert "is not a wheel of obp" in " ".join(capsys.readouterr().err.split())
