"""What is left of a client of kafka-python that could not connect: nothing."""

import socket
import threading

import pytest
from rivven_kafka.errors import ConnectError
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.kafka.admin import describe_topics


@pytest.fixture
def options():
    # Bound, but not listening: every attempt is refused, and nobody else takes the port.
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        yield {
            "bootstrap_servers": [f"127.0.0.1:{refusing.getsockname()[1]}"],
            "client_id": "test",
            "request_timeout_ms": 1000,
            "bootstrap_timeout_ms": 200,
        }


@pytest.mark.parametrize("connect", [BlockConsumer, describe_topics])
def test_a_failed_connection_leaves_no_thread(options, connect):
    before = set(threading.enumerate())
    for _ in range(3):
        with pytest.raises(ConnectError):
            connect(options)
    assert set(threading.enumerate()) == before
