"""The benchmark of readers: its log is one that all of them read alike, and its table has a line for each."""

import pytest

from irecgan_gym.benchmarks import reading
from irecgan_gym.readers import TableColumns, read


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_log_is_clean_and_the_same_in_both_files(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(reading, "_CHUNK", 7)
    reading.write_log(tmp_path / f"log{suffix}", 24)
    columns = TableColumns(reward="reward", user="user", time="time")
    sessions, report = read(tmp_path / f"log{suffix}", "table", columns=columns, on_error="raise")
    assert report.rows_used == 24
    assert sessions.lengths.tolist() == [4] * 6
    assert sessions.slate_lengths.tolist() == [10] * 24
    assert len(set(sessions.users.tolist())) == 2


def test_every_reader_has_a_line(capsys, monkeypatch):
    monkeypatch.setattr(reading, "in_a_process", lambda function, *arguments: function(*arguments))
    assert reading.main(["--rows", "50", "--rounds", "1", "--training", "60"]) == 0
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if line.startswith(("| csv", "| parquet"))]
    assert [line.split(" | ")[1] for line in lines].count("irecgan-gym") == 2
    assert [line.split(" | ")[1] for line in lines].count("irecgan-gym, to disk") == 2
    assert len(lines) >= 5
    trained = [line.split(" | ") for line in printed if line.startswith("| 60 ")]
    assert [line[2] for line in trained] == ["disk", "memory"]
    assert trained[0][-1] == trained[1][-1], "both give the same weights where all parts fit into memory"


def test_no_more_rows_than_the_machine_may_hold(capsys):
    with pytest.raises(SystemExit):
        reading.main(["--rows", "20000001"])
    assert "must be from 1 to 20,000,000, got 20000001" in capsys.readouterr().err


def test_a_part_of_the_challenge_becomes_a_log_of_any_size(tmp_path, capsys, monkeypatch):
    header = "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters"
    clicks = [f"u{user},s{user},{step},{step},clickout item,5,AU,C,mobile,,5|6,1|2" for user in "ab" for step in (1, 2)]
    part = tmp_path / "train.csv"
    part.write_text("\n".join([f"{header},impressions,prices", *clicks, ""]))
    reading.write_challenge(part, tmp_path / "whole.csv", 11)
    sessions, report = read(tmp_path / "whole.csv", "recsys-challenge-2019", min_length=1, on_error="raise")
    assert report.rows_used == 11
    assert sessions.lengths.tolist() == [2] * 5 + [1]
    assert len(set(sessions.users.tolist())) == 6
    monkeypatch.setattr(reading, "CHALLENGE_ROWS", 12)
    monkeypatch.setattr(reading, "in_a_process", lambda function, *arguments: function(*arguments))
    assert reading.main(["--challenge", str(part)]) == 0
    assert capsys.readouterr().out.startswith("12 rows, 12 steps: ")
