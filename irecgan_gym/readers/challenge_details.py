"""Details of the RecSys Challenge 2019 beside items and clicks: prices as shown, devices, kinds and times of events."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import Numbering, StepColumns
from irecgan_gym.readers.batch_numbers import ArrowNames, BatchNumbers
from irecgan_gym.sessions import FeatureColumn, Sessions
from irecgan_gym.sessions.checks import check_offsets
from irecgan_gym.sessions.ragged import gather

CONTEXT = ("platform", "device")
"""Columns of the file that become features of steps."""


class Touch(NamedTuple):
    """An interaction with a hotel before a click-out.

    Attributes:
        item: number of the hotel.
        line: of the file.
        timestamp: seconds since 1970.
        action: the file's name of its kind.
    """

    item: int
    line: int
    timestamp: int
    action: str


class ClickOutDetails:
    """Contents of the click-outs' rows beside what makes sessions, in the order in which the steps are added.

    Attributes:
        without_prices: lists whose prices are not one number for each hotel.
    """

    def __init__(self) -> None:
        self._prices, self._seconds, self._kinds = array("f"), array("f"), array("i")
        self._kind_codes = Numbering()
        self._context = {name: (Numbering(), array("i")) for name in CONTEXT}
        self.without_prices = 0

    def add(self, shown: list[str], prices: str, context: list[str], events: list[Touch], timestamp: int) -> None:
        """Take in a click-out.

        Args:
            shown: hotels as the row has them; one that is there twice counts at its first place.
            prices: joined by ``|``.
            context: cells of :data:`CONTEXT`, empty where unknown.
            events: interactions before the click.
            timestamp: of the click-out.
        """
        self._prices.extend(self._price_of_entries(shown, prices))
        for name, cell in zip(CONTEXT, context, strict=True):
            codes, column = self._context[name]
            column.append(codes(cell) if cell else -1)
        for event in events:
            self._seconds.append(timestamp - event.timestamp)
            self._kinds.append(self._kind_codes(event.action))

    def extend(
        self,
        prices: NDArray[np.float32],
        without_prices: int,
        context: Mapping[str, tuple[NDArray[np.int64], Any]],
        kinds: NDArray[np.int64],
        kind_names: Any,
        seconds: NDArray[np.int64],
    ) -> None:
        """Take in many click-outs, as by :meth:`add`.

        Args:
            prices: of the entries of all lists, NaN where there is none, [L].
            without_prices: lists that have none.
            context: for each column of :data:`CONTEXT` the numbers of the cells, -1 where unknown, int64 [C], and their
                different texts, Arrow strings.
            kinds: numbers of the events' actions, in the order of the click-outs, [E].
            kind_names: texts of the actions, Arrow strings.
            seconds: from each event to its click-out, [E].
        """
        self._prices.frombytes(np.ascontiguousarray(prices).data.cast("B"))
        self.without_prices += without_prices
        for name in CONTEXT:
            numbering, column = self._context[name]
            codes, texts = context[name]
            numbers = np.full(len(codes), -1, dtype=np.int32)
            numbers[codes >= 0] = BatchNumbers(ArrowNames(numbering), texts)(codes[codes >= 0])
            column.frombytes(numbers.data.cast("B"))
        self._kinds.frombytes(BatchNumbers(ArrowNames(self._kind_codes), kind_names)(kinds).data.cast("B"))
        # Through 64 bits, as Python's own numbers go into an array of 32.
        self._seconds.frombytes(seconds.astype(np.float64).astype(np.float32).data.cast("B"))

    def _price_of_entries(self, shown: list[str], prices: str) -> list[float]:
        cells = prices.split("|")
        different = dict.fromkeys(shown)
        if len(cells) != len(shown) or not (prices.isascii() and prices.replace("|", "").replace(".", "").isdigit()):
            self.without_prices += 1
            return [float("nan")] * len(different)
        price_of: dict[str, float] = {}
        try:
            for hotel, cell in zip(shown, cells, strict=True):
                price_of.setdefault(hotel, float(cell or "nan"))
        except ValueError:
            self.without_prices += 1
            return [float("nan")] * len(different)
        return list(price_of.values())

    def put_into(self, sessions: Sessions, steps: StepColumns, rows: NDArray[np.int64]) -> Sessions:
        """The sessions with what is known as features: ``price`` of entries, ``action`` and ``seconds`` of events, ...

        Args:
            sessions: made of these steps.
            steps: all that were added.
            rows: numbers of those that the sessions hold, in their order.
        """
        entries = gather(check_offsets("slate_length", steps.slate_length, minimum=0), rows)[0]
        events = gather(check_offsets("event_length", steps.event_length, minimum=0), rows)[0]
        context: dict[str, Any] = {
            name: FeatureColumn(np.asarray(column, dtype=np.int32)[rows], tuple(codes.names))
            for name, (codes, column) in self._context.items()
        }
        kinds = FeatureColumn(np.asarray(self._kinds, dtype=np.int32)[events], tuple(self._kind_codes.names))
        return sessions.with_features(
            entries={"price": np.asarray(self._prices, dtype=np.float32)[entries]},
            steps={name: column for name, column in context.items() if column.known.any()},
            events={"action": kinds, "seconds": np.asarray(self._seconds, dtype=np.float32)[events]},
        )
