"""Values and bytes that nobody should hand in, drawn from a generator."""

from __future__ import annotations

import copy
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 7, 1000, 10**9, 10**18, 2**63, 10**30, -(10**30)),
    *(0.5, -0.5, 1.5, 1e-320, 1e39, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", "x", "1", "nan", "é" * 40, "x" * 10_000, [], [1], [[1]], [0.5, "x"], {}, {"a": 1}, {"num_items": 3}),
)
"""What a file of JSON may hold."""
VALUES: tuple[Any, ...] = (
    *JSON_VALUES,
    *(
        b"x",
        (),
        (1, 2),
        range(3),
        {1, 2},
        object(),
        type,
        len,
        1j,
        Decimal(1),
        Fraction(1, 2),
        slice(3),
        NotImplemented,
    ),
    *(np.float32(1), np.float64("nan"), np.int64(3), np.int8(-1), np.uint64(2**64 - 1), np.bool_(True), np.str_("x")),
    *(np.array(1), np.array([1, 2]), np.zeros((2, 2)), np.array(["x"]), np.array([None]), np.array([]), np.float16(9)),
    *(np.datetime64("2020-01-01"), np.zeros(3, dtype=[("a", "i4")]), np.full((3, 3, 3), np.nan), np.arange(5.0)),
)
"""What a program may hand in."""


def pick(rng: np.random.Generator, values: Any) -> Any:
    """One of several values."""
    return values[int(rng.integers(len(values)))]


def shown(value: Any) -> str:
    """A value in a few words."""
    text = " ".join(repr(value).split())
    return text if len(text) < 60 else f"{text[:50]}... ({type(value).__name__})"


def damaged(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Return data with one damage of the kind that disks, networks and editors do, and its name."""
    size = len(data)
    low, high = sorted(int(place) for place in rng.integers(0, size + 1, 2))
    kinds = {
        "bits flipped": lambda: _flipped(rng, data),
        "cut off": lambda: data[:low],
        "begun late": lambda: data[low:],
        "a part lost": lambda: data[:low] + data[high:],
        "a part twice": lambda: data[:high] + data[low:],
        "zeros": lambda: data[:low] + bytes(high - low) + data[high:],
        "noise put in": lambda: data[:low] + rng.bytes(int(rng.integers(1, 40))) + data[low:],
        "noise": lambda: rng.bytes(size),
        "empty": lambda: b"",
        "a byte changed": lambda: data[:low] + rng.bytes(1) + data[low + 1 :],
        "a digit changed": lambda: _digit_changed(rng, data),
        "text put in": lambda: (
            data[:low] + pick(rng, (b"\n", b'"', b",", b";", b"\0", b"\xff", b"1e9", b"-")) + data[low:]
        ),
    }
    name = pick(rng, list(kinds))
    return name, kinds[name]()


def replaced(rng: np.random.Generator, value: Any, values: Any = JSON_VALUES) -> tuple[str, Any]:
    """Return a copy of nested objects and lists with one entry, at any depth, that is another, gone, or new."""
    places = list(_places(value))
    place = pick(rng, places)
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    way = pick(rng, ("replaced", "replaced", "replaced", "removed", "added"))
    name = "/".join(map(str, place))
    if way == "removed":
        del inner[place[-1]]
        return f"{name} removed", changed
    other = pick(rng, values)
    if way == "added" and isinstance(inner, dict):
        inner["strange"] = other
        return f"{name} with another beside it", changed
    inner[place[-1]] = other
    return f"{name} = {shown(other)}", changed


def _places(value: Any, prefix: tuple[Any, ...] = ()) -> Any:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*prefix, key)
        yield from _places(inner, (*prefix, key))


def _flipped(rng: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(0, max(len(data), 1), int(rng.integers(1, 4))):
        if len(data):
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _digit_changed(rng: np.random.Generator, data: bytes) -> bytes:
    places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return data
    place = pick(rng, places)
    return data[:place] + bytes([48 + int(rng.integers(10))]) + data[place + 1 :]
