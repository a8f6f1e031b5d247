"""Clients of the HTTP port that keep it waiting, on loopback."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from rivven_kafka.runtime import http
from rivven_kafka.runtime.control import Control

TOKEN = "control-token-0123456789"
LOOPBACK = "127.0.0.1"
WITH_BODY = b"POST /connectors/in/pause HTTP/1.1\r\nContent-Length: 4096\r\nAuthorization: Bearer %s\r\n\r\n"


class Nothing:
    """Connectors and reports, none of them."""

    registry = staticmethod(CollectorRegistry)
    ready = health = staticmethod(lambda: (True, {}))
    status = staticmethod(dict)
    named = staticmethod(lambda _: [])


@pytest.fixture
def server(monkeypatch):
    """Gives a client half a second."""
    monkeypatch.setattr(http, "_CLIENT_TIMEOUT_S", 0.5)
    control = Control(Nothing(), SecretStr(TOKEN))
    with http._Server(LOOPBACK, 0, http.Application(Nothing(), "/health", control)) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def connect(server):
    return socket.create_connection((LOOPBACK, server.server_port), timeout=20)


def answer(client):
    """All that comes until the end of the connection."""
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def trickle(client, piece, stop):
    try:
        while not stop.wait(0.05):
            client.sendall(piece)
    except OSError:
        stop.set()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"G"),
        (b"GET /live HTTP/1.1\r\n", b"X: y\r\n"),
        (WITH_BODY % TOKEN.encode(), b"x"),
    ],
    ids=["request line", "headers", "body"],
)
def test_a_client_that_sends_a_byte_now_and_then_has_a_deadline(server, start, piece):
    stop = threading.Event()
    with connect(server) as client:
        client.sendall(start)
        began = time.monotonic()
        sender = threading.Thread(target=trickle, args=(client, piece, stop), daemon=True)
        sender.start()
        answer(client)
        took = time.monotonic() - began
        stop.set()
        sender.join()
    assert 0.3 < took < 3


@pytest.mark.parametrize(("token", "status"), [(b"x", b"403"), (b"", b"401")])
def test_without_the_token_no_body_is_waited_for(server, monkeypatch, token, status):
    monkeypatch.setattr(http, "_CLIENT_TIMEOUT_S", 30.0)
    with connect(server) as client:
        client.settimeout(5)
        client.sendall(WITH_BODY % token)
        assert client.recv(65536).split()[1] == status


def test_idle_connections_are_few_and_keep_nobody_out(server, monkeypatch):
    monkeypatch.setattr(http, "_CLIENT_TIMEOUT_S", 30.0)
    monkeypatch.setattr(http, "_MAX_REQUESTS", 4)
    accepted, accept = [], server.process_request
    monkeypatch.setattr(
        server, "process_request", lambda *request: (accept(*request), accepted.append(request))
    )
    before = threading.active_count()
    with ExitStack() as stack:
        idle = []
        for _ in range(20):
            idle.append(stack.enter_context(connect(server)))
            # One after the other: those that are ended need a moment.
            wait_until(lambda: len(accepted) == len(idle) and server._threads_running <= 4)
        with connect(server) as client:
            client.sendall(b"GET /live HTTP/1.1\r\n\r\n")
            assert answer(client).split()[1] == b"200"
        # The first have made room.
        assert [answer(client) for client in idle[:16]] == [b""] * 16
        assert threading.active_count() - before <= 2 * 4
    wait_until(lambda: (server._threads_running, server._deadlines) == (0, {}))
