"""What arrives over real connections, in records of every size, is what was written."""

import socket
import time
from contextlib import closing

import pytest
from rivven_kafka.kafka import BlockConsumer

from tests.support.secured_kafka import SecuredKafka
from tests.support.topics import Row, create_topic, fill

pytestmark = pytest.mark.integration

PARTITIONS = 3
# Around the sizes that are read in other ways, and larger than what wakes the loop.
SIZES = (0, 1, 8_100, 8_192, 65_400, 65_536, 300_000, 2_000_000, 10, 900_000)


def rows():
    return {
        partition: [
            Row(1_700_000_000_000 + number, b"k%d" % number, (b"%d-" % number * size)[:size], [("h", None)])
            for number, size in enumerate((*SIZES, *SIZES))
        ]
        for partition in range(PARTITIONS)
    }


@pytest.fixture(scope="module")
def secured():
    with SecuredKafka({}) as broker:
        yield broker


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_records_of_every_size_arrive_as_they_are(secured, topic_name, listener):
    topic, written = topic_name(), rows()
    create_topic(secured.bootstrap, topic, PARTITIONS, **{"max.message.bytes": 8 << 20})
    fill(secured.bootstrap, topic, written)
    options = {
        "bootstrap_servers": [secured.bootstrap],
        "group_id": None,
        "request_timeout_ms": 10_000,
        "max_partition_fetch_bytes": 700_000,
    }
    if listener == "tls":
        tls = {"security_protocol": "SSL", "ssl_cafile": str(secured.certificate)}
        options |= {"bootstrap_servers": [secured.tls], **tls}
    read = {partition: [] for partition in range(PARTITIONS)}
    with closing(BlockConsumer(options)) as consumer:
        consumer.assign([(topic, partition, 0) for partition in range(PARTITIONS)])
        while sum(map(len, read.values())) < sum(map(len, written.values())):
            for block in consumer.poll(5_000, 3):
                columns = block.timestamps(), block.keys(), block.values(), block.headers()
                read[block.partition] += map(Row, *columns)
        assert not consumer.poll(200, 1)
        waits = low_water_marks(consumer)
    assert read == written
    # After the last record the next answer, which is small, has to wake the loop again.
    assert waits == {1}


def low_water_marks(consumer):
    """`SO_RCVLOWAT` of a consumer's connections."""
    connections = consumer._consumer._manager._conns.values()
    sockets = [connection.transport._sock for connection in connections if connection.transport]
    assert sockets
    return {each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) for each in sockets}


def test_a_few_busy_partitions_do_not_wait_for_the_idle_ones(kafka, topic_name):
    """Asking for the idle ones alone would keep the broker waiting for them, and the busy ones with it."""
    topic, count, wait_s = topic_name(), 20_000, 3.0
    create_topic(kafka.bootstrap, topic, 8)
    row = Row(1_700_000_000_000, b"k", bytes(200), [])
    fill(kafka.bootstrap, topic, {0: [row] * count, 1: [row] * count})
    options = {
        "bootstrap_servers": [kafka.bootstrap],
        "group_id": None,
        "max_partition_fetch_bytes": 400_000,
        "fetch_max_wait_ms": int(wait_s * 1000),
    }
    with closing(BlockConsumer(options)) as consumer:
        consumer.assign([(topic, partition, 0) for partition in range(8)])
        read, begin = 0, time.monotonic()
        while read < 2 * count:
            blocks = consumer.poll(1_000, 500)
            while blocks:
                read += sum(map(len, blocks))
                blocks = consumer.take(500)
        # There are 20 answers.
        assert time.monotonic() - begin < 3 * wait_s
