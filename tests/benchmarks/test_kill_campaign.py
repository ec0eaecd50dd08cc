"""The kill campaign: what goes on and comes to the same end, and what does not."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from irecgan_gym.benchmarks import kill_campaign
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.kill_campaign import COMMANDS, Campaign, KillCampaign, differences, processes_of
from irecgan_gym.benchmarks.main import SUBCOMMANDS
from irecgan_gym.storage.files import write_atomically

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def steady(out):
    """Thirty files, each of which takes its time; those that are there are not made again."""
    for unfinished in out.glob(".*"):
        unfinished.unlink()
    for number in range(30):
        if not (out / str(number)).exists():
            time.sleep(0.01)
            write_atomically(out / str(number), b"%d" % number)
    return 0


def forgetful(out):
    """Notes how often it was started."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "starts").open("a") as file:
        file.write("x")
    return steady(out)


def leaving_children(out):
    # For some seconds only: those of rounds that come to their end are left behind.
    subprocess.Popen(["sleep", "9"])
    return steady(out)


def failing(out):
    return steady(out) + 3


def campaign(command, folder, kills, seed=0):
    command(folder / "unbroken")
    made = Campaign(command, folder, 0.35, np.random.default_rng(seed))
    made.run(kills)
    return made


def test_what_goes_on_comes_to_the_same_end(tmp_path):
    made = campaign(steady, tmp_path, 4)
    assert len(made.kills) == sum(ending.kills for ending in made.endings) == 4
    assert {(ending.status, ending.first) for ending in made.endings} == {(0, "")}
    assert all(kill.orphans == kill.children == 0 and 0 < kill.seconds < 0.35 for kill in made.kills)
    assert {kill.victim for kill in made.kills} == {"group", "parent"}
    # What came to the right end is not kept.
    assert [entry.name for entry in tmp_path.iterdir()] == ["unbroken"]


def test_another_end_a_failure_and_orphans_are_noticed(tmp_path, monkeypatch):
    made = campaign(forgetful, tmp_path / "forgetful", 1)
    assert [(ending.kills, ending.first) for ending in made.endings if ending.differences] == [(1, "starts")]
    assert (tmp_path / "forgetful" / "round-000").exists()
    made = campaign(failing, tmp_path / "failing", 1)
    assert {ending.status for ending in made.endings} == {3}
    monkeypatch.setattr(kill_campaign, "_PATIENCE", 1.0)
    made = campaign(leaving_children, tmp_path / "leaving", 4)
    alone = [kill for kill in made.kills if kill.victim == "parent" and kill.children]
    assert alone
    assert all(kill.orphans == 1 for kill in alone)
    assert all(kill.orphans == 0 for kill in made.kills if kill.victim == "group")


def test_what_depends_on_the_clock_is_no_difference(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, seconds in ((one, "1.5"), (other, "2.5")):
        folder.mkdir()
        (folder / "durations.csv").write_text(seconds)
        (folder / "results.csv").write_text(f"metric,value\nreward,3\nseconds/learning,{seconds}\n")
        (folder / "plots").mkdir()
        (folder / "plots" / "a.png").write_text(seconds)
    assert differences(one, other) == []
    (other / "results.csv").write_text("metric,value\nreward,4\n")
    (other / ".left.over").write_text("")
    assert differences(one, other) == [".left.over", "results.csv"]
    assert differences(one / "durations.csv", other / "durations.csv") == [""]
    assert differences(one, tmp_path / "nothing") == ["results.csv"]


def test_processes_of_a_session_are_found():
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert processes_of(process.pid) == [process.pid]
    finally:
        process.kill()
        process.wait()
    assert processes_of(process.pid) == []


def test_commands_are_those_of_the_console(tmp_path, capsys):
    assert set(COMMANDS) <= set(SUBCOMMANDS)
    assert command_line(KillCampaign, ["--out", str(tmp_path / "run"), "--commands", "fly"]) == 2
    assert "--commands takes one or more of simulate, train" in capsys.readouterr().err
