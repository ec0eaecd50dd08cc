"""Features of sessions as tensors, as the specs of a network ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from irecgan_gym.models.feature_specs import FeatureSpec
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.features import Columns


class FeatureInputs(NamedTuple):
    """Features of some things, in the order of the specs; leading dimensions are those of the things.

    Attributes:
        numbers: of all features that are no categories, as they are; float32 [..., F].
        codes: of all categories, 0 where unknown; int64 [..., C].
    """

    numbers: Tensor
    codes: Tensor

    def of(self, rows: Tensor) -> FeatureInputs:
        """Features of some of the things."""
        return FeatureInputs(self.numbers[rows], self.codes[rows])


def feature_inputs(specs: Sequence[FeatureSpec], columns: Columns, length: int) -> FeatureInputs:
    """Return features of N things; those that they do not have are unknown.

    Args:
        specs: all of one scope.
        columns: features of the things, by name.
        length: N.
    """
    empty = np.zeros((length, 0), dtype=np.float32)
    numbers = [spec.numbers(columns.get(spec.name), length) for spec in specs if spec.kind != "category"]
    codes = [spec.codes(columns.get(spec.name), length) for spec in specs if spec.kind == "category"]
    return FeatureInputs(
        torch.from_numpy(np.concatenate([empty, *numbers], axis=1)),
        torch.from_numpy(np.stack(codes, axis=1) if codes else np.zeros((length, 0), dtype=np.int64)),
    )


def step_inputs(specs: Sequence[FeatureSpec], sessions: Sessions) -> FeatureInputs:
    """Return features of all steps, those of steps and those of their users; [T]."""
    columns = dict(sessions.features.steps)
    for spec in specs:
        if spec.scope == "users" and spec.name in sessions.features.users:
            columns[_key(spec)] = sessions.features.users[spec.name].take(sessions.session_of_step)
    renamed = [_renamed(spec) for spec in specs]
    return feature_inputs(renamed, columns, sessions.num_steps)


def _key(spec: FeatureSpec) -> str:
    """Name of a feature of users among those of steps, which may have one of the same name."""
    return f"user\0{spec.name}"


def _renamed(spec: FeatureSpec) -> FeatureSpec:
    if spec.scope != "users":
        return spec
    return FeatureSpec("users", _key(spec), spec.kind, spec.categories, spec.width, spec.center, spec.scale, spec.edges)


class FeatureSource:
    """Features of the entries and steps of some sessions on a device; made when a network first asks for them.

    Args:
        sessions: the logged sessions.
        device: where they live.
    """

    def __init__(self, sessions: Sessions, device: torch.device) -> None:
        self._sessions, self._device = sessions, device
        self._made: dict[tuple[FeatureSpec, ...], FeatureInputs] = {}

    def entries(self, specs: tuple[FeatureSpec, ...], steps: Tensor, width: int) -> FeatureInputs:
        """Features of the entries of some slates, padded with those of any others; [M, K].

        Args:
            specs: all of entries.
            steps: numbers of the steps, int64 [M].
            width: K.
        """
        made = self._all(specs)
        starts = self._starts()[steps]
        places = torch.arange(width, device=self._device)
        return made.of((starts[:, None] + places).clamp_(max=len(made.numbers) - 1))

    def steps(self, specs: tuple[FeatureSpec, ...], steps: Tensor) -> FeatureInputs:
        """Features of some steps and of their users; [M]."""
        return self._all(specs).of(steps)

    def _all(self, specs: tuple[FeatureSpec, ...]) -> FeatureInputs:
        if specs not in self._made:
            sessions = self._sessions
            if specs[0].scope == "entries":
                made = feature_inputs(specs, sessions.features.entries, len(sessions.slate_items))
            else:
                made = step_inputs(specs, sessions)
            self._made[specs] = FeatureInputs(made.numbers.to(self._device), made.codes.to(self._device))
        return self._made[specs]

    def _starts(self) -> Tensor:
        if not hasattr(self, "_slate_starts"):
            self._slate_starts = torch.tensor(self._sessions.slate_offsets[:-1], device=self._device)
        return self._slate_starts
