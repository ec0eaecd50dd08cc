"""Requests of sessions to a service, and its answers."""

from __future__ import annotations

from dataclasses import dataclass

from irecgan_gym.serving.events import Ended, Shown


class ServiceError(Exception):
    """A request that is not met.

    Args:
        status: of HTTP: 404 no such session, 409 not the session's present step, 422 wrong values, 503 not now.
        message: what is wrong, and what was expected.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Start:
    """A request to start a session.

    Attributes:
        session: its name; the same again gives the same answer while the session is at its first slate.
        user: name of the user, or None.
        k: items to show; the policy's own number when None.
        exclude: ids that must not be shown.
    """

    session: str
    user: str | None = None
    k: int | None = None
    exclude: tuple[int, ...] = ()


@dataclass(frozen=True)
class Click:
    """A request that tells of a click, or of a user who left, and asks for the next slate.

    Attributes:
        session: name of the session.
        step: number of the slate that was clicked, from 0; the same again gives the same answer.
        click: id of the item, one of that slate; None where the user left without a click.
        reward: what the step earned; 1 for a click and 0 without one when None.
        last: whether the session ends with this click.
        k: items to show next; the policy's own number when None.
        exclude: ids that must not be shown next.
    """

    session: str
    step: int
    click: int | None
    reward: float | None = None
    last: bool = False
    k: int | None = None
    exclude: tuple[int, ...] = ()


@dataclass(frozen=True)
class Answer:
    """State of a session after a request, as its client is told.

    Attributes:
        session: its name.
        step: number of the slate.
        shown: the slate; None where the session has ended.
        ended: why it ended; None where it goes on.
    """

    session: str
    step: int
    shown: Shown | None
    ended: Ended | None = None


Request = Start | Click


def is_same(request: Request, last: Request | None) -> bool:
    """Tell whether a request repeats the one that was answered last: what it told counts, not what it asked for."""
    if isinstance(request, Start) or isinstance(last, Start):
        return isinstance(request, Start) and isinstance(last, Start) and request.user == last.user
    return last is not None and (request.step, request.click) == (last.step, last.click)
