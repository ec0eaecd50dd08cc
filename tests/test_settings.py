"""Settings are held against their annotations, whoever makes them."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest

from irecgan_gym.settings import (
    MOST_LAYERS,
    MOST_WIDTH,
    Count,
    CountFrom0,
    InnerShare,
    Layers,
    NotNegative,
    Positive,
    Share,
    Width,
    check_count,
    check_is,
    check_settings,
)


@dataclass(frozen=True)
class Inner:
    size: Width = 3


@dataclass(frozen=True)
class Base:
    rate: Positive = 0.1
    weight: NotNegative = 0.0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Settings(Base):
    share: Share = 0.5
    inner_share: InnerShare = 0.5
    rounds: Count = 1
    waiting: CountFrom0 | None = 5
    layers: Layers = 1
    cell: Literal["lstm", "gru", 3] = "lstm"
    shown: bool = False
    name: str = ""
    plain: float = 0.0
    number: int = 0
    sizes: tuple[Count, ...] = (1,)
    pair: tuple[int, str] = (1, "a")
    either: int | str = 0
    inner: Inner = field(default_factory=Inner)
    anything: Any = None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rate", 0, "rate must be positive, got 0"),
        ("rate", float("nan"), "rate must be finite, got nan"),
        ("rate", float("inf"), "rate must be finite, got inf"),
        ("rate", 10**400, "rate must be finite, got 1000"),
        ("rate", "0.1", "rate must be a number, got '0.1'"),
        ("rate", None, "rate must be a number, got None"),
        ("rate", True, "rate must be a number, got True"),
        ("rate", 1j, "rate must be a number, got 1j"),
        ("weight", -1e-9, "weight must not be negative, got -1e-09"),
        ("share", 1.01, r"share must be from 0 to 1, got 1\.01"),
        ("share", -0.1, r"share must be from 0 to 1, got -0\.1"),
        ("inner_share", 0, "inner_share must be between 0 and 1, got 0"),
        ("inner_share", 1.0, r"inner_share must be between 0 and 1, got 1\.0"),
        ("rounds", 0, "rounds must be at least 1, got 0"),
        ("rounds", 2.0, r"rounds must be a whole number, got 2\.0"),
        ("rounds", True, "rounds must be a whole number, got True"),
        ("waiting", -1, "waiting must not be negative, got -1"),
        ("waiting", "5", "waiting must be a whole number, got '5'"),
        ("layers", MOST_LAYERS + 1, f"layers must be at most {MOST_LAYERS}, got {MOST_LAYERS + 1}"),
        ("cell", "rnn", "cell must be 'lstm', 'gru' or 3, got 'rnn'"),
        ("cell", 3.0, r"cell must be 'lstm', 'gru' or 3, got 3\.0"),
        ("cell", ["lstm"], r"cell must be 'lstm', 'gru' or 3, got \['lstm'\]"),
        ("shown", 1, "shown must be True or False, got 1"),
        ("name", b"x", "name must be a text, got b'x'"),
        ("plain", -float("inf"), "plain must be finite, got -inf"),
        ("number", "x" * 1000, "number must be a whole number, got 'xxx.*"),
        ("sizes", 3, "sizes must be a sequence, got 3"),
        ("sizes", (1, 0), r"sizes\[1\] must be at least 1, got 0"),
        ("pair", (1,), r"pair must hold 2 values, got \(1,\)"),
        ("pair", (1, 2), r"pair\[1\] must be a text, got 2"),
        ("either", 1.5, r"either must be a text, got 1\.5"),
        ("inner", {"size": 3}, r"inner must be a Inner, got \{'size': 3\}"),
    ],
)
def test_what_a_field_does_not_take_is_refused_in_one_line(name, value, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        Settings(**{name: value})
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_a_value_that_cannot_be_shown_is_refused_all_the_same():
    class Silent:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(ValueError, match="rate must be a number, got a Silent"):
        Settings(rate=Silent())


def test_what_fields_take_is_left_as_it_is():
    for values in ({"rate": 1}, {"share": 0}, {"share": 1}, {"waiting": None}, {"waiting": 0}, {"either": "x"}):
        settings = Settings(**values)
        for name, value in values.items():
            assert getattr(settings, name) == value
            assert type(getattr(settings, name)) is type(value)
    thing = object()
    assert Settings(anything=thing).anything is thing


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("rate", np.float32(0.5), 0.5),
        ("rate", np.float64(0.5), 0.5),
        ("rate", np.int64(2), 2.0),
        ("rate", Fraction(1, 2), 0.5),
        ("rounds", np.int32(3), 3),
        ("shown", np.True_, True),
        ("sizes", [1, np.int64(2)], (1, 2)),
    ],
)
def test_numbers_of_other_libraries_become_pythons(name, given, kept):
    found = getattr(Settings(**{name: given}), name)
    assert found == kept
    assert type(found) is type(kept)
    hash(Settings(**{name: given}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "count must be at least 1, got 0"),
        (10**20, "count must be at most 2147483647, got 100000000000000000000"),
        (2.0, r"count must be a whole number, got 2\.0"),
        ("3", "count must be a whole number, got '3'"),
        (None, "count must be a whole number, got None"),
    ],
)
def test_counts_of_functions_are_checked_too(value, message):
    check_count("count", 1)
    check_count("count", np.int64(5))
    with pytest.raises(ValueError, match=message):
        check_count("count", value)


def test_settings_of_another_class_are_refused():
    check_is(Settings(), Base)
    with pytest.raises(ValueError, match=r"config must be a Settings, got Base\(rate=0\.1"):
        check_is(Base(), Settings)


def test_widths_have_a_limit_of_their_own():
    @dataclass(frozen=True)
    class Wide(Inner):
        def __post_init__(self) -> None:
            check_settings(self)

    assert Wide(MOST_WIDTH).size == MOST_WIDTH
    with pytest.raises(ValueError, match=f"size must be at most {MOST_WIDTH}, got {MOST_WIDTH + 1}"):
        Wide(MOST_WIDTH + 1)
