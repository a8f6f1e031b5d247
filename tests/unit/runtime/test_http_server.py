"""Clients of the HTTP port that keep it waiting, on loopback."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from rivven_kafka.runtime import http, live
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


def listen(server, stack):
    client = stack.enter_context(connect(server))
    client.sendall(b"GET /events HTTP/1.1\r\n\r\n")
    text = b""
    while b"\r\n\r\n" not in text:
        text += client.recv(65536)
    head, _, rest = text.partition(b"\r\n\r\n")
    return client, head, rest


def test_who_listens_has_no_deadline_and_takes_no_place_of_others(server, monkeypatch):
    monkeypatch.setattr(live, "EVERY_S", 0.1)
    monkeypatch.setattr(http, "_MAX_REQUESTS", 2)
    application = server.get_app()
    with ExitStack() as stack:
        listeners = []
        for _ in range(live.MAX_LISTENERS):
            client, head, _ = listen(server, stack)
            assert head.startswith(b"HTTP/1.0 200 ")
            assert b"text/event-stream" in head
            listeners.append(client)
        assert server._deadlines == {}
        # Three times as long as others have.
        ends = time.monotonic() + 1.5
        heard = [b"" for _ in listeners]
        while time.monotonic() < ends:
            heard = [text + client.recv(65536) for text, client in zip(heard, listeners, strict=True)]
        assert min(text.count(b"data: {}\n\n") for text in heard) > 5
        client, head, rest = listen(server, stack)
        assert head.startswith(b"HTTP/1.0 503 ")
        assert b"/status" in rest + answer(client)
        with connect(server) as probe:
            probe.sendall(b"GET /live HTTP/1.1\r\n\r\n")
            assert answer(probe).split()[1] == b"200"
        listeners.pop().close()
        wait_until(lambda: application._live.listeners == live.MAX_LISTENERS - 1)
        assert listen(server, stack)[1].startswith(b"HTTP/1.0 200 ")
        # The end of the process does not wait for them.
        application.close()
        for client in listeners:
            answer(client)
        wait_until(lambda: server._threads_running == 0)
    assert application._live.listeners == 0


def test_a_listener_that_takes_nothing_is_let_go(server, monkeypatch, capfd):
    monkeypatch.setattr(live, "EVERY_S", 0.01)
    monkeypatch.setattr(server.get_app()._live, "_report", lambda: {"much": "x" * (1 << 20)})
    with connect(server) as client:
        client.sendall(b"GET /events HTTP/1.1\r\n\r\n")
        wait_until(lambda: server.get_app()._live.listeners == 1)
        wait_until(lambda: server.get_app()._live.listeners == 0)
    wait_until(lambda: server._threads_running == 0)
    assert capfd.readouterr().err == ""


def test_asking_for_the_head_of_the_stream_does_not_listen(server):
    with connect(server) as client:
        client.sendall(b"HEAD /events HTTP/1.1\r\n\r\n")
        head, _, body = answer(client).partition(b"\r\n\r\n")
    assert b"text/event-stream" in head
    assert (body, server.get_app()._live.listeners) == (b"", 0)
