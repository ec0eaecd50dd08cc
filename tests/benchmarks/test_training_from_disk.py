"""Commands learn from a data set on disk what they learn from the same sessions in a file."""

import gymnasium as gym
import pytest

from irecgan_gym.benchmarks.main import main
from irecgan_gym.sessions.dataset import SessionDataset


@pytest.mark.parametrize("command", [["train", "--agent", "pg"], ["train", "--agent", "choice_planner"], ["fit"]])
def test_the_same_file_comes_of_it(command, tmp_path, capsys):
    sessions = gym.make("RecSim-v0", num_items=9, slate_size=3).unwrapped.collect(40, seed=0)
    sessions.save(tmp_path / "log.parquet")
    SessionDataset.write(tmp_path / "log", sessions, sessions_a_part=11)
    written = []
    for data in ("log.parquet", "log"):
        out = tmp_path / f"of-{data}"
        arguments = ["--data", str(tmp_path / data), "--out", str(out), "--checkpoint-seconds", "0", "--device", "cpu"]
        assert main([*command, *arguments]) == 0
        written.append(out.read_bytes())
        assert not (tmp_path / f"of-{data}.training").exists(), "checkpoints of a training that is over are gone"
    assert written[0] == written[1]
    assert "sessions on disk: log" in capsys.readouterr().out
