"""The challenge's file read many rows at a time is the file read row by row: sessions, and the account of every row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.readers import ReaderError, read, recsys_challenge_2019, text_table
from irecgan_gym.sessions import Catalogue, SessionsError
from tests.sessions.test_columns import assert_same

HEADER = "user_id,session_id,timestamp,step,action_type,reference,platform,impressions"
ACTIONS = ["clickout item"] * 3 + ["interaction item image", "search for item"] * 2 + ["filter selection", ""]
ITEMS = st.sampled_from(["1", "2", "3", "07"])


@st.composite
def rows(draw):
    """A file of mostly sound sessions, some of them mixed up, cut in two, of two users or with bad cells."""
    lines = []
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
            lines.append(f"{user},{session},{stamp},{max(step, 0)},{action},{reference},BR,{impressions}")
    if draw(st.booleans()):
        order = draw(st.permutations(range(len(lines))))
        lines = [lines[place] for place in order[: len(lines) // 2]] + lines
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["a,b", "", 'u,s9,1,1,"x"y,1,BR,1'])))
    return lines


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
    path.write_text("\n".join([HEADER, *lines, ""]))
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
