"""Tables in batches give what reading one row at a time gives: sessions, report and errors, to the letter."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from irecgan_gym.readers import ReaderError, TableColumns, read, table_log, text_table
from irecgan_gym.sessions import Catalogue, SessionsError
from tests.readers.plain_table import read_plainly

COLUMNS = TableColumns(reward="reward", propensity="propensity", user="user", time="time")
HEADER = "session,slate,click,reward,propensity,user,time"
SLATES = [
    "x|y",
    "y|z|w",
    "x|y|z|w",
    "x",
    "x|x",
    "",
    "x||y",
    " x | y ",
    "[x, y]",
    "[x|y]",
    "['x', 'y']",
    "[[x], y]",
    "x|y||",
    "|x|y",
    "x|NULL",
    "x y|z",
]
NUMBERS = ["1", "0.5", "", "many", "inf", "nan", "-2e3", " 3 ", "1_0", "1e39", "1e-48", ".5", "٣", "+1.", " "]
TIMES = ["2026-01-31T08:00:00Z", "2026-01-31 08:00:00", "2026-02-30 08:00:00", "2026-01-31", "soon", "", "inf", "  "]


@st.composite
def rows(draw):
    """Rows that are mostly sound, in stretches that are long enough to be read at once."""
    lines = []
    for number in range(draw(st.integers(1, 8))):
        for moment in range(draw(st.sampled_from([1, 3, 20, 40]))):
            odd = draw(st.integers(0, 7)) == 0

            def pick(usual, others, odd=odd):
                return draw(st.sampled_from(others)) if odd else usual

            slate = pick("x|y|z|w", SLATES)
            click = pick("y", ["x", "y", "", "q", " y ", "NULL", "nan", "x|y", "[y, x]", "y|q"])
            session = pick(f"s{number % 4}", ["s0", "", " s1 ", "t", "NULL"])
            time = pick(str(10 * number + moment), [*TIMES, "1", "500"])
            reward, propensity = pick("0.25", NUMBERS), pick("0.5", NUMBERS)
            user = pick(f"u{number % 4}", ["u0", "", "v", "nan"])
            lines.append(f'{session},"{slate}",{click},{reward},{propensity},{user},{time}')
        if draw(st.integers(0, 3)) == 0:
            lines.append(
                draw(st.sampled_from(["", "a,b", '"open', 's0,"x"y,x,1,1,,1', "a,b,c,d,e,f,g,h", "\xff,", '"', "\r"]))
            )
    return lines


def outcome(reader):
    """What a reader gives: columns and report, or the error."""
    try:
        sessions, report = reader()
    except (ReaderError, SessionsError) as error:
        return type(error), str(error)
    columns = sessions.to_columns()
    columns.pop("provenance")
    arrays = {name: None if value is None else np.asarray(value).tolist() for name, value in columns.items()}
    notes = [line for line in str(report).splitlines() if "column" not in line]
    return repr(arrays), notes


@settings(max_examples=150, deadline=None)
@given(
    rows(),
    st.sampled_from(["repair", "skip", "raise"]),
    st.booleans(),
    st.sampled_from([1 << 22, 64, 500]),
    st.booleans(),
    st.sampled_from([None, Catalogue.of(["w", "z", "y", "x"]), Catalogue.of(["q", "y", "x", "z"])]),
)
@example(["s0,x|y,x,1,1,u,1"] * 40 + ["s0,x|y,,,,u,1"] + ["s0,x|y,y,1,1,u,1"] * 20, "skip", False, 500, False, None)
def test_batches_give_what_single_rows_give(tmp_path_factory, lines, on_error, sort, block, last_line_ends, catalogue):
    path = tmp_path_factory.getbasetemp() / "log.csv"
    text = "\n".join([HEADER, *lines]) + ("\n" if last_line_ends else "")
    path.write_bytes(text.encode("latin-1", "replace"))
    options = {"sort": sort, "min_length": 2, "on_error": on_error, "catalogue": catalogue}
    expected = outcome(lambda: read_plainly(path, COLUMNS, **options))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_table, "_LARGE_BLOCK", block)
        patch.setattr(text_table, "_SMALL_BLOCK", min(block, 100))
        found = outcome(lambda: read(path, "table", columns=COLUMNS, **options))
    assert found == expected


def test_no_row_of_a_clean_log_is_looked_at_alone(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    lines = [
        f's{step // 4},"x|y|z",{"xyz"[step % 3]},1,0.5,u{step // 8},2026-01-31 08:00:{step:02}' for step in range(60)
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    expected = outcome(lambda: read_plainly(path, COLUMNS))
    monkeypatch.setattr(table_log, "parse_step", None)
    monkeypatch.setattr(text_table.DelimitedTable, "_wrong_number", None)
    assert outcome(lambda: read(path, "table", columns=COLUMNS)) == expected
