"""The example records what it says that it does."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples" / "watch_session.py"


@pytest.fixture
def watch(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["watch_session.py", *map(str, arguments)])
        runpy.run_path(str(EXAMPLE), run_name="__main__")

    return run


def test_text(watch, capsys):
    watch("--env", "RecSim-Observable-v0", "--seed", 1)
    text = capsys.readouterr().out
    assert text.startswith("RecSim-Observable-v0, step 1\n")
    assert "the session is over" in text


def test_files(watch, tmp_path):
    watch("--out", tmp_path / "session.gif")
    watch("--out", tmp_path / "frames")
    watch("--out", tmp_path / "videos" / "session.mp4")
    frames = sorted((tmp_path / "frames").iterdir())
    with Image.open(tmp_path / "session.gif") as animation, Image.open(frames[0]) as frame:
        assert animation.n_frames == len(frames) > 1
        assert animation.size == frame.size == (960, 640)
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["session-episode-0.mp4"]
