"""Requests that come in while others are worked on are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from irecgan_gym.serving.requests import Answer, Request, ServiceError


class Answers(Protocol):
    """Service that works on batches; :class:`~irecgan_gym.serving.service.RecommendationService` does."""

    def answer(self, requests: Sequence[Request]) -> list[Answer | ServiceError]:
        """Answer requests in their order."""

    def expire(self) -> int:
        """End what has been idle for too long."""


class Batches:
    """Hands requests to a service, in batches of whatever has come in; nothing waits for a batch to fill.

    The service works in one thread of its own, so that the event loop reads the next requests meanwhile: a batch takes
    one call of the policy, and one write to the disk.

    Args:
        service: answers.
        most: requests in a batch.
        waiting: requests that may wait; further ones are refused at once.
    """

    def __init__(self, service: Answers, *, most: int = 256, waiting: int = 4096) -> None:
        if most < 1 or waiting < 1:
            raise ValueError(f"most and waiting must be at least 1, got {most} and {waiting}")
        self._service, self._most = service, most
        self._queue: asyncio.Queue[tuple[Request, asyncio.Future[Answer | ServiceError]]] = asyncio.Queue(waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="service")
        self._worker: asyncio.Task[None] | None = None
        self.sizes = [0] * most
        """Batches so far by their size, of 1 first."""

    async def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answer what waits, then stop."""
        await self._queue.join()
        if self._worker is not None:
            self._worker.cancel()
        self._thread.shutdown()

    async def ask(self, request: Request) -> Answer:
        """Return the answer of the service.

        Raises:
            ServiceError: what the service says is wrong, or too many requests wait.
        """
        future: asyncio.Future[Answer | ServiceError] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((request, future))
        except asyncio.QueueFull:
            raise ServiceError(503, "too many requests wait for an answer") from None
        answer = await future
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    async def expire(self) -> None:
        """End the sessions that have been idle for too long."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._service.expire)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._most and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            requests = [request for request, _ in batch]
            answers: Sequence[Answer | ServiceError | BaseException]
            try:
                answers = await loop.run_in_executor(self._thread, self._service.answer, requests)
            except Exception as error:  # whatever it is, those who wait are told, and the next batch is worked on
                answers = [error] * len(batch)
            self.sizes[len(batch) - 1] += 1
            for (_, future), answer in zip(batch, answers, strict=True):
                # Those who have gone away wait no more.
                if not future.done():
                    if isinstance(answer, BaseException) and not isinstance(answer, ServiceError):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
                self._queue.task_done()
