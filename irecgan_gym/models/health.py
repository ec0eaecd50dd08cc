"""Numerical health of training: losses and gradients that are no numbers, and networks that have collapsed."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor


class NumericalError(FloatingPointError, RuntimeError):
    """A loss or a gradient that is not a finite number; the message names the loss, the phase and the update.

    Args:
        loss: name under which recorders receive the loss; the part before the slash is the phase.
        update: number of the optimizer's update that was not made, from 1; None where it is not known.
        problem: what is not finite.

    Attributes:
        loss: see above.
        phase: component of training, such as ``"user_model"``, ``"train"``, ``"disc"`` or ``"adversarial"``.
        update: see above.
    """

    def __init__(self, loss: str, update: int | None, problem: str) -> None:
        at = "" if update is None else f" at update {update:,}"
        super().__init__(f"training diverged: {loss}{at}: {problem}")
        self.loss = loss
        self.phase = loss.partition("/")[0]
        self.update = update


class TrainingWarning(UserWarning):
    """Training that goes on, or ends with a network, though something in it went wrong."""


class GradientHealth:
    """Look at the loss and the gradient of every update: both must be finite; the norms are averaged.

    On the CPU an update that is not healthy is an error before it is made. A GPU is not waited for: there such updates
    are left out, and :meth:`mean_norm` raises the error.

    Args:
        loss: name under which recorders receive the loss.

    Attributes:
        updates: updates looked at so far.
    """

    def __init__(self, loss: str) -> None:
        self.loss = loss
        self.updates = 0
        self._since = 0
        self._sum: float | Tensor = 0.0
        self._first_sick: Tensor | None = None

    def look_at(self, loss: Tensor, norm: Tensor) -> Tensor | None:
        """Take note of an update.

        Args:
            loss: a number.
            norm: L2 norm of its gradient.

        Returns:
            None, or on a GPU 1.0 where the update must be left out and 0.0 else.

        Raises:
            NumericalError: on the CPU, where one of them is not finite.
        """
        self.updates += 1
        self._since += 1
        if norm.device.type == "cpu":
            length, value = float(norm), float(loss.detach())
            if not isfinite(length) or not isfinite(value):
                raise NumericalError(self.loss, self.updates, f"the loss is {value:g}, its gradient's norm {length:g}")
            self._sum += length
            return None
        sick = ~(torch.isfinite(norm) & torch.isfinite(loss.detach()))
        self._sum = self._sum + torch.where(sick, 0.0, norm)
        here = torch.where(sick, float(self.updates), torch.inf)
        self._first_sick = here if self._first_sick is None else torch.minimum(self._first_sick, here)
        return sick.float()

    def mean_norm(self) -> float:
        """Return the mean norm of the gradients since the last call; 0 without any.

        Raises:
            NumericalError: an update since was not healthy.
        """
        number, total, sick = self._since, float(self._sum), self._first_sick
        self._since, self._sum, self._first_sick = 0, 0.0, None
        if sick is not None and isfinite(float(sick)):
            raise NumericalError(self.loss, int(sick), "the loss or its gradient is not a finite number")
        return total / number if number else 0.0

    def state_dict(self) -> dict[str, int]:
        """Return the number of updates; norms are those of one pass, and there are none between passes."""
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, int], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self.updates = state["updates"]
