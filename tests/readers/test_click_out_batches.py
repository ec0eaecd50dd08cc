"""The challenge's file read many rows at a time is the file read row by row: sessions, and the account of every row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.readers import ReaderError, read, recsys_challenge_2019, text_table
from irecgan_gym.sessions import Catalogue, SessionsError
from tests.sessions.test_columns import assert_same

COLUMNS = "user_id,session_id,timestamp,step,action_type,reference,impressions,platform,device,prices"
HEADER = "user_id,session_id,timestamp,step,action_type,reference,platform,impressions"
ACTIONS = ["clickout item"] * 3 + ["interaction item image", "search for item", "interaction item deals"]
ACTIONS += ["filter selection", ""]
PRICES = st.sampled_from(["8", "90", "007", "12.50", "0.1", "123456789.123456789"])
ODD_PRICES = st.sampled_from(
    ["", "|", "x", "7", "1.2.3|4", ".5|7", "1.|2", "|3", "9" * 50, "-1|2", "1|2|3|4|5", "1e3|2"]
)
ITEMS = st.sampled_from(["1", "2", "3", "07"])


@st.composite
def rows(draw):
    """A file of mostly sound sessions, some of them mixed up, cut in two, of two users or with bad cells."""
    lines = []
    # Some files lack the columns of details, or have one of them twice.
    width = draw(st.sampled_from([7, 8, 9, 10, 10, 10, 11]))
    for number in range(draw(st.integers(1, 6))):
        session = draw(st.sampled_from([f"s{number}", f"s{number}", f"s{number}", "s0", ""]))
        user, time, step = draw(st.sampled_from(["ann", "bob", f"u{number}"])), 100 * number, 0
        for _ in range(draw(st.integers(1, 6))):
            time += draw(st.sampled_from([0, 1, 1, 2, 2, -50]))
            step += draw(st.sampled_from([1, 1, 1, 1, 1, 2, 0, -1]))
            action = draw(st.sampled_from(ACTIONS))
            shown = draw(st.lists(ITEMS, min_size=1, max_size=4, unique=draw(st.booleans()) or True))
            if draw(st.integers(0, 9)) == 0:
                shown = draw(st.sampled_from([["1", "1", "2"], ["x"], [""], ["1", ""], []]))
            reference = draw(st.one_of(ITEMS, st.sampled_from([shown[0] if shown else "", "", "Lisbon"])))
            if action == "clickout item" and shown and draw(st.integers(0, 9)):
                reference = shown[0]
            stamp = draw(st.sampled_from([str(max(time, 0))] * 12 + ["soon"]))
            impressions = "|".join(shown) if action == "clickout item" else ""
            cells = [user, session, stamp, str(max(step, 0)), action, reference, impressions]
            cells += [draw(st.sampled_from(["BR", "US", "DE", ""])), draw(st.sampled_from(["mobile", "desktop", ""]))]
            prices = draw(st.lists(PRICES, min_size=len(shown), max_size=len(shown)))
            odd = draw(st.integers(0, 5)) == 0
            cells += [draw(ODD_PRICES) if odd else "|".join(prices) if action == "clickout item" else "", "FR"]
            lines.append(",".join(cells[:width]))
    if draw(st.booleans()):
        order = draw(st.permutations(range(len(lines))))
        lines = [lines[place] for place in order[: len(lines) // 2]] + lines
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["a,b", "", 'u,s9,1,1,"x"y,1,BR,1'])))
    return [",".join([*COLUMNS.split(","), "platform"][:width]), *lines]


def outcome(path, **options):
    try:
        sessions, report = read(path, "recsys-challenge-2019", min_length=1, max_malformed=1.0, **options)
    except (ReaderError, SessionsError) as error:
        return None, str(error)
    return sessions, str(report)


@pytest.mark.parametrize("on_error", ["repair", "skip", "raise"])
@pytest.mark.parametrize("catalogue", [None, ("2", "9"), ("1", "2", "3", "07")])
@given(lines=rows(), block=st.sampled_from([60, 200, 1 << 20]))
@settings(max_examples=25)
def test_many_rows_at_a_time_are_rows_one_by_one(tmp_path_factory, on_error, catalogue, lines, block):
    path = tmp_path_factory.mktemp("log") / "train.csv"
    path.write_text("\n".join([*lines, ""]))
    known = {} if catalogue is None else {"catalogue": Catalogue.of(catalogue), "extend": len(catalogue) == 2}
    in_batches = recsys_challenge_2019.plain_click_outs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_table, "_LARGE_BLOCK", block)
        patch.setattr(text_table, "_SMALL_BLOCK", 40)
        found = outcome(path, on_error=on_error, **known)
        one_by_one = lambda *given: (parts := in_batches(*given))._replace(plain=np.zeros_like(parts.plain))  # noqa: E731
        patch.setattr(recsys_challenge_2019, "plain_click_outs", one_by_one)
        expected = outcome(path, on_error=on_error, **known)
    assert found[1] == expected[1]
    if expected[0] is not None:
        assert_same(found[0], expected[0])


def test_details_of_a_session_that_goes_on_in_the_next_batch_are_not_lost(tmp_path, monkeypatch):
    """An interaction before the border of two batches keeps its time and its kind for the click-out behind it."""
    lines = [
        COLUMNS,
        "ann,s,100,1,clickout item,1,1|2,BR,mobile,10|20.5",
        "ann,s,130,2,interaction item deals,3,,BR,mobile,",
        "ann,s,150,3,search for item,2,,BR,mobile,",
        "ann,s,175,4,clickout item,2,2|3,US,desktop,30|40",
        "bob,t,1,1,interaction item image,1,,BR,mobile,",
        "bob,t,9,2,clickout item,1,1|3,BR,mobile,",
    ]
    path = tmp_path / "train.csv"
    path.write_text("\n".join([*lines, ""]))
    monkeypatch.setattr(text_table, "_LARGE_BLOCK", sum(map(len, lines[1:4])) + 3)
    alone = []
    add = recsys_challenge_2019._ClickOutLog.add
    monkeypatch.setattr(
        recsys_challenge_2019._ClickOutLog, "add", lambda log, row: (alone.append(row.place.number), add(log, row))
    )
    sessions, report = read(path, "recsys-challenge-2019", min_length=1)
    assert alone == [5]
    features = sessions.features
    np.testing.assert_array_equal(features.entries["price"].values, np.float32([10, 20.5, 30, 40, np.nan, np.nan]))
    for column, expected in (
        (features.steps["platform"], ["BR", "US", "BR"]),
        (features.steps["device"], ["mobile", "desktop", "mobile"]),
        (features.events["action"], ["interaction item deals", "search for item", "interaction item image"]),
    ):
        assert [column.categories[code] for code in column.values] == expected
    assert features.events["seconds"].values.tolist() == [45, 25, 8]
    assert report.notes == ["1 lists do not have one price for each hotel: none is known"]


def test_most_rows_of_a_clean_file_are_not_looked_at_alone(tmp_path, monkeypatch):
    lines = [HEADER]
    for session in range(300):
        lines += [
            f"u{session // 2},s{session},{session + step},{step},interaction item image,{step},BR," for step in range(3)
        ]
        lines.append(f"u{session // 2},s{session},{session + 9},9,clickout item,{session % 7},BR,{session % 7}|8|9")
    path = tmp_path / "train.csv"
    path.write_text("\n".join([*lines, ""]))
    alone = []
    monkeypatch.setattr(recsys_challenge_2019._ClickOutLog, "add", lambda self, row: alone.append(row))
    sessions = read(path, "recsys-challenge-2019", min_length=1).sessions
    assert alone == []
    assert len(sessions) == 300
    assert len(sessions.event_items) == 900
