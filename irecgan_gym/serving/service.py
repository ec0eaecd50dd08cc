"""Sessions that are served: what is asked is checked, answered by the policy, logged, and only then acknowledged."""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.serving.event_log import EventLog
from irecgan_gym.serving.events import Carried, Event, Header, LogError, Shown, known
from irecgan_gym.serving.named_policy import Recommends
from irecgan_gym.serving.requests import Answer, Click, Request, ServiceError, Start, is_same

_SESSION_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LONGEST_USER = 256


@dataclass(frozen=True)
class Limits:
    """Bounds of what a service holds in memory.

    Attributes:
        sessions: open at a time; further ones are refused until some end.
        steps: of a session; it ends with the click on its last slate.
        idle_seconds: after which a session of which nothing is heard has ended.
        remembered: sessions that have ended whose last answer can be asked for again.
    """

    sessions: int = 100_000
    steps: int = 1000
    idle_seconds: float = 1800.0
    remembered: int = 10_000

    def __post_init__(self) -> None:
        for name in ("sessions", "steps", "remembered"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.idle_seconds > 0:
            raise ValueError(f"idle_seconds must be positive, got {self.idle_seconds}")


@dataclass
class _Open:
    """An open session: its slate, its clicks, and the state that follows from them once it was asked for."""

    step: int
    shown: Shown
    heard: float
    last: Request | None
    state: tuple[NDArray[Any], ...] | None
    clicks: list[int]


class RecommendationService:
    """Answers requests of many sessions, one batch at a time, by one thread.

    An event is in the log before its request is answered, and the state in memory changes after that. A service that is
    made on a log goes on with the sessions that were open; their states follow from their clicks when they are next
    asked about, so the policy's state must depend on the clicks alone, as that of policies over the catalogue does.

    Args:
        policy: chooses slates.
        log: open for writing.
        sampled: True draws slates from the policy, False shows the best ones.
        limits: of memory.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        policy: Recommends,
        log: EventLog,
        *,
        sampled: bool = True,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy, self.log, self.sampled = policy, log, sampled
        self.limits = limits or Limits()
        self._clock = clock
        # By the time when they were last heard of.
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._ended: OrderedDict[str, tuple[Request | None, Answer]] = OrderedDict()
        probe = policy.recommend(np.array([policy.num_items]), deterministic=True).state
        self._first_state: tuple[NDArray[Any], ...] = ()
        if probe is not None:
            self._first_state = tuple(np.zeros_like(part[0]) for part in probe)
        self.answered = 0

    @property
    def num_open(self) -> int:
        """Sessions that are open."""
        return len(self._open)

    def restore(self, records: Iterable[Header | Event | Carried]) -> None:
        """Take up the sessions of a log, in place of none.

        Args:
            records: of :func:`~irecgan_gym.serving.event_log.read_open_sessions`.

        Raises:
            LogError: events that do not follow each other, or over another catalogue.
        """
        for record in records:
            if isinstance(record, Header):
                if record.num_items != self.policy.num_items:
                    raise LogError(
                        f"{self.log.folder}: the log is of {record.num_items} items, the policy of "
                        f"{self.policy.num_items}: serve it with a log of its own"
                    )
            elif isinstance(record, Carried):
                self._take_up(record)
            else:
                self._replay(record)

    def _take_up(self, carried: Carried) -> None:
        """Take up a session that a file carries over."""
        session, step, ended = carried.session, carried.step, carried.ended
        asked: Request | None = Click(session, step - (ended is None), carried.click)
        if ended is None and step == 0:
            asked = Start(session, carried.user)
        if carried.shown is not None:
            self._open[session] = _Open(step, carried.shown, carried.time, asked, None, list(carried.clicks))
        else:
            self._remember(session, None if ended == "expired" else asked, Answer(session, step, None, ended))

    def _carried(self) -> Iterator[Carried]:
        """Yield the sessions as they are, those that have ended first: what :meth:`_take_up` takes up."""
        for session, (last, answer) in self._ended.items():
            click = last.click if isinstance(last, Click) else None
            yield Carried(session, answer.step, 0.0, click=click, ended=answer.ended)
        for session, found in self._open.items():
            user = found.last.user if isinstance(found.last, Start) else None
            click = found.last.click if isinstance(found.last, Click) else None
            yield Carried(session, found.step, found.heard, user, tuple(found.clicks), found.shown, click)

    def _replay(self, event: Event) -> None:
        found = self._open.get(event.session)
        expected = -1 if found is None else found.step
        if event.step != expected:
            raise LogError(f"{self.log.folder}: session {event.session}: step {event.step} follows {expected - 1}")
        asked: Request | None = None
        if event.step == -1:
            asked = Start(event.session, event.user)
        elif event.ended != "expired":
            asked = Click(event.session, event.step, event.click, event.reward)
        if event.shown is None:
            self._open.pop(event.session, None)
            self._remember(event.session, asked, Answer(event.session, event.step, None, event.ended))
            return
        clicks = [] if found is None else found.clicks
        clicks.append(self.policy.num_items if event.click is None else event.click)
        self._open[event.session] = _Open(event.step + 1, _slim(event.shown), event.time, asked, None, clicks)
        self._open.move_to_end(event.session)

    def answer(self, requests: Sequence[Request]) -> list[Answer | ServiceError]:
        """Answer requests in their order, many by one call of the policy and one write to the log."""
        self.expire()
        answers: dict[int, Answer | ServiceError] = {}
        waiting = list(range(len(requests)))
        while waiting:
            # Requests of one session follow each other; the first of each are met together.
            first = list({requests[place].session: place for place in reversed(waiting)}.values())
            found = self._answer_together([requests[place] for place in first])
            answers.update(zip(first, found, strict=True))
            waiting = [place for place in waiting if place not in answers]
        self.answered += len(requests)
        return [answers[place] for place in range(len(requests))]

    def expire(self) -> int:
        """End the sessions of which nothing was heard for too long; return their number."""
        now, events = self._clock(), []
        for session, found in self._open.items():
            if now - found.heard <= self.limits.idle_seconds:
                break
            events.append(Event(session, found.step, now, ended="expired"))
        if events and self._kept(events) is None:
            for event in events:
                self._end(event, None)
            return len(events)
        return 0

    def _answer_together(self, requests: list[Request]) -> list[Answer | ServiceError]:
        answers: list[Answer | ServiceError | None] = []
        fresh: list[int] = []
        room = self.limits.sessions - len(self._open)
        for place, request in enumerate(requests):
            try:
                answers.append(self._known_answer(request))
                if answers[-1] is None:
                    self._check(request)
                    if isinstance(request, Start):
                        if room <= 0:
                            raise ServiceError(503, f"{self.limits.sessions} sessions are open, no more are taken")
                        room -= 1
                    fresh.append(place)
            except ServiceError as error:
                answers[place:] = [error]
        events, states = self._events([requests[place] for place in fresh])
        failure = self._kept(events)
        for place, event, state in zip(fresh, events, states, strict=True):
            answers[place] = failure or self._apply(requests[place], event, state)
        return [answer for answer in answers if answer is not None]

    def _known_answer(self, request: Request) -> Answer | None:
        """The answer to a request that was met before, or None."""
        found = self._open.get(request.session)
        if found is not None:
            if is_same(request, found.last):
                return Answer(request.session, found.step, found.shown)
            if isinstance(request, Start):
                raise ServiceError(409, f"session {request.session!r} has started already")
            if request.step != found.step:
                raise ServiceError(409, f"session {request.session!r} is at step {found.step}, not {request.step}")
            return None
        if request.session in self._ended:
            last, answer = self._ended[request.session]
            if is_same(request, last):
                return answer
            raise ServiceError(409, f"session {request.session!r} has ended ({answer.ended})")
        if isinstance(request, Click):
            raise ServiceError(404, f"there is no session {request.session!r}")
        return None

    def _check(self, request: Request) -> None:
        size, num_items = request.k, self.policy.num_items
        if isinstance(request, Start):
            if not _SESSION_NAME.fullmatch(request.session):
                raise ServiceError(422, "session must be 1 to 64 letters, digits and '_.:-'")
            if request.user is not None and len(request.user) > _LONGEST_USER:
                raise ServiceError(422, f"user must have at most {_LONGEST_USER} characters")
        else:
            shown = self._open[request.session].shown.items
            if request.click is not None and request.click not in shown:
                raise ServiceError(422, f"click {request.click} is not in the slate {list(shown)}")
            if request.reward is not None:
                if not math.isfinite(request.reward) or abs(request.reward) > float(np.finfo(np.float32).max):
                    raise ServiceError(422, f"reward must be a finite number, got {request.reward}")
                if request.click is None and request.reward != 0:
                    raise ServiceError(422, f"a step without a click earns nothing, got a reward of {request.reward}")
        if size is not None and not 1 <= size <= self.largest_slate:
            raise ServiceError(422, f"k must be from 1 to {self.largest_slate}, got {size}")
        for item in request.exclude:
            if not 0 <= item < num_items:
                raise ServiceError(422, f"exclude holds {item}, expected ids from 0 to {num_items - 1}")
        left = num_items - len(set(request.exclude))
        if left < (size or self.policy.slate_size):
            raise ServiceError(422, f"exclude leaves {left} of {num_items} items, fewer than are to be shown")

    @property
    def largest_slate(self) -> int:
        """The most items that can be shown at a time."""
        return int(getattr(self.policy, "largest_slate", self.policy.num_items))

    def _events(self, requests: list[Request]) -> tuple[list[Event], list[tuple[NDArray[Any], ...]]]:
        """Return the events of requests that were checked, and the states afterwards."""
        now = self._clock()
        events = [self._told(request, now) for request in requests]
        states: list[tuple[NDArray[Any], ...]] = [()] * len(requests)
        by_size: dict[int, list[int]] = {}
        for place, (request, event) in enumerate(zip(requests, events, strict=True)):
            if event.ended is None:
                by_size.setdefault(request.k or self.policy.slate_size, []).append(place)
        for size, places in by_size.items():
            self._catch_up([requests[place].session for place in places])
            asked = [requests[place] for place in places]
            choice = self._recommend(
                [self._clicked(events[place]) for place in places],
                [None if isinstance(request, Start) else self._open[request.session].state for request in asked],
                size,
                [request.exclude for request in asked],
                deterministic=not self.sampled,
            )
            for row, place in enumerate(places):
                excluded = tuple(sorted(set(requests[place].exclude)))
                shown = Shown(tuple(choice.slates[row].tolist()), known(choice.log_probabilities[row]), excluded)
                events[place] = replace(events[place], shown=shown)
                states[place] = _row(choice.state, row)
        return events, states

    def _told(self, request: Request, now: float) -> Event:
        """Return the event of a request, before a slate is chosen."""
        if isinstance(request, Start):
            return Event(request.session, -1, now, user=request.user)
        reward = request.reward
        if reward is None:
            reward = 0.0 if request.click is None else 1.0
        event = Event(request.session, request.step, now, click=request.click, reward=reward)
        if request.click is None:
            return replace(event, ended="left")
        if request.last:
            return replace(event, ended="closed")
        return replace(event, ended="limit") if request.step + 1 >= self.limits.steps else event

    def _clicked(self, event: Event) -> int:
        return self.policy.num_items if event.click is None else event.click

    def _recommend(
        self,
        clicks: list[int],
        states: list[tuple[NDArray[Any], ...] | None],
        size: int,
        exclude: list[tuple[int, ...]],
        *,
        deterministic: bool,
    ) -> Any:
        rows = [self._first_state if state is None else state for state in states]
        state = tuple(np.stack(parts) for parts in zip(*rows, strict=True)) if self._first_state else None
        return self.policy.recommend(
            np.array(clicks, dtype=np.int64),
            state,
            np.array([state is None for state in states]),
            deterministic,
            k=size,
            exclude=exclude if any(exclude) else None,
        )

    def _catch_up(self, sessions: list[str]) -> None:
        """Work out the states of restored sessions from their clicks."""
        behind = [found for found in map(self._open.get, sessions) if found is not None and found.state is None]
        step = 0
        while going_on := [found for found in behind if len(found.clicks) > step]:
            choice = self._recommend(
                [found.clicks[step] for found in going_on],
                [found.state if step else None for found in going_on],
                1,
                [()] * len(going_on),
                deterministic=True,
            )
            for row, found in enumerate(going_on):
                found.state = _row(choice.state, row)
            step += 1

    def _kept(self, events: list[Event]) -> ServiceError | None:
        """Write events to the log; the error for their requests where that fails."""
        try:
            self.log.append(events, self._carried)
        except (OSError, LogError) as error:
            return ServiceError(503, f"the log cannot be written: {error}")
        return None

    def _apply(self, request: Request, event: Event, state: tuple[NDArray[Any], ...]) -> Answer:
        """Take up what is logged."""
        if event.shown is None:
            return self._end(event, request)
        shown = _slim(event.shown)
        # What must not be shown may be much, and is not asked for again.
        asked = replace(request, exclude=())
        before = self._open.get(event.session)
        clicks = [] if before is None else before.clicks
        clicks.append(self._clicked(event))
        self._open[event.session] = _Open(event.step + 1, shown, event.time, asked, state, clicks)
        self._open.move_to_end(event.session)
        return Answer(event.session, event.step + 1, shown)

    def _end(self, event: Event, request: Request | None) -> Answer:
        del self._open[event.session]
        answer = Answer(event.session, event.step, None, event.ended)
        self._remember(event.session, request, answer)
        return answer

    def _remember(self, session: str, request: Request | None, answer: Answer) -> None:
        self._ended[session] = (None if request is None else replace(request, exclude=()), answer)
        while len(self._ended) > self.limits.remembered:
            self._ended.popitem(last=False)


def _slim(shown: Shown) -> Shown:
    """A slate without the items that could not be in it, which only the log keeps."""
    return replace(shown, excluded=())


def _row(state: Any, row: int) -> tuple[NDArray[Any], ...]:
    """The state of one session."""
    # A copy: a row would keep those of all other sessions in memory.
    return () if state is None else tuple(np.array(part[row]) for part in state)
