"""Columns of propensities of slates: read beside their slates, whatever becomes of the rows."""

import numpy as np
import pyarrow as pa
import pytest

from irecgan_gym.ope import LoggedSlates, recommend
from irecgan_gym.readers import TableColumns, read
from irecgan_gym.readers.__main__ import main
from irecgan_gym.readers.report import ReaderError
from irecgan_gym.readers.table import read_table_log
from irecgan_gym.sessions import Sessions

COLUMNS = TableColumns(slate_propensity="chance", place_propensities="places", time="time")
HEADER = "session,slate,click,chance,places,time\n"


def table(tmp_path, *rows):
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("many", [1, 40])
def test_each_slate_keeps_its_own(tmp_path, many):
    """In any order of rows, of any size, one by one or in batches."""
    rows = []
    for number in range(many):
        rows += [
            f"b{number},x|y,y,0.5,0.6|0.7,2",
            f"a{number},z,,0.25,0.25,1",
            f"b{number},y|z|x,y,1e-3,0.1|0.2|0.3,1",
        ]
    sessions, report = read_table_log(table(tmp_path, *rows), columns=COLUMNS, sort=True)
    assert report.rows_used == 3 * many
    found = sessions.slate_propensities
    assert not found.estimated
    for number in range(many):
        first, second, alone = (sessions.offsets[[2 * number, 2 * number, 2 * number + 1]] + [0, 1, 0]).tolist()
        np.testing.assert_allclose(np.exp(found.slates[[first, second, alone]]), [1e-3, 0.5, 0.25])
        for step, places in ((first, [0.1, 0.2, 0.3]), (second, [0.6, 0.7]), (alone, [0.25])):
            entries = slice(*found.slate_offsets[step : step + 2])
            np.testing.assert_allclose(found.places[entries], places)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,x|y,x,,0.5|0.5,1", "numbers in (0, 1], got nan"),
        ("a,x|y,x,1.5,0.5|0.5,1", "numbers in (0, 1], got 1.5"),
        ("a,x|y,x,0,0.5|0.5,1", "numbers in (0, 1], got 0.0"),
        ("a,x|y,x,often,0.5|0.5,1", "numbers in (0, 1], got nan"),
        ("a,x|y,x,0.5,0.5|2,1", "numbers in (0, 1], got 0.5 for it as a whole"),
        ("a,x|y,x,0.5,0.5|,1", "numbers in (0, 1], got 0.5 for it as a whole"),
        ("a,x|y,x,0.5,0.5,1", "1 propensities of places for 2 items"),
        ("a,x|y,x,0.5,,1", "0 propensities of places for 2 items"),
    ],
)
@pytest.mark.parametrize("many", [0, 40])
def test_rows_without_probabilities_are_malformed(tmp_path, row, message, many):
    good = [f"g{number},x|y,x,0.5,0.5|0.5,1" for number in range(many + 1)]
    path = table(tmp_path, *good[:-1], row, good[-1])
    with pytest.raises(ReaderError, match="wrong slate propensity") as error:
        read_table_log(path, columns=COLUMNS, on_error="raise")
    assert message in str(error.value)
    sessions, _ = read_table_log(path, columns=COLUMNS, max_malformed=0.9)
    assert len(sessions) == many + 1
    np.testing.assert_allclose(np.exp(sessions.slate_propensities.slates), 0.5)


def test_a_row_of_several_clicks_stands_for_all_its_steps(tmp_path):
    sessions, _ = read_table_log(table(tmp_path, "a,x|y,x|y,0.5,0.6|0.7,1", "a,y|x,,0.1,0.2|0.3,2"), columns=COLUMNS)
    np.testing.assert_allclose(np.exp(sessions.slate_propensities.slates), [0.5, 0.5, 0.1])
    np.testing.assert_allclose(sessions.slate_propensities.places, [0.6, 0.7, 0.6, 0.7, 0.2, 0.3])
    assert sessions.slate_propensities.estimated


def test_lists_of_arrow_and_files_one_behind_the_other(tmp_path):
    rows = {"session": ["a", "b"], "slate": [["x", "y"], ["y", "x"]], "click": ["x", "y"]}
    whole = {**rows, "chance": [0.5, 0.25], "places": [[0.5, 0.6], [0.7, 0.8]], "time": [1, 1]}
    found = read_table_log(pa.table(whole), columns=COLUMNS).sessions.slate_propensities
    np.testing.assert_allclose(found.places, [0.5, 0.6, 0.7, 0.8])
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}{name},x|y,x,{0.5 if name == 'one' else 0.25},0.5|0.5,1\n")
    found = read_table_log(tmp_path, columns=COLUMNS).sessions.slate_propensities
    np.testing.assert_allclose(np.exp(found.slates), [0.5, 0.25])


def test_a_log_read_so_can_judge_a_policy(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [f"s{number},{'x|y' if rng.random() < 0.75 else 'y|x'},x,CHANCE,,1" for number in range(400)]
    rows = [row.replace("CHANCE,", "0.75" if "x|y" in row else "0.25") for row in rows]
    path = tmp_path / "log.csv"
    path.write_text("session,slate,click,chance,time\n" + "\n".join(rows) + "\n", encoding="utf-8")
    arguments = ["--slate_propensity-column", "chance", "--out", str(tmp_path / "log.parquet")]
    assert main(["table", str(path), *arguments]) == 0
    sessions = Sessions.load(tmp_path / "log.parquet")
    assert "saved to" in capsys.readouterr().out
    log = LoggedSlates.recorded(sessions)
    assert recommend(log, sessions.slate_propensities).verdict == "trust"
    with pytest.raises(ValueError, match="a column of place_propensities needs one of slate_propensity"):
        read(path, "table", columns=TableColumns(place_propensities="chance"))
