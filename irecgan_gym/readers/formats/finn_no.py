"""FINN.no slates: lists of classified ads with at most one click, twenty of each user."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from numpy.typing import NDArray

from irecgan_gym.readers.containers import Container, TextOptions, open_containers
from irecgan_gym.readers.formats.cells import texts
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells
from irecgan_gym.readers.report import ReaderError
from irecgan_gym.readers.row_batch import RowBatch

_NO_CLICK, _FIRST_ITEM = 1, 3
_USERS = 2_048
_ARRAYS = ("userId", "click", "slate")


def _steps(cells: Mapping[str, Any], file: str, rows: NDArray[np.int64]) -> StepCells:
    click = np.asarray(cells["click"].to_numpy(zero_copy_only=False), dtype=np.int64)
    slate = cells["slate"]
    lengths = np.diff(slate.offsets.to_numpy())
    user = texts(cells["userId"])
    return StepCells(
        {
            "session": user,
            "user": user,
            "slate": slate,
            "click": pa.array(click, mask=click < _FIRST_ITEM),
        },
        {
            "empty steps, of users with fewer": (lengths == 0) & (click <= _NO_CLICK),
            "clicks on items that are not named": click == _NO_CLICK + 1,
        },
    )


class _SlateFile:
    """The arrays of ``data.npz``, a row a step: users one behind the other, the steps of each in order."""

    unit = "row"
    names = list(_ARRAYS)

    def __init__(self, path: Path) -> None:
        self._path, self.header_place = path, path.name

    def batches(self, columns: Sequence[str]) -> Iterator[RowBatch]:
        """Yield the steps of some users after those of others."""
        try:
            with (
                zipfile.ZipFile(self._path) as archive,
                archive.open("userId.npy") as user_file,
                archive.open("click.npy") as click_file,
                archive.open("slate.npy") as slate_file,
            ):
                arrays = zip(*map(_pieces, (user_file, click_file, slate_file)), strict=True)
                row = 1
                for users, clicks, slates in arrays:
                    yield self._batch(users, clicks, slates, row, columns)
                    row += clicks.size
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ReaderError(f"{self._path.name} is not an archive of {', '.join(_ARRAYS)}: {error}") from error

    def _batch(
        self, users: NDArray[Any], clicks: NDArray[Any], slates: NDArray[Any], row: int, columns: Sequence[str]
    ) -> RowBatch:
        if clicks.shape != slates.shape[:2] or users.reshape(-1).shape != clicks.shape[:1]:
            shapes = users.shape, clicks.shape, slates.shape
            raise ValueError(f"users, clicks and slates have shapes {shapes}, expected [U], [U, T] and [U, T, k]")
        shown = slates.reshape(clicks.size, -1)
        is_item = shown >= _FIRST_ITEM
        offsets = np.append(0, np.cumsum(is_item.sum(axis=1)))
        arrays = {
            "userId": pa.array(np.repeat(users.reshape(-1), clicks.shape[1])),
            "click": pa.array(clicks.reshape(-1)),
            "slate": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(shown[is_item])),
        }
        cells = pa.RecordBatch.from_arrays([arrays[name] for name in columns], names=list(columns))
        return RowBatch(cells, self._path.name, np.arange(row, row + clicks.size))


def _pieces(file: IO[bytes]) -> Iterator[NDArray[Any]]:
    """Some rows after the others of an array in NumPy's format."""
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    if is_fortran or dtype.hasobject:
        raise ValueError(f"arrays must be of numbers, in C's order, got {dtype}")
    size = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    for start in range(0, shape[0], _USERS):
        rows = min(_USERS, shape[0] - start)
        data = file.read(rows * size)
        if len(data) < rows * size:
            raise ValueError("an array ends in the middle")
        yield np.frombuffer(data, dtype=dtype).reshape(rows, *shape[1:])


def _open(source: Any, text: TextOptions) -> Iterator[Container]:
    parts = source if isinstance(source, (list, tuple)) else [source]
    for part in parts:
        if isinstance(part, (str, Path)) and Path(part).suffix == ".npz":
            if not Path(part).is_file():
                raise FileNotFoundError(f"no such file: {part}")
            yield _SlateFile(Path(part))
        else:
            yield from open_containers(part, text)


FINN_NO = LogFormat(
    name="finn-no-slates",
    title="FINN.no slates",
    source="https://github.com/finn-no/recsys_slates_dataset (37.4 million steps of 2.3 million users)",
    licence="Apache-2.0 (the repository's)",
    files=("data.npz",),
    step="A row is a list of ads, one of which was clicked, or none; a session is the (up to twenty) steps of a user.",
    columns=(
        LogColumn("userId", "the user, [U]", "user, session"),
        LogColumn("click", "the ad clicked, or 1 for none, [U, 20]", "click"),
        LogColumn("click_idx", "place of the click in the list, [U, 20]"),
        LogColumn("slate_lengths", "number of entries of each list, [U, 20]"),
        LogColumn("slate", "the ads shown, filled up with 0, [U, 20, 25]", "slate"),
        LogColumn("interaction_type", "1 search, 2 recommendation, [U, 20]"),
    ),
    steps=_steps,
    open=_open,
    sort=False,
    notes=(
        "Ids below 3 are no ads (filling, no click, unknown): they are taken out of lists, and a click on the unknown "
        "is left out and counted.",
        "Rows are counted user by user: row 41 is the first step of the third user.",
    ),
)
"""Logs of FINN.no's slates."""
