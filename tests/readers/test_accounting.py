"""Nothing is lost in silence: every row of any file is in the sessions, or counted under the reason why not."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.readers import FORMATS, ReaderError, ReadReport, TableColumns, read
from irecgan_gym.readers.report import Place
from irecgan_gym.sessions import SessionsError
from tests.conftest import random_sessions
from tests.readers.test_malformed import CHALLENGE_HEADER

ACTIONS = ["clickout item", "clickout item", "interaction item image", "filter selection"]
SLATES = ["1|2|3", "2|4", "5", "", "1|1", "1||2", "x|2"]


def accounted(report):
    return report.rows_used + sum(report.rows_left_out.values()) + sum(report.malformed_rows.values())


@st.composite
def challenge_rows(draw):
    """Rows that are mostly sound; of several sessions, mixed."""
    rows, steps = [], {}
    for _ in range(draw(st.integers(1, 25))):
        session = draw(st.sampled_from("abc"))
        steps[session] = steps.get(session, 0) + draw(st.sampled_from([1, 1, 1, 1, 2, 0, -1]))
        shown = draw(st.sampled_from(SLATES))
        reference = draw(st.sampled_from([*shown.split("|"), "2", "unknown"]))
        action = draw(st.sampled_from(ACTIONS))
        user = draw(st.sampled_from([session, session, session, session, "other", ""]))
        rows.append(f"{user},{session},{100 + steps[session]},{steps[session]},{action},{reference},,,,,{shown},")
        if draw(st.integers(0, 9)) == 0:
            rows.append(draw(st.sampled_from(["", "a,b", '"open', "a,b,c,d,e,f,g,h,i,j,k,l", ","])))
    return rows


def plain_challenge(rows):
    """Clicks, slates and events of each session, read one row at a time; malformed rows are left out."""
    sessions, last, users, waiting = {}, {}, {}, {}
    for row in rows:
        cells = row.split(",")
        if len(cells) != 12 or not (cells[2].isdigit() and cells[3].isdigit() and cells[0]):
            continue
        user, session, _, step, action, reference = cells[:6]
        if users.setdefault(session, user) != user or int(step) <= last.get(session, -1):
            continue
        last[session] = int(step)
        shown = cells[10].split("|")
        if action == "interaction item image" and reference.isdigit():
            waiting.setdefault(session, []).append(reference)
        sound = all(item.isdigit() for item in shown) and len(set(shown)) == len(shown)
        if action == "clickout item" and sound and reference in shown:
            sessions.setdefault(session, []).append((reference, shown, waiting.pop(session, [])))
    return sorted(steps for steps in sessions.values() if len(steps) >= 2)


@settings(max_examples=200)
@given(challenge_rows())
def test_the_challenge_read_with_skip_is_what_a_plain_reader_finds(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "train.csv"
    path.write_text("\n".join([CHALLENGE_HEADER, *rows]) + "\n")
    expected = plain_challenge(rows)
    num_rows = sum(row != "" for row in rows)
    if not expected:
        with pytest.raises(SessionsError, match=f"no session is left to read: {num_rows} rows read"):
            read(path, "recsys-challenge-2019", on_error="skip", max_malformed=1.0)
        return
    sessions, report = read(path, "recsys-challenge-2019", on_error="skip", max_malformed=1.0)
    assert accounted(report) == report.rows_read == num_rows
    names = np.array(sessions.item_names)
    found = []
    for number, session in enumerate(sessions):
        first, steps = sessions.offsets[number], []
        for step, (slate, item, _) in enumerate(zip(*session, strict=True)):
            bounds = sessions.event_offsets[first + step : first + step + 2]
            events = names[sessions.event_items[bounds[0] : bounds[1]]].tolist()
            steps.append((names[item], names[slate].tolist(), events))
        found.append(steps)
    assert sorted(found) == expected


@st.composite
def table_rows(draw):
    """Rows of (session, slate, click, reward, propensity, user, time)."""
    rows = []
    for _ in range(draw(st.integers(1, 15))):
        rows.append(
            ",".join(
                [
                    draw(st.sampled_from(["s", "t", "t", ""])),
                    draw(st.sampled_from(["x|y", "y|z|w", "x|x", ""])),
                    draw(st.sampled_from(["y", "y", "y", "x", ""])),
                    draw(st.sampled_from(["1", "0.5", "", "many", "inf"])),
                    draw(st.sampled_from(["0.5", "", "nan", "2"])),
                    draw(st.sampled_from(["u", "u", ""])),
                    str(draw(st.integers(0, 20))),
                ]
            )
        )
    return rows


@settings(max_examples=150)
@given(table_rows(), st.booleans())
def test_tables_are_accounted_for_and_ordered(tmp_path_factory, rows, sort):
    path = tmp_path_factory.getbasetemp() / "log.csv"
    path.write_text("\n".join(["session,slate,click,reward,propensity,user,time", *rows]) + "\n")
    columns = TableColumns(reward="reward", propensity="propensity", user="user", time="time")
    try:
        sessions, report = read(path, "table", columns=columns, sort=sort, on_error="skip", max_malformed=1.0)
    except SessionsError:
        return
    assert accounted(report) == report.rows_read == len(rows)
    assert report.rows_used == sessions.num_steps
    assert sort <= ("unordered time" not in report.malformed_rows)


@settings(max_examples=120)
@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=300), st.booleans(), st.sampled_from(["raise", "skip"]))
def test_no_bytes_are_read_as_anything_but_sessions_or_an_error(tmp_path_factory, name, noise, packed, on_error):
    folder = tmp_path_factory.getbasetemp() / "noise"
    folder.mkdir(exist_ok=True)
    headers = {
        "log.csv": b"session,slate,click\n",
        "train.csv": CHALLENGE_HEADER.encode() + b"\n",
        "train-queries.csv": b"queryId;sessionId;userId;items;is.test\n1;2;3;4,5;FALSE\n",
        "train-clicks.csv": b"queryId;timeframe;itemId\n1;7;4\n",
        "train-purchases.csv": b"sessionId;timeframe;itemId\n",
        "log.txt": b"0;0;0;;0\n",
    }
    for file, header in headers.items():
        (folder / file).write_bytes((b"\x1f\x8b" if packed else header) + noise)
    files = {"table": "log.csv", "recsys-challenge-2019": "train.csv", "irecgan-text": "log.txt", "cikm-cup-2016": ""}
    try:
        report = read(folder / files.get(name, "log.csv"), name, on_error=on_error).report
    except (ReaderError, SessionsError):
        return
    assert accounted(report) == report.rows_read


def test_a_report_shows_the_first_places_of_every_reason():
    report = ReadReport("skip")
    for line in range(2, 7):
        report.malformed(Place("a.csv", line), "wrong type", f"got {line}")
        report.left_out("filters", 1, [Place("a.csv", 10 * line)])
    report.rows_read = 10
    report.check()
    assert report.first_places == {
        "filters": ("a.csv, line 20", "a.csv, line 30", "a.csv, line 40"),
        "wrong type": ("a.csv, line 2: got 2", "a.csv, line 3: got 3", "a.csv, line 4: got 4"),
    }
    printed = str(report)
    assert "5  rows left out: filters\n" in printed
    assert "first: a.csv, line 20; a.csv, line 30" in printed
    assert "and 2 more" in printed
    assert report.summary() == "10 rows read; 5 left out: filters; 5 malformed: wrong type"
    report.rows_read = 11
    with pytest.raises(AssertionError, match="11 rows were read, but 10 are accounted for"):
        report.check()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_that_are_not_used_are_named(tmp_path, kind):
    rows = {"session": ["a", "b"], "slate": ["x|y", "x|z"], "click": ["x", "z"], "reward": [1, 0], "user": ["u", "v"]}
    if kind == "csv":
        lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
        (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    else:
        table = pa.table({**rows, "slate": [slate.split("|") for slate in rows["slate"]]})
        pq.write_table(table, tmp_path / "log.parquet")
    path = tmp_path / f"log.{kind}"
    report = read(path, "table").report
    assert report.columns_not_used == ("reward", "user")
    assert str(report).splitlines()[2:] == [
        "columns not used: reward, user",
        "no reward column was named: all rewards are 0",
        "no user column was named: nothing is known of users",
    ]
    report = read(path, "table", columns=TableColumns(reward="reward", user="user")).report
    assert report.columns_not_used == ()
    assert len(str(report).splitlines()) == 2


def test_files_of_sessions_are_no_tables(tmp_path):
    sessions = random_sessions(np.random.default_rng(0))
    sessions.save(tmp_path / "log.parquet")
    with pytest.raises(ReaderError, match=r"log.parquet holds sessions .* load it with Sessions.load"):
        read(tmp_path / "log.parquet", "table")
