"""Clients of kafka-python that cannot connect: nothing is left of them, and they do not try without a pause."""

import contextlib
import inspect
import itertools
import selectors
import socket
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import pytest
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector, Task
from kafka.net.transport import KafkaSSLTransport
from rivven_kafka.errors import ConnectError
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.kafka.admin import describe_topics
from rivven_kafka.kafka.net_client import _Connections, _Selector, net_client

from tests.support.connector import wait_until


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


class Slammer:
    """A listener that takes connections and closes them, as a proxy before a broker that is away does."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.taken = 0
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._slam, daemon=True).start()

    def _slam(self):
        with contextlib.suppress(OSError):
            while True:
                self._server.accept()[0].close()
                self.taken += 1

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def test_who_is_let_in_and_thrown_out_waits_before_the_next_try(options):
    with closing(Slammer()) as slammer, closing(net_client(options)) as client:
        client._net.start()
        manager = client._manager
        manager.cluster._brokers[7] = SimpleNamespace(
            node_id=7, host="127.0.0.1", port=slammer.port, rack=None
        )

        def failures():
            # Connects unless it is to wait, as the sender of the producer does.
            manager.call_soon(client.maybe_connect, 7)
            return manager._backoff.get(7, (0,))[0]

        wait_until(lambda: failures() >= 3, 20)
        # Each counts once, so that the pauses grow.
        assert slammer.taken <= 4


def test_a_proxy_whose_broker_is_away_is_tried_until_the_time_is_over(options):
    """It may come back: who only closes connections has refused nothing."""
    with closing(Slammer()) as slammer:
        address = f"127.0.0.1:{slammer.port}"
        begin = time.monotonic()
        with pytest.raises(ConnectError, match=f"{address}: closed the connection without an answer"):
            describe_topics({**options, "bootstrap_servers": [address], "bootstrap_timeout_ms": 1000})
        assert time.monotonic() - begin >= 1
        assert slammer.taken > 4


def test_brokers_that_are_none_lead_back_to_the_first_addresses(options):
    with closing(net_client(options)) as client:
        manager = client._manager
        manager._bootstrap_future = SimpleNamespace(succeeded=lambda: True)
        manager.cluster._brokers = {7: SimpleNamespace(node_id=7)}
        for _ in range(3):
            assert manager.least_loaded_node() == 7
            manager._away_since -= options["request_timeout_ms"] / 1000
            assert manager.least_loaded_node() == "bootstrap-0"
        # They wait for their turn like any other.
        manager._away_since -= options["request_timeout_ms"] / 1000
        manager.update_backoff("bootstrap-0")
        assert manager.least_loaded_node() == 7
        # One connection is enough, also to another broker of the cluster; to one that left it is none.
        manager.reset_backoff("bootstrap-0")
        connected = SimpleNamespace(connected=True, paused=False, in_flight_requests=[1])
        manager._conns[9] = connected
        assert manager.least_loaded_node() == "bootstrap-0"
        manager.cluster._brokers[9] = SimpleNamespace(node_id=9)
        manager._away_since -= options["request_timeout_ms"] / 1000
        assert manager.least_loaded_node() == 7
        assert manager._away_since is None
        del manager._conns[9]


def test_connections_are_made_as_before():
    ours, theirs = (inspect.signature(kind._connect) for kind in (_Connections, KafkaConnectionManager))
    assert list(ours.parameters) == list(theirs.parameters)
    ours, theirs = (
        inspect.signature(kind._build_transport) for kind in (_Connections, KafkaConnectionManager)
    )
    assert list(ours.parameters) == list(theirs.parameters)
    # Ours goes by what has changed: theirs counts no login that fails.
    source = inspect.getsource(KafkaConnectionManager._connect)
    assert (source.count("update_backoff"), source.count("self.reset_backoff(")) == (1, 1)
    # A login that fails is not raised there, which is why ours looks at the connection.
    assert "await conn.initialize(" in source
    bootstrap = inspect.getsource(KafkaConnectionManager._do_bootstrap)
    # It catches nothing else, so that ours can end it.
    assert bootstrap.index("self.get_connection(") < bootstrap.index("except Errors.NodeNotReadyError")
    transport = inspect.getsource(KafkaSSLTransport.handshake)
    assert "wait_read(self._sock)" in transport


@pytest.mark.parametrize("allowed", [False, True])
def test_topics_are_made_by_asking_for_them_only_if_allowed(options, allowed):
    with closing(net_client({**options, "allow_auto_create_topics": allowed})) as client:
        request = client._manager.cluster.metadata_request()
        assert request.allow_auto_topic_creation is allowed


def test_a_socket_is_waited_for_as_kafka_python_does():
    """In each order of reading and writing, ours keeps what theirs would."""
    kept = []
    for kind in (NetworkSelector, _Selector):
        net = kind()
        ends = socket.socketpair()
        tasks = {event: Task(lambda: None) for event in (selectors.EVENT_READ, selectors.EVENT_WRITE)}
        seen = []
        for order in itertools.permutations(tasks):
            for event in order:
                net.register_event(ends[0], event, tasks[event])
                key = net._selector.get_key(ends[0])
                seen.append((key.events, [task is not None for task in key.data]))
                with pytest.raises(RuntimeError, match="already registered"):
                    net.register_event(ends[0], event, tasks[event])
            for event in order:
                net.unregister_event(ends[0], event)
        kept.append(seen)
        net.close()
        for end in ends:
            end.close()
    assert kept[0] == kept[1]
