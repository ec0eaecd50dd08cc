"""A server under load from this machine, killed in the middle: how fast it answers, and whether anything is lost."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from irecgan_gym.benchmarks.engine.command import check_at_least, check_positive, command_line
from irecgan_gym.serving.event_log import read_log_events
from irecgan_gym.serving.events import Event

_PATIENCE = 600.0
"""Seconds in which a server must have started, or a request must have been answered."""


class LoadError(OSError):
    """A server that does not start or answer, or has lost what it had acknowledged."""


class _RefusedError(Exception):
    """An answer of another status than 200."""


@dataclass
class _Measured:
    """Answers and times as the clients saw them.

    Attributes:
        seconds: of each request that one attempt was enough for.
        answers: every answer that a client has received whole.
        retried: requests that took more than one attempt.
        finished: sessions that have ended.
    """

    seconds: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    retried: int = 0
    finished: int = 0


@dataclass(frozen=True, kw_only=True)
class ServingLoad:
    """Put a server under load from this machine, kill it with kill -9 in the middle, and look for losses."""

    policy: Path | None = None
    """File of the policy; an agent before any training is exported if left out."""
    items: int = 1000
    """Size of the catalogue of that agent."""
    slate_size: int = 10
    """Items of its slates."""
    sessions: int = 2000
    """Sessions in all."""
    clicks: int = 5
    """Clicks of a session."""
    clients: int = 32
    """Sessions that are played at a time."""
    kills: int = 1
    """Times that the server is killed, spread evenly over the sessions."""
    durability: Literal["fsync", "write"] = "fsync"
    """See `irecgan-gym serve`."""
    batch: int = 256
    """Requests that the server answers together at most; 1 answers one by one."""
    seed: int = 0
    """Seed of the clicks."""

    def execute(self, console: Console) -> None:
        """Play, kill, restart, and compare what was acknowledged with what is in the log."""
        check_positive(
            items=self.items,
            slate_size=self.slate_size,
            sessions=self.sessions,
            clicks=self.clicks,
            clients=self.clients,
            batch=self.batch,
        )
        check_at_least(0, kills=self.kills, seed=self.seed)
        with tempfile.TemporaryDirectory() as folder:
            policy = self.policy or self._exported(Path(folder) / "policy.onnx")
            log = Path(folder) / "log"
            server = _Server(policy, log, self.durability, self.batch)
            measured = _Measured()
            try:
                server.start()
                began = time.perf_counter()
                asyncio.run(self._play(server, measured))
                seconds = time.perf_counter() - began
            finally:
                server.stop()
            lost = missing_from_log(log, measured.answers)
        p50, p99 = np.percentile(measured.seconds, [50, 99]) * 1e3
        for line in (
            f"sessions          {measured.finished} of {self.clicks} clicks each, {self.clients} at a time",
            f"kill -9           {self.kills} times; down for {server.down:.2f} s in all",
            f"acknowledged      {len(measured.answers)} answers, {measured.retried} of them after further attempts",
            f"lost              {len(lost)}",
            f"sessions a second {measured.finished / (seconds - server.down):.1f} (while the server was up)",
            f"answers a second  {len(measured.answers) / (seconds - server.down):.1f}",
            f"latency           p50 {p50:.2f} ms, p99 {p99:.2f} ms (answers to first attempts)",
            f"batches           {server.answered / max(server.batches, 1):.2f} answers each since the last start",
        ):
            console.print(line, markup=False, highlight=False)
        if lost:
            raise LoadError(f"{len(lost)} acknowledged answers are not in the log, the first: {lost[0]}")

    def _exported(self, path: Path) -> Path:
        from irecgan_gym.agents.pg import PG
        from irecgan_gym.serving.onnx_export import export_onnx

        export_onnx(PG(self.items, self.slate_size, seed=0, device="cpu"), path)
        return path

    async def _play(self, server: _Server, measured: _Measured) -> None:
        numbers = iter(range(self.sessions))
        clients = [asyncio.create_task(self._client(server, numbers, measured)) for _ in range(self.clients)]
        for kill in range(1, self.kills + 1):
            while measured.finished < self.sessions * kill // (self.kills + 1):
                await asyncio.sleep(0.02)
            await asyncio.to_thread(server.kill_and_restart)
        await asyncio.gather(*clients)
        await server.count()

    async def _client(self, server: _Server, numbers: Iterator[int], measured: _Measured) -> None:
        connection = Connection(server.port)
        for number in numbers:
            rng = np.random.default_rng([self.seed, number])
            name = f"session-{number}"
            answer = await self._asked(connection, "/sessions", {"session": name}, measured)
            for step in range(self.clicks + 1):
                click = None if step == self.clicks else int(rng.choice(answer["slate"]))
                body = {"step": step, "click": click}
                answer = await self._asked(connection, f"/sessions/{name}/clicks", body, measured)
            measured.finished += 1
        connection.close()

    async def _asked(
        self, connection: Connection, path: str, body: dict[str, Any], measured: _Measured
    ) -> dict[str, Any]:
        """Ask until there is an answer."""
        first = start = time.perf_counter()
        attempts = 0
        while True:
            attempts += 1
            try:
                start = time.perf_counter()
                answer = await connection.request("POST", path, body)
                break
            except (OSError, EOFError, _RefusedError) as error:
                if isinstance(error, _RefusedError) or time.perf_counter() - first > _PATIENCE:
                    raise LoadError(f"{path} {body}: {error}") from error
                await asyncio.sleep(0.05)
        if attempts == 1:
            measured.seconds.append(time.perf_counter() - start)
        else:
            measured.retried += 1
        measured.answers.append(answer)
        return answer


class Connection:
    """One connection of HTTP 1.1 that is kept open, as little of it as a server of JSON needs.

    Args:
        port: of the server, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the answer of the server.

        Raises:
            OSError: no connection.
            EOFError: the server has gone away before its answer was whole.
        """
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            data = b"" if body is None else json.dumps(body).encode()
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            await writer.drain()
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
            text = await reader.readexactly(int(headers[b"content-length"]))
        except BaseException:
            self.close()
            raise
        if b" 200 " not in lines[0]:
            raise _RefusedError(f"{lines[0].decode()}: {text.decode()}")
        found: dict[str, Any] = json.loads(text)
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class _Server:
    """`irecgan-gym serve` in a process of its own."""

    def __init__(self, policy: Path, log: Path, durability: str, batch: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ["--log", log, "--port", self.port, "--durability", durability, "--batch", batch]
        self._command = [sys.executable, "-m", "irecgan_gym.benchmarks.main", "serve", str(policy), *map(str, options)]
        self._process: subprocess.Popen[bytes] | None = None
        self.down = 0.0
        self.answered = self.batches = 0

    def start(self) -> None:
        """Start, and wait until it answers."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=environment)
        began = time.perf_counter()
        while time.perf_counter() - began < _PATIENCE:
            if self._process.poll() is not None:
                raise LoadError(f"the server has ended with status {self._process.returncode}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise LoadError(f"the server has not started in {_PATIENCE:.0f} s")

    def kill_and_restart(self) -> None:
        """End it as kill -9 does, and start it again on the same log."""
        began = time.perf_counter()
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.start()
        self.down += time.perf_counter() - began

    async def count(self) -> None:
        """Ask for the number of answers and batches since the last start."""
        with _open(Connection(self.port)) as connection:
            health = await connection.request("GET", "/health")
        self.answered, self.batches = health["answered"], health["batches"]

    def stop(self) -> None:
        """Let it end."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextmanager
def _open(connection: Connection) -> Iterator[Connection]:
    try:
        yield connection
    finally:
        connection.close()


def missing_from_log(folder: Path, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the acknowledged answers that a log does not hold exactly as they were given."""
    logged: dict[tuple[str, int, bool], Event] = {}
    for record in read_log_events(folder):
        if isinstance(record, Event):
            ends = record.shown is None
            logged[record.session, record.step + (not ends), ends] = record
    missing = []
    for answer in answers:
        event = logged.get((answer["session"], answer["step"], "slate" not in answer))
        slate = None if event is None or event.shown is None else list(event.shown.items)
        if event is None or slate != answer.get("slate"):
            missing.append(answer)
    return missing


if __name__ == "__main__":
    sys.exit(command_line(ServingLoad))
