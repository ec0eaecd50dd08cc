"""The server over a real socket, in this process and in one that is killed."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra serve")

from irecgan_gym.serving import (  # noqa: E402
    Click,
    Limits,
    ServiceError,
    Start,
    create_app,
    open_service,
    read_served_log,
)
from irecgan_gym.serving.batching import Batches  # noqa: E402
from tests.serving.counting_policy import CountingPolicy, N, opened  # noqa: E402

ROOT = Path(__file__).parents[2]
NAMES = tuple(f"item {number}" for number in range(N))


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def __call__(self, method, path, body=None, **headers):
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        self.connection.request(method, path, data, {"Content-Type": "application/json", **headers})
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def post(self, path, **body):
        return self("POST", path, body)


@contextmanager
def running(service, **arguments):
    config = uvicorn.Config(create_app(service, **arguments), port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module", name="client")
def client_of_a_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    with running(opened(folder, item_names=NAMES), item_names=NAMES) as client:
        yield client


def test_a_session_over_http_in_the_catalogues_names(client):
    status, first = client.post("/sessions", session="a", user="u", exclude=["item 5"])
    assert status == 200
    assert first == {"session": "a", "step": 0, "ended": None, "slate": ["item 4", "item 3", "item 2"],
                     "log_probability": 0.0}  # fmt: skip
    status, second = client.post("/sessions/a/clicks", step=0, click="item 2", reward=0.5, k=1)
    assert (status, second["step"], second["slate"]) == (200, 1, ["item 2"])
    assert client.post("/sessions/a/clicks", step=0, click="item 2", reward=0.5, k=1) == (200, second)
    assert client.post("/sessions/a/clicks", step=1, click=None) == (
        200,
        {"session": "a", "step": 1, "ended": "left"},
    )


def test_without_a_name_a_session_has_one_of_its_own(client):
    names = {client.post("/sessions")[1]["session"] for _ in range(3)}
    assert len(names) == 3
    assert all(len(name) == 24 for name in names)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/sessions/none/clicks", {"step": 0, "click": "item 1"}, 404, "no session"),
        ("/sessions", {"exclude": ["item 6"]}, 422, "no item 'item 6'"),
        ("/sessions", {"exclude": [1]}, 422, "no item 1"),
        ("/sessions", {"exclude": list(NAMES[:4])}, 422, "leaves 2 of 6"),
        ("/sessions", {"k": 0}, 422, "k must be from 1 to 6"),
        ("/sessions", {"k": 1.5}, 422, "integer"),
        ("/sessions", {"k": True}, 422, "integer"),
        ("/sessions", {"session": "../etc"}, 422, "session must be"),
        ("/sessions", {"sesion": "a"}, 422, "Extra inputs"),
        ("/sessions", [], 422, "dictionary"),
        ("/sessions", b"{", 422, "JSON"),
        ("/sessions", b"\xff", 400, "body"),
        ("/sessions/a/clicks", {"step": "0", "click": "item 1"}, 422, "integer"),
        ("/sessions/a/clicks", {"step": 0}, 422, "Field required"),
        ("/sessions/a/clicks", {"step": 0, "click": "item 1", "reward": "x"}, 422, "number"),
    ],
)
def test_wrong_bodies_are_refused(client, path, body, status, message):
    found, answer = client("POST", path, body)
    assert found == status
    assert message in json.dumps(answer)


def test_numbers_that_json_does_not_have_are_refused(client):
    client.post("/sessions", session="nan")
    for body in (b'{"step": 0, "click": "item 5", "reward": NaN}', b'{"step": NaN, "click": "item 5"}'):
        status, answer = client("POST", "/sessions/nan/clicks", body)
        assert status == 422, answer


def test_large_bodies_are_refused_unread(client):
    status, answer = client("POST", "/sessions", b" " * (2**20 + 1))
    assert status == 413
    assert "up to 1048576 bytes" in answer["detail"]
    client.connection.close()


def test_health_counts_and_tells_of_a_log_that_cannot_be_written(tmp_path):
    service = opened(tmp_path)
    with running(service) as client:
        client.post("/sessions", session="a")
        status, health = client("GET", "/health")
        assert (status, health["status"], health["open_sessions"], health["answered"]) == (200, "ok", 1, 1)
        service.log.failure = "disk gone"
        status, health = client("GET", "/health")
        assert (status, health["status"]) == (503, "the log cannot be written: disk gone")
        status, answer = client.post("/sessions", session="b")
        assert status == 503
        assert "disk gone" in answer["detail"]


def test_idle_sessions_expire_by_themselves(tmp_path):
    service = opened(tmp_path, limits=Limits(idle_seconds=0.05))
    with running(service, expire_every=0.02) as client:
        client.post("/sessions", session="a")
        deadline = time.monotonic() + 300
        while client("GET", "/health")[1]["open_sessions"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client("GET", "/health")[1]["open_sessions"] == 0
    assert read_served_log(tmp_path).sessions.clicks.tolist() == [N]


def test_many_clients_at_once_are_answered_each_with_its_own(tmp_path):
    service = open_service(CountingPolicy(), tmp_path, policy_digest="d", sampled=True, seed=1)
    with running(service) as client:
        port = client.connection.port
        seen = {}

        def play(name):
            own = Client(port)
            _, answer = own.post("/sessions", session=name)
            seen[name] = [answer["slate"]]
            for step in range(3):
                _, answer = own.post(f"/sessions/{name}/clicks", step=step, click=answer["slate"][0])
                seen[name].append(answer["slate"])
            own.post(f"/sessions/{name}/clicks", step=3, click=None)

        threads = [threading.Thread(target=play, args=(f"s{number}",)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    log = read_served_log(tmp_path)
    assert {
        name: [slate.tolist() for slate in session.slates]
        for name, session in zip(log.names, log.sessions, strict=True)
    } == seen
    assert np.isfinite(log.propensities.slates).all()


class TestBatches:
    def test_what_waits_is_answered_together(self):
        class Slow:
            def __init__(self):
                self.batches = []

            def answer(self, requests):
                time.sleep(0.05)
                self.batches.append(len(requests))
                return list(requests)

            def expire(self):
                return 0

        async def play(service):
            batches = Batches(service, most=8)
            await batches.start()
            requests = [Start(str(number)) for number in range(20)]
            assert await asyncio.gather(*map(batches.ask, requests)) == requests
            await batches.stop()
            return batches.sizes

        service = Slow()
        sizes = asyncio.run(play(service))
        assert sum(service.batches) == 20
        assert max(service.batches) == 8
        assert len(service.batches) <= 4
        assert sum(count * size for size, count in enumerate(sizes, 1)) == 20

    def test_too_many_that_wait_are_refused_and_a_failure_reaches_all(self):
        class Failing:
            def answer(self, requests):
                raise RuntimeError("broken")

        async def play():
            batches = Batches(Failing(), waiting=2)
            asked = [asyncio.create_task(batches.ask(Click("a", number, 1))) for number in range(3)]
            await asyncio.sleep(0)
            await batches.start()
            return await asyncio.gather(*asked, return_exceptions=True)

        errors = asyncio.run(play())
        assert [type(error) for error in errors] == [RuntimeError, RuntimeError, ServiceError]
        assert errors[2].status == 503


PROGRAM = """
import socket
import sys
import uvicorn
from irecgan_gym.serving import create_app
from tests.serving.counting_policy import opened
server = uvicorn.Server(uvicorn.Config(create_app(opened(sys.argv[1])), log_level="error"))
server.run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
"""


def test_killed_with_kill_9_a_server_goes_on_with_its_sessions(tmp_path):
    """Both processes listen on one socket of the test's own, in which requests wait until a server is there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def start():
            listens = str(listening.fileno())
            command = [sys.executable, "-c", PROGRAM, str(tmp_path), listens]
            process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listening.fileno()])
            return process, Client(listening.getsockname()[1])

        process, client = start()
        try:
            _, first = client.post("/sessions", session="a")
            _, second = client.post("/sessions/a/clicks", step=0, click=3)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(600) == -signal.SIGKILL
            process, client = start()
            assert client.post("/sessions/a/clicks", step=0, click=3) == (200, second)
            _, third = client.post("/sessions/a/clicks", step=1, click=3)
            assert (first["slate"], second["slate"], third["slate"]) == ([5, 4, 3], [3, 5, 4], [3, 5, 4])
        finally:
            process.terminate()
            assert process.wait(600) in (0, -signal.SIGTERM)
    (session,) = read_served_log(tmp_path).sessions
    assert session.clicks.tolist() == [3, 3]
