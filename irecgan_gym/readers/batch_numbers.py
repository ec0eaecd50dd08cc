"""Numbers of the names of a batch of rows: those that are known at once, by Arrow; Python sees the new ones alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from irecgan_gym.readers.assembly import Numbering

_TIMES = 4
"""Known names are searched all at once where there are at most so many times as many as names in the batch."""


class ArrowNames:
    """The names of a numbering as Arrow strings, which follow it.

    Args:
        numbering: grows by whoever uses it.
    """

    def __init__(self, numbering: Numbering) -> None:
        self.numbering = numbering
        self._names = pa.array([], pa.string())

    def places(self, names: Any) -> NDArray[np.int32]:
        """Numbers of names, Arrow strings, -1 for those that have none; int32 [N]."""
        new = self.numbering.names_from(len(self._names))
        if new:
            self._names = pa.concat_arrays([self._names, pa.array(new, pa.string())])
        found = pc.fill_null(pc.index_in(names, value_set=self._names), -1)
        return np.array(found.to_numpy(zero_copy_only=False), dtype=np.int32)


class BatchNumbers:
    """The numbers of the names of one batch, each looked up once.

    Args:
        names: of all batches.
        texts: the different names of the batch, Arrow strings.
    """

    def __init__(self, names: ArrowNames, texts: Any) -> None:
        self._numbering, self._texts = names.numbering, texts
        searched = len(names.numbering) <= _TIMES * len(texts)
        self._numbers = names.places(texts) if searched else np.full(len(texts), -1, dtype=np.int32)
        self._all_known = bool((self._numbers >= 0).all())
        # So long as there are so many names, those not found have no number.
        self._all_searched = len(names.numbering) if searched else -1

    def __call__(self, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Numbers of names given by their places in the batch; new ones get the next, in the order of the codes."""
        numbers = self._numbers[codes]
        if self._all_known or not (unknown := numbers < 0).any():
            return numbers
        complete = len(self._numbering) == self._all_searched
        self._look_up(codes[unknown], self._numbering.of)
        if complete:
            self._all_searched = len(self._numbering)
        return self._numbers[codes]

    def known(self, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        """The same, -1 for those that have no number yet."""
        numbers = self._numbers[codes]
        if self._all_known or len(self._numbering) == self._all_searched or not (unknown := numbers < 0).any():
            return numbers
        self._look_up(codes[unknown], self._numbering.known)
        return self._numbers[codes]

    def _look_up(self, codes: NDArray[np.int64], numbers_of: Callable[[list[str]], list[int]]) -> None:
        new = in_order_seen(codes, len(self._texts))
        # Through NumPy: several times as fast as ``to_pylist``.
        self._numbers[new] = numbers_of(self._texts.take(pa.array(new)).to_numpy(zero_copy_only=False).tolist())
        self._all_known = bool((self._numbers >= 0).all())


def in_order_seen(codes: NDArray[np.int64], bound: int) -> NDArray[np.int64]:
    """Return the different codes, all below ``bound``, in the order in which they first come."""
    if len(codes) * 8 < bound:
        used, first = np.unique(codes, return_index=True)
        return used[np.argsort(first)]
    place = np.full(bound, len(codes))
    place[codes[::-1]] = np.arange(len(codes))[::-1]
    used = np.flatnonzero(place < len(codes))
    return used[np.argsort(place[used])]
