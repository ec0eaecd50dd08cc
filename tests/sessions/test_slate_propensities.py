"""Probabilities of slates beside sessions: collected, kept in files, selected, joined, and refused where wrong."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irecgan_gym.benchmarks.main import main
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.ope import KnownLogger, LoggedSlates, OffPolicyData, SlateStandardIPS, fit_logging_policy
from irecgan_gym.sessions import Sessions, SessionsError, SlatePropensities, concatenate, with_leaving_step

COLUMNS = ("prefixes", "places", "inclusions", "sets")


def logged(name="mix", number=40, seed=0):
    env = RecSimEnv(num_states=4, num_items=12, slate_size=3, logging_policy=name)
    return env, env.collect(number, seed=seed, slate_propensities=True)


def assert_same(first, second):
    for name in ("slate_offsets", *COLUMNS):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.given, first.estimated) == (second.given, second.estimated)


@pytest.mark.parametrize("name", ["random", "max", "mix"])
def test_collected_ones_are_exact(name):
    env, sessions = logged(name)
    found = sessions.slate_propensities
    assert (found.given, found.estimated) == ("state", False)
    known = KnownLogger.named(name, env.mdp, 3, given="state").propensities(sessions)
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(found, column), getattr(known, column), atol=1e-12)
    # The old column says the same of the clicked item, and the sessions are those without them.
    np.testing.assert_allclose(found.of_clicks(sessions), sessions.propensities)
    plain = env.collect(40, seed=0)
    assert plain.slate_propensities is None
    np.testing.assert_array_equal(plain.slate_items, sessions.slate_items)


def test_files_keep_them(tmp_path):
    _, sessions = logged()
    estimated = fit_logging_policy(sessions).propensities(sessions)
    alone = SlatePropensities.from_columns(sessions, sessions.slate_propensities.prefixes, given="state")
    for number, kept in enumerate((sessions.slate_propensities, estimated, alone, None)):
        path = tmp_path / f"{number}.parquet"
        sessions.with_slate_propensities(kept).save(path)
        read = Sessions.load(path).slate_propensities
        if kept is None:
            assert read is None
        else:
            assert_same(read, kept)
    assert Sessions.load(tmp_path / "1.parquet").slate_propensities.estimated


def test_they_follow_their_slates():
    _, sessions = logged()
    _, others = logged(seed=1)
    chosen = sessions.select([7, 3, 3])
    steps = np.concatenate([np.arange(*sessions.offsets[[number, number + 1]]) for number in (7, 3, 3)])
    np.testing.assert_array_equal(chosen.slate_propensities.slates, sessions.slate_propensities.slates[steps])
    joined = concatenate([sessions, others])
    assert_same(joined.select(slice(0, 40)).slate_propensities, sessions.slate_propensities)
    assert_same(joined.select(slice(40, None)).slate_propensities, others.slate_propensities)
    assert concatenate([sessions, others.with_slate_propensities(None)]).slate_propensities is None
    estimated = replace(others.slate_propensities, estimated=True, given="clicks", sets=None)
    mixed = concatenate([sessions, others.with_slate_propensities(estimated)]).slate_propensities
    assert (mixed.given, mixed.estimated, mixed.sets) == ("clicks", True, None)


def test_a_slate_that_stands_in_for_the_last_one_has_its_probabilities():
    _, sessions = logged()
    longer = with_leaving_step(sessions)
    added = longer.offsets[1:] - 1
    assert longer.num_steps == sessions.num_steps + len(sessions)
    logged_steps = np.setdiff1d(np.arange(longer.num_steps), added)
    of_log, of_last = sessions.slate_propensities, sessions.slate_propensities.of_steps(sessions.offsets[1:] - 1)
    for steps, expected in ((logged_steps, of_log), (added, of_last)):
        assert_same(longer.slate_propensities.of_steps(steps), replace(expected, estimated=True))
    # Nothing is estimated where nothing stands in.
    assert with_leaving_step(longer.with_slate_propensities(None)).slate_propensities is None
    exact = replace(longer.slate_propensities, estimated=False)
    assert not with_leaving_step(longer.with_slate_propensities(exact)).slate_propensities.estimated


def test_probabilities_of_real_logs():
    _, sessions = logged("random")
    exact = sessions.slate_propensities
    told = SlatePropensities.from_probabilities(sessions, np.exp(exact.slates), places=exact.places)
    np.testing.assert_allclose(told.slates, exact.slates)
    assert (told.given, told.sets, told.inclusions) == ("clicks", None, None)
    target = KnownLogger.named("random", RecSimEnv(num_states=4, num_items=12, slate_size=3).mdp, 3, given="clicks")
    data = OffPolicyData.create(*LoggedSlates.recorded(sessions.with_slate_propensities(told)), target)
    found = SlateStandardIPS().evaluate(data)
    assert np.isclose(found.estimate, sessions.rewards.sum() / len(sessions))
    for wrong in (0.0, 1.5, np.nan):
        chances = np.full(sessions.num_steps, 0.1)
        chances[5] = wrong
        with pytest.raises(ValueError, match=r"slates\[5\] must be a probability"):
            SlatePropensities.from_probabilities(sessions, chances)


def test_those_of_other_slates_are_refused():
    _, sessions = logged()
    with pytest.raises(SessionsError, match=r"slate_propensities are of \d+ slates"):
        sessions.with_slate_propensities(sessions.select([0, 1]).slate_propensities)
    with pytest.raises(ValueError, match="hold no probabilities"):
        LoggedSlates.recorded(sessions.with_slate_propensities(None))
    with pytest.raises(ValueError, match="is for the env's logging policy"):
        RecSimEnv(num_items=12, slate_size=3).collect(3, seed=0, policy=object(), slate_propensities=True)
    with pytest.raises(ValueError, match="given must be one of"):
        SlatePropensities.from_columns(sessions, sessions.slate_propensities.prefixes, given="everything")


def changed(path, *, header=None, **columns):
    table = pq.read_table(path)
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.remove_column(place) if values is None else table.set_column(place, name, values)
    metadata = json.loads(table.schema.metadata[b"irecgan_gym"])
    metadata.pop("checksum")
    if header is not None:
        metadata.update(header)
    pq.write_table(table.replace_schema_metadata({b"irecgan_gym": json.dumps(metadata)}), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prefix_log_propensity": None}, "need a column 'prefix_log_propensity'"),
        ({"header": {"slate_propensities": {"given": "state", "estimated": "no"}}}, "and metadata"),
        ({"header": {"slate_propensities": {"given": "all", "estimated": False}}}, "given must be one of"),
        ({"place_propensity": "short"}, "a number for each item of the slate, row 0"),
        ({"place_propensity": "texts"}, "must hold lists of numbers"),
        ({"prefix_log_propensity": "positive"}, r"prefixes\[0\] must be a log-probability"),
        ({"set_log_propensity": "empty"}, "numbers without empty cells"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, message):
    _, sessions = logged(number=3)
    path = tmp_path / "log.parquet"
    sessions.save(path)
    steps = sessions.num_steps
    made = {
        "short": pa.array([[0.5]] * steps),
        "texts": pa.array([["a"] * 3] * steps),
        "positive": pa.array([[0.5, 0.0, 0.0]] * steps),
        "empty": pa.array([None] * steps, pa.float64()),
    }
    changed(
        path, **{name: made.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    )
    with pytest.raises(SessionsError, match=message):
        Sessions.load(path)


def test_the_command_writes_them(tmp_path):
    pytest.importorskip("tyro")
    path = tmp_path / "log.parquet"
    small = ["--sessions", "10", "--env-kwargs", '{"num_items": 12, "slate_size": 3}', "--slate-propensities"]
    assert main(["simulate", "--out", str(path), "--policy", "mix", *small]) == 0
    assert Sessions.load(path).slate_propensities.given == "state"
