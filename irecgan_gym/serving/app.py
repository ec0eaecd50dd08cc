"""The HTTP interface of a service, by FastAPI; the only place that imports it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from irecgan_gym._version import __version__
from irecgan_gym.serving.batching import Batches
from irecgan_gym.serving.requests import Answer, Click, ServiceError, Start
from irecgan_gym.serving.service import RecommendationService

_LARGEST_BODY = 2**20
_MOST_EXCLUDED = 100_000
_FAULTS_TOLD = 10

Item = str | Annotated[int, Field(strict=True)]


class _Body(BaseModel):
    # Unknown fields are typing errors of the client, not to be passed over.
    model_config = ConfigDict(extra="forbid")

    k: Annotated[int, Field(strict=True)] | None = None
    exclude: list[Item] = Field(default_factory=list, max_length=_MOST_EXCLUDED)


class StartBody(_Body):
    """Body of a request to start a session.

    Attributes:
        session: its name; a random one when left out.
        user: name of the user.
        k: items to show.
        exclude: items that must not be shown, by name where the catalogue has names, else by id.
    """

    session: str | None = None
    user: str | None = None


class ClickBody(_Body):
    """Body of a request that tells of a click.

    Attributes:
        step: number of the slate, from 0.
        click: the item, by name where the catalogue has names, else by id; null where the user left without a click.
        reward: of the step; 1 for a click when left out.
        last: whether the session ends with this click.
        k: items to show next.
        exclude: items that must not be shown next.
    """

    step: Annotated[int, Field(strict=True)]
    click: Item | None
    reward: float | None = None
    last: bool = False


class _Names:
    """Items as clients call them: by the catalogue's names, or by ids where it has none."""

    def __init__(self, names: tuple[str, ...] | None) -> None:
        self._names = names
        self._ids = None if names is None else {name: number for number, name in enumerate(names)}

    def id(self, item: str | int) -> int:
        if self._ids is None:
            if isinstance(item, int):
                return item
            raise ServiceError(422, f"items are ids, integers, got {item!r}")
        found = self._ids.get(item) if isinstance(item, str) else None
        if found is None:
            raise ServiceError(422, f"the catalogue has no item {item!r}")
        return found

    def ids(self, items: list[str | int]) -> tuple[int, ...]:
        return tuple(map(self.id, items))

    def names(self, items: tuple[int, ...]) -> list[Any]:
        return list(items) if self._names is None else [self._names[item] for item in items]


class _BoundedBodies:
    """Refuses bodies that are large, or do not say how large they are, before anything of them is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            size = dict(scope["headers"]).get(b"content-length", b"")
            if not size.isdigit() or int(size) > _LARGEST_BODY:
                detail = f"a body of up to {_LARGEST_BODY} bytes with its length is expected"
                await JSONResponse({"detail": detail}, 413)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(
    service: RecommendationService,
    *,
    item_names: tuple[str, ...] | None = None,
    most: int = 256,
    expire_every: float = 5.0,
) -> FastAPI:
    """Return the application of a service.

    ``POST /sessions`` starts a session, ``POST /sessions/{session}/clicks`` tells of a click; both answer with the
    session, the number of its slate, and the slate. ``GET /health`` says whether all is well, with counts.

    Args:
        service: answers; its log is closed when the application ends.
        item_names: the catalogue's own names; ids without them.
        most: requests that are answered together.
        expire_every: seconds between two looks for sessions that have been idle for too long.
    """
    batches = Batches(service, most=most)
    items = _Names(item_names)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await batches.start()
        expiring = asyncio.create_task(_expire(batches, expire_every))
        yield
        expiring.cancel()
        with suppress(asyncio.CancelledError):
            await expiring
        await batches.stop()
        service.log.close()

    app = FastAPI(title="irecgan-gym serve", version=__version__, lifespan=lifespan)

    @app.exception_handler(ServiceError)
    async def refused(request: Request, error: ServiceError) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 503 else None
        return JSONResponse({"detail": str(error)}, error.status, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the values themselves, which may be anything: large, or numbers that JSON does not have.
        faults = [
            {"at": ".".join(map(str, fault["loc"])), "expected": fault["msg"]}
            for fault in error.errors()[:_FAULTS_TOLD]
        ]
        return JSONResponse({"detail": faults}, 422)

    app.add_middleware(_BoundedBodies)

    @app.post("/sessions")
    async def start(body: StartBody) -> dict[str, Any]:
        session = secrets.token_hex(12) if body.session is None else body.session
        return _json(await batches.ask(Start(session, body.user, body.k, items.ids(body.exclude))), items)

    @app.post("/sessions/{session}/clicks")
    async def click(session: str, body: ClickBody) -> dict[str, Any]:
        clicked = None if body.click is None else items.id(body.click)
        asked = Click(session, body.step, clicked, body.reward, body.last, body.k, items.ids(body.exclude))
        return _json(await batches.ask(asked), items)

    @app.get("/health")
    async def health() -> JSONResponse:
        failure = service.log.failure
        counts = {
            "status": "ok" if failure is None else f"the log cannot be written: {failure}",
            "open_sessions": service.num_open,
            "answered": service.answered,
            "batches": sum(batches.sizes),
            "num_items": service.policy.num_items,
            "slate_size": service.policy.slate_size,
            "sampled": service.sampled,
            "version": __version__,
        }
        return JSONResponse(counts, 200 if failure is None else 503)

    return app


async def _expire(batches: Batches, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        await batches.expire()


def _json(answer: Answer, items: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {"session": answer.session, "step": answer.step, "ended": answer.ended}
    if answer.shown is not None:
        found["slate"] = items.names(answer.shown.items)
        logs = answer.shown.log_probabilities
        found["log_probability"] = None if logs is None else logs[-1]
    return found
