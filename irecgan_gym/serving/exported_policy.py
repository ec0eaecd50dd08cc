"""A policy that was exported to ONNX, run by onnxruntime: no PyTorch is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.slate_requests import Exclude, SlateChoice, SlateRequest

FORMAT_VERSION = 1
METADATA_KEY = "irecgan_gym"
"""Of the description in the file's metadata."""

FloatArray = NDArray[np.float32]
State = tuple[FloatArray, ...]

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "num_items": int,
    "slate_size": int,
    "state_size": int,
    "item_names": (list, type(None)),
}
_MAX_NOISE = 2**22
"""Numbers of noise held at a time (16 MiB)."""


class ExportError(ValueError):
    """A file that is no exported policy; the message names the file and what is wrong with it."""


class ExportedPolicy:
    """Policy over a catalogue from a file of :func:`~irecgan_gym.serving.onnx_export.export_onnx`.

    It has the methods by which agents act, with the same arguments and results. Needs onnxruntime, which the extras
    ``serve`` and ``export`` bring.

    Args:
        path: the file.
        threads: that one call may use.
        seed: of sampled slates.
        packed: whether the weights are brought into blocks for many sessions at a time. With a million items and one
            core, eight sessions together then take half as long, and one by itself takes longer by half; loading
            takes longer too, and for a moment twice the memory.

    Attributes:
        num_items: size of the catalogue, n.
        slate_size: the most items that can be shown at a time, k, and the default.
        item_names: the catalogue's own names, or None.

    Raises:
        FileNotFoundError: there is no such file.
        ExportError: not an ONNX file, or not one of an exported policy.
        ImportError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, *, threads: int = 1, seed: int = 0, packed: bool = False) -> None:
        import onnxruntime

        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_prepacking", "0" if packed else "1")
        try:
            # From bytes: a file from elsewhere cannot name others to be read.
            self._run = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no base class of its own for errors
            raise ExportError(f"{path} is not a readable ONNX file: {error}") from error
        description = _description(path, self._run)
        self.num_items: int = description["num_items"]
        self.slate_size: int = description["slate_size"]
        self._state_size: int = description["state_size"]
        names = description["item_names"]
        self.item_names: tuple[str, ...] | None = None if names is None else tuple(names)
        self._rng = np.random.default_rng(seed)
        self._zeros = np.zeros((1, self.num_items), dtype=np.float32)

    @property
    def largest_slate(self) -> int:
        """The most items that can be shown at a time."""
        return self.slate_size

    def set_random_seed(self, seed: int) -> None:
        """Seed the slates that are sampled from now on."""
        self._rng = np.random.default_rng(seed)

    def predict(
        self,
        observation: NDArray[Any] | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Exclude | None = None,
    ) -> tuple[NDArray[np.int64], State]:
        """Choose slates, as agents and ``BaseAlgorithm.predict`` of Stable-Baselines3 do; see :meth:`recommend`."""
        choice = self.recommend(observation, state, episode_start, deterministic, k=k, exclude=exclude)
        return choice.slates, choice.state

    def recommend(
        self,
        observation: NDArray[Any] | int,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        *,
        k: int | None = None,
        exclude: Exclude | None = None,
    ) -> SlateChoice:
        """Choose slates and say how probable they were.

        Args:
            observation: last click of each session, integers [B] (``num_items`` for none yet), or one number.
            state: the state that the last call returned; None at the start.
            episode_start: True where a new session begins, so that its state is reset; bool [B].
            deterministic: True shows the top k items, False a slate sampled without replacement.
            k: items to show, up to ``slate_size``, which it is when None.
            exclude: items that must not be shown: a collection of ids, or bool [n], for each session (for a single
                number one of them).

        Raises:
            ValueError: observations or states of a wrong type, shape or range, or a request that cannot be met.
        """
        single = np.ndim(observation) == 0
        clicks = self._clicks(observation)
        request = SlateRequest.checked(
            k,
            exclude,
            number=None if single else len(clicks),
            num_items=self.num_items,
            slate_size=self.slate_size,
        )
        if request.size > self.slate_size:
            raise ValueError(f"the policy was exported for slates of up to {self.slate_size} items, got k={k}")
        recurrent = self._states(state, episode_start, len(clicks))
        slates = np.empty((len(clicks), self.slate_size), dtype=np.int64)
        logs = np.zeros(slates.shape)
        new = np.empty_like(recurrent)
        at_once = max(1, _MAX_NOISE // self.num_items)
        for first in range(0, len(clicks), at_once):
            rows = slice(first, first + at_once)
            noise = self._noise(len(clicks[rows]), deterministic, request.excluded and request.excluded[rows])
            inputs = {"click": clicks[rows], "state": recurrent[rows], "noise": noise}
            slates[rows], found, new[rows] = self._run.run(["slate", "log_probability", "next_state"], inputs)
            if not deterministic:
                logs[rows] = found
        chosen, logs = slates[:, : request.size], logs[:, : request.size]
        return SlateChoice(chosen[0], logs[0], (new,)) if single else SlateChoice(chosen, logs, (new,))

    def _clicks(self, observation: NDArray[Any] | int) -> NDArray[np.int64]:
        observed = np.asarray(observation)
        if not np.issubdtype(observed.dtype, np.integer) or observed.ndim > 1:
            raise ValueError(
                f"observation must be the last clicks, integers of shape [B], got {observed.dtype} {observed.shape}"
            )
        clicks = observed.reshape(-1).astype(np.int64)
        if len(clicks) and not 0 <= int(clicks.min()) <= int(clicks.max()) <= self.num_items:
            raise ValueError(f"observations must be item ids from 0 to {self.num_items}, got {observed}")
        return clicks

    def _states(self, state: State | None, episode_start: NDArray[np.bool_] | None, number: int) -> FloatArray:
        shape = (number, self._state_size)
        if state is None:
            return np.zeros(shape, dtype=np.float32)
        recurrent = np.asarray(state[0], dtype=np.float32)
        if recurrent.shape != shape:
            raise ValueError(f"state must have shape {shape}, got {recurrent.shape}")
        if episode_start is None:
            return recurrent
        starts = np.asarray(episode_start, dtype=bool).reshape(-1)
        return np.where(starts[:, None], np.float32(0), recurrent)

    def _noise(self, number: int, deterministic: bool, excluded: list[NDArray[np.int64]] | None) -> FloatArray:
        """Numbers [B, n] to be added to the logits."""
        if not deterministic:
            # Drawn in 64 bits, as among many items the smallest of these numbers decide; their logarithms do with 32.
            noise = self._rng.standard_exponential((number, self.num_items)).astype(np.float32)
            np.negative(np.log(noise, out=noise), out=noise)
        elif number == 1 and excluded is None:
            return self._zeros
        else:
            noise = np.zeros((number, self.num_items), dtype=np.float32)
        for row, items in zip(noise, excluded or (), strict=False):
            row[items] = -np.inf
        return noise


def _description(path: Path, run: Any) -> dict[str, Any]:
    """The catalogue and the sizes, checked against the graph."""
    text = run.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ExportError(f"{path} was not written by export_onnx: its metadata have no {METADATA_KEY!r}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ExportError(f"{path} has metadata that are not JSON: {error}") from error
    version = found.get("format_version") if isinstance(found, dict) else None
    if version != FORMAT_VERSION:
        raise ExportError(f"{path} has format version {version!r}, expected {FORMAT_VERSION}")
    for name, kind in _FIELDS.items():
        if not isinstance(found.get(name, ...), kind):
            raise ExportError(f"{path} has metadata with a wrong or missing {name!r}")
    shapes = {part.name: part.shape[-1] for part in (*run.get_inputs(), *run.get_outputs())}
    expected = {
        "state": found["state_size"],
        "noise": found["num_items"],
        "slate": found["slate_size"],
        "log_probability": found["slate_size"],
        "next_state": found["state_size"],
    }
    for name, size in expected.items():
        if shapes.get(name) != size:
            raise ExportError(f"{path}: {name!r} has the width {shapes.get(name)}, its metadata say {size}")
    names = found["item_names"]
    if names is not None and (len(names) != found["num_items"] or len(set(map(str, names))) != len(names)):
        raise ExportError(f"{path}: item_names must be {found['num_items']} different names")
    checked: dict[str, Any] = found
    return checked
