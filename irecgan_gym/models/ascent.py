"""Maximisation of functions of named arrays: limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from irecgan_gym.storage.schedule import Schedule

FloatArray = NDArray[np.float64]
Parameters = dict[str, FloatArray]

_LONG = 200_000


@dataclass(frozen=True)
class Maximum:
    """End of a search.

    Attributes:
        parameters: the best found.
        value: of the function there.
        evaluations: how often the function was called.
    """

    parameters: Parameters
    value: float
    evaluations: int


_Search = Callable[[], Maximum]
_kept: ContextVar[Callable[[_Search], Maximum]] = ContextVar("irecgan_gym_searches", default=lambda search: search())


@contextmanager
def searches_kept_by(schedule: Schedule) -> Iterator[None]:
    """Let each search within be a phase of a training, whose result is not searched for again once it is kept.

    Args:
        schedule: of the training, which must make the same searches in the same order whenever it is run.
    """
    numbers = count(1)

    def kept(search: _Search) -> Maximum:
        found = schedule.once(f"search-{next(numbers):04}", lambda: vars(search()))
        return Maximum(**found)

    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)


def maximise(
    function: Callable[[Parameters], tuple[float, Parameters]],
    start: Parameters,
    *,
    max_iterations: int,
    tolerance: float = 1e-7,
) -> Maximum:
    """Climb from a start to a local maximum.

    Args:
        function: the value and the gradient, by the names of the parameters.
        start: parameters at which the search begins.
        max_iterations: after which it ends in any case.
        tolerance: relative; the search ends where an iteration gains less.

    Returns:
        What was found, or what is kept of the same search (:func:`searches_kept_by`).
    """
    shapes = {name: value.shape for name, value in start.items()}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    bounds = np.cumsum([0, *sizes])

    def unpacked(vector: FloatArray) -> Parameters:
        return {
            name: vector[low:high].reshape(shape)
            for (name, shape), low, high in zip(shapes.items(), bounds[:-1], bounds[1:], strict=True)
        }

    def packed(parameters: Parameters) -> FloatArray:
        return np.concatenate([np.ravel(parameters[name]) for name in shapes])

    def downhill(vector: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = function(unpacked(vector))
        return -value, -packed(gradient)

    # Of what the search remembers, two vectors an iteration: fewer where they are long.
    memory = 20 if bounds[-1] < _LONG else 5
    options = {
        "maxiter": max_iterations,
        "maxfun": 2 * max_iterations,
        "ftol": tolerance,
        "gtol": 0.0,
        "maxcor": memory,
    }

    def search() -> Maximum:
        found = minimize(downhill, packed(start), jac=True, method="L-BFGS-B", options=options)
        return Maximum(unpacked(found.x), -float(found.fun), int(found.nfev))

    return _kept.get()(search)
