"""A Kafka that lies: the process neither ends, hangs nor swells, says what was wrong, and goes on when it may."""

import socket
from contextlib import closing

import pytest
from rivven_kafka.kafka.net_client import net_client

from tests.support import hostile
from tests.support.connector import wait_until
from tests.support.hostile_journey import Journey
from tests.support.kafka_tap import ApiKey

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def journey(tapped, rivven, topic_name, tmp_path):
    made = Journey(tapped, rivven, topic_name(), tmp_path, stall_timeout_ms=3_000)
    with made.connector:
        made.write()
        made.arrive()
        yield made
        made.check()
        assert made.connector.stop() == 0


@pytest.mark.timeout(120)
def test_answers_of_every_kind_with_bytes_that_are_changed(journey):
    """Not those that say where to read: changed, they are other positions, and believed."""
    kinds = [ApiKey.Heartbeat, ApiKey.OffsetCommit, ApiKey.Fetch, ApiKey.Metadata]
    for seed, kind in enumerate(kinds):
        journey.endure(kind, hostile.damage(seed), "", times=5 if kind is not ApiKey.Metadata else 2)


@pytest.mark.symptom('A source stops with "inflates beyond the limit".')
@pytest.mark.parametrize("codec", hostile.BOMBS)
def test_a_batch_that_inflates_without_end(journey, codec):
    number, make = hostile.BOMBS[codec]
    bomb = make()
    log = journey.endure(
        ApiKey.Fetch, hostile.records(number, bomb, 10), "inflates beyond the limit", until_said=True
    )
    assert f"stopped: {codec} data inflates beyond the limit of 134217728 bytes" in log
    assert f"[{journey.topic}:0@20]" in log


def test_a_batch_that_claims_two_billion_records(journey):
    lie = hostile.records(0, bytes(100), 2**31 - 1)
    log = journey.endure(ApiKey.Fetch, lie, "claims 2147483647 records in 100 bytes", until_said=True)
    assert f"[{journey.topic}:0@20]" in log


def test_a_tls_handshake_that_never_ends():
    """A broker that has been well before: its connection is given up, and can be made again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = {
            "bootstrap_servers": [f"127.0.0.1:{server.getsockname()[1]}"],
            "security_protocol": "SSL",
            "socket_connection_setup_timeout_ms": 500,
        }
        with closing(net_client(options)) as client:
            manager = client._manager
            [node] = manager.cluster.bootstrap_brokers()
            manager._net.start()
            made = []
            manager._net.call_soon_threadsafe(lambda: made.append(manager.get_connection(node.node_id)))
            wait_until(lambda: made and made[0].close_future.is_done, 10)
            [connection] = made
            assert "Handshake failed" in str(connection.close_future.exception)
            wait_until(lambda: node.node_id not in manager._conns, 10)
