"""Descriptions of features that networks need before they see any: names, kinds, categories, and scales of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions import FeatureColumn
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog
from irecgan_gym.sessions.features import SessionFeatures
from irecgan_gym.settings import Count, check_settings

FeatureScope = Literal["items", "entries", "steps", "users"]

UNKNOWN_NUMBER = float(np.finfo(np.float32).min)
"""Stands for a number that is not known: stored tensors hold finite numbers alone."""
_QUANTILES = 49


@dataclass(frozen=True)
class FeatureSpec:
    """One feature as networks take it in.

    A number becomes its standardised value, whether it is known, and how far it is through each of some intervals
    between quantiles, so that a linear layer can follow any curve. What is unknown is 0 everywhere.

    Attributes:
        scope: what it is a feature of.
        name: its name in the sessions.
        kind: ``"category"``, ``"number"`` or ``"vector"``.
        categories: names of those that training has seen; others are unknown.
        width: numbers of a vector; 1 of others.
        center: mean of each number in training; none of a category.
        scale: standard deviation of each number in training; none of a category.
        edges: ascending borders of the intervals of a number; none for just the standardised value.
    """

    scope: FeatureScope
    name: str
    kind: Literal["category", "number", "vector"]
    categories: tuple[str, ...] = ()
    width: Count = 1
    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        expected = 0 if self.kind == "category" else self.width
        if len(self.center) != expected or len(self.scale) != expected or any(not scale > 0 for scale in self.scale):
            raise ValueError(f"feature {self.name!r} needs {expected} centers and as many positive scales")
        if any(not low < high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"the edges of feature {self.name!r} must ascend, got {self.edges}")
        if self.kind != "number" and (self.edges or (self.kind == "category" and self.width != 1)):
            raise ValueError(f"feature {self.name!r} is a {self.kind}: it has no edges, and a category no width")

    @classmethod
    def of(cls, scope: FeatureScope, name: str, column: FeatureColumn) -> FeatureSpec:
        """Feature as training data have it."""
        if column.categories is not None:
            seen = np.unique(column.values[column.values >= 0])
            return cls(scope, name, "category", tuple(column.categories[code] for code in seen))
        table = column.values.reshape(len(column), -1)[column.known].astype(np.float64)
        width = column.values.reshape(len(column), -1).shape[1] if len(column) else 1
        center = table.mean(axis=0) if len(table) else np.zeros(width)
        spread = table.std(axis=0) if len(table) else np.ones(width)
        scale = np.where(spread > 1e-8 * np.maximum(1.0, np.abs(center)), spread, 1.0)
        edges: tuple[float, ...] = ()
        if column.kind == "number" and len(table):
            borders = np.unique(np.quantile(table[:, 0], np.linspace(0, 1, _QUANTILES)).astype(np.float32))
            edges = tuple(borders.astype(float).tolist()) if len(borders) > 1 else ()
        return cls(
            scope,
            name,
            "vector" if column.kind == "vector" else "number",
            width=width,
            center=tuple(center.tolist()),
            scale=tuple(scale.tolist()),
            edges=edges,
        )

    def numbers(self, column: FeatureColumn | None, length: int) -> NDArray[np.float32]:
        """Numbers of a feature that is not a category, as they are, :data:`UNKNOWN_NUMBER` where unknown; [N, width].

        Args:
            column: of N things; None where nothing is known of them.
            length: N.
        """
        if column is None:
            return np.full((length, self.width), UNKNOWN_NUMBER, dtype=np.float32)
        self._check(column)
        return np.where(column.known[:, None], column.values.reshape(length, self.width), np.float32(UNKNOWN_NUMBER))

    def codes(self, column: FeatureColumn | None, length: int) -> NDArray[np.int64]:
        """Codes of a category, 0 where unknown; [N]. Arguments as of :meth:`numbers`."""
        if column is None:
            return np.zeros(length, dtype=np.int64)
        self._check(column)
        codes: NDArray[np.int64] = column.recoded(self.categories).values.astype(np.int64) + 1
        return codes

    def _check(self, column: FeatureColumn) -> None:
        width = 1 if column.values.ndim == 1 else column.values.shape[1]
        if (column.kind, width) != (self.kind, self.width):
            raise ValueError(
                f"feature {self.name!r} of {self.scope} is a {column.kind} of width {width} in these sessions, "
                f"a {self.kind} of width {self.width} in the model"
            )


def feature_specs(
    sessions: SessionLog,
    *,
    items: Sequence[str] = (),
    entries: Sequence[str] = (),
    steps: Sequence[str] = (),
    users: Sequence[str] = (),
) -> tuple[FeatureSpec, ...]:
    """Describe features of the sessions that networks will learn from, for ``EncoderConfig.features``.

    Args:
        sessions: those of training: categories and statistics of numbers are theirs. Of those on disk, the values of
            the wanted features are in memory at once, and nothing else.
        items: names of features of items.
        entries: names of features of entries of slates.
        steps: names of features of steps.
        users: names of features of users.

    Raises:
        ValueError: a feature that the sessions do not have.
    """
    wanted: dict[FeatureScope, Sequence[str]] = {"items": items, "entries": entries, "steps": steps, "users": users}
    specs = []
    features = _read_features(sessions, wanted) if isinstance(sessions, SessionDataset) else sessions.features
    for scope, names in wanted.items():
        columns = features.of(scope)
        for name in names:
            if name not in columns:
                raise ValueError(f"the sessions have no feature {name!r} of {scope}, they have {sorted(columns)}")
            specs.append(FeatureSpec.of(scope, name, columns[name]))
    return tuple(specs)


def _read_features(dataset: SessionDataset, wanted: Mapping[FeatureScope, Sequence[str]]) -> SessionFeatures:
    """Return features of all sessions on disk, as far as they are there."""

    def cut_down(features: SessionFeatures) -> SessionFeatures:
        kept = {
            scope: {name: features.of(scope)[name] for name in names if name in features.of(scope)}
            for scope, names in wanted.items()
        }
        return SessionFeatures(**kept)

    parts = [cut_down(part.features) for part in dataset]
    return SessionFeatures.joined(parts or [cut_down(dataset.features)])
