"""The decision page: what it says, that it needs nothing from elsewhere, and how a browser shows it."""

import html
import json
import re

import numpy as np
import pytest

from irecgan_gym.agents import PG, PGConfig
from irecgan_gym.benchmarks.decision.page import _ticks, number, percent, signed, weight_bands
from irecgan_gym.benchmarks.main import main
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.models.fitting import FitConfig
from tests.benchmarks.test_report_in_chromium import DESK, MEASURE, PHONE, framed
from tests.chromium import needs_chromium, visit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("decision")
    env = RecSimEnv(num_states=3, num_items=8, slate_size=2)
    env.collect(300, seed=0, slate_propensities=True).save(path / "log.parquet")
    RecSimEnv(num_states=3, num_items=8, slate_size=2, logging_policy="max").collect(80, seed=0).save(
        path / "max.parquet"
    )
    PG(8, 2, PGConfig(fit=FitConfig(max_epochs=1)), device="cpu").learn(env.collect(100, seed=1)).save(
        path / "<new>.safetensors"
    )
    return path


@pytest.fixture(scope="module")
def page(folder):
    out = folder / "decision.html"
    arguments = [
        "--log",
        str(folder / "log.parquet"),
        "--new",
        str(folder / "<new>.safetensors"),
        "--current",
        "random",
    ]
    assert main(["decide", *arguments, "--out", str(out), "--device", "cpu"]) == 0
    return out


def test_it_says_everything(page):
    text = page.read_text(encoding="utf-8")
    words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text.partition("<body>")[2])).split())
    assert re.search(r"The new policy is (better|worse)|The log does not tell", words)
    for heading in (
        "What it would earn",
        "Can the log tell?",
        "What changes for users",
        "The simulator",
        "A live test",
    ):
        assert heading in words
    for expected in (
        "Items gained",
        "Items lost",
        "share of the catalogue",
        "Clicks are predicted",
        "effective sessions",
    ):
        assert expected in words
    assert "columns of the log, given the user's true state" in words
    # Names are text, and nothing comes from elsewhere.
    assert "&lt;new&gt;.safetensors" in text
    assert "<script" not in text
    assert "http" not in text.partition("<body>")[2]
    assert text.count("<h1") == 1
    assert len(re.findall(r"<th scope=\"(?:col|row)\"", text)) > 20


def test_a_confounded_log_is_refused(folder, capsys):
    out = folder / "refused.html"
    arguments = ["--log", str(folder / "max.parquet"), "--new", str(folder / "<new>.safetensors"), "--out", str(out)]
    assert main(["decide", *arguments, "--device", "cpu"]) == 0
    assert "verdict: not known" in capsys.readouterr().out
    assert "No estimate from this log can be believed" in " ".join(out.read_text(encoding="utf-8").split())


def test_wrong_options_are_one_line(folder, capsys):
    log, new = ["--log", str(folder / "log.parquet")], ["--new", str(folder / "<new>.safetensors")]
    for arguments, message in (
        ([*log, "--new", "logged"], "--new takes the file of an agent"),
        ([*log, *new, "--propensities", "current"], "--propensities current takes the current policy"),
        ([*log, *new, "--gamma", "2"], "--gamma must be from 0 to 1"),
        (["--log", str(folder / "max.parquet"), *new, "--propensities", "log"], "holds no probabilities of its slates"),
        ([*log, "--new", str(folder / "none")], "no such file"),
    ):
        assert main(["decide", *arguments, "--out", str(folder / "x.html")]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (folder / "x.html").exists()


def test_numbers_in_words():
    assert [signed(value) for value in (0.0, 0.1234, -0.5, 12345.6)] == ["0", "+0.123", "\N{MINUS SIGN}0.5", "+12,346"]
    assert [number(value) for value in (2.0, 1234.5, 0.12345, float("nan"))] == ["2", "1,234", "0.123", "unknown"]
    assert [percent(value) for value in (0.5, 0.012, 0.0)] == ["50%", "1.2%", "0%"]
    for low, high in ((-1.0, 1.0), (0.0, 0.013), (-250.0, 40.0)):
        ticks = _ticks(low, high)
        assert 2 <= len(ticks) <= 7
        assert all(low <= tick <= high for tick in ticks)


def test_bands_hold_all_sessions():

    bands = weight_bands(np.array([0.0, 0.05, 0.3, 1.0, 2.0, 5.0, 50.0]))
    assert np.isclose(sum(band.share for band in bands), 1)
    assert np.isclose(sum(band.weighed for band in bands), 1)
    assert bands[-1].weighed > 0.8


@needs_chromium
def test_it_fits_phones_and_desks(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    frames = [framed("phone", PHONE, text), framed("desk", DESK, text)]
    measuring = tmp_path / "measuring.html"
    measuring.write_text(f"<!DOCTYPE html><body>{''.join(frames)}{MEASURE}</body>", encoding="utf-8")
    seen = visit(measuring, "--dump-dom", f"--window-size={DESK},900")
    assert seen.console == ()
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', seen.stdout, re.DOTALL)[1]))
    for name, frame in found.items():
        assert frame["page"] <= frame["width"], name
        assert frame["sticking_out"] == []
        assert frame["resources"] == []
    assert found["phone"]["text_size"] >= 13
