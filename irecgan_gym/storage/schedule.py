"""Schedule of a training: its phases, one after the other, and the steps of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from irecgan_gym.storage.checkpoints import Checkpoints
    from irecgan_gym.storage.states import Things

ResultT = TypeVar("ResultT")


def never() -> bool:
    """Return False: a phase goes through all of its steps."""
    return False


class Schedule:
    """The plain schedule: phases go from their first step to their last, and nothing is kept of them.

    A training asks its schedule for the steps of every loop that is long::

        for epoch in schedule.steps("policy", epochs, {"policy": policy, "optimizer": optimizer}):
            ...

    Under a :class:`~irecgan_gym.storage.checkpoints.StoredSchedule`, the same loop goes on where it was stopped.
    """

    def steps(
        self, phase: str, number: int, things: Things, *, until: Callable[[], bool] = never, first: int = 0
    ) -> Iterator[int]:
        """Yield the numbers of a phase's steps: epochs, rounds, updates.

        Args:
            phase: its name, no other phase's of the same training.
            number: the step before which it ends.
            things: all that its steps change and that they depend on, by name.
            until: called after each step; True ends the phase before the last. The loop must not be left otherwise.
            first: number of the first step.
        """
        for step in range(first, number):
            yield step
            if until():
                return

    def once(self, phase: str, make: Callable[[], ResultT]) -> ResultT:
        """Return the result of a phase of one step, without any effect but its result.

        Args:
            phase: its name, no other phase's of the same training.
            make: makes the result: numbers, texts, None, arrays and tensors, in lists and mappings.
        """
        return make()

    def inner(self, name: str) -> Checkpoints | None:
        """Return where a training inside of this one keeps its checkpoints; None where nothing is kept."""
        return None
