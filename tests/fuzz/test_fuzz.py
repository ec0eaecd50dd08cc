"""A few hundred cases of bad input; ``make fuzz`` tries thousands."""

import warnings

import pytest

from tests.fuzz.bad_values import damaged, replaced
from tests.fuzz.endings import BAD, Case, Ending, SilentlyWrongError, outcome_of
from tests.fuzz.targets import TARGETS, outcomes


@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_ends_in_a_clear_error_or_a_right_result(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = [outcome for outcome in outcomes(name, 30, 1, tmp_path) if outcome.ending in BAD]
    assert bad == []


def test_endings_are_told_apart(monkeypatch):
    from irecgan_gym.sessions import Sessions

    def silently():
        raise SilentlyWrongError("other numbers")

    def for_ever():
        while True:
            pass

    def refused():
        Sessions.from_columns(num_items=0, lengths=[], slates=[], clicks=[], rewards=[])

    monkeypatch.setattr("tests.fuzz.endings.SECONDS", 0.1)
    cases = {
        Ending.RIGHT: lambda: 1,
        Ending.REFUSED: refused,
        Ending.OBSCURE: lambda: {}["key"],
        Ending.SLOW: for_ever,
        Ending.SILENT: silently,
    }
    assert [outcome_of(Case("case", run)).ending for run in cases.values()] == list(cases)


def test_damage_is_the_same_for_the_same_seed(rng):
    import numpy as np

    data, values = bytes(range(200)), {"a": {"b": [1, 2]}, "c": 3}
    first, again = (
        [(damaged(one, data), repr(replaced(one, values))) for _ in range(50)]
        for one in (np.random.default_rng(5), np.random.default_rng(5))
    )
    assert first == again
    assert len({name for (name, _), _ in first}) > 6
    assert values == {"a": {"b": [1, 2]}, "c": 3}
