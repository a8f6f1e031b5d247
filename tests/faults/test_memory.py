"""Memory is bounded by `max_in_flight_bytes`, whatever waits on one side and however slow the other is."""

import time

import psutil
import pytest

from tests.support import KafkaBroker
from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.numbered import fill_kafka, fill_rivven, rivven_ends
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 8
MIB = 1024 * 1024
LIMIT = 250 * MIB
WATCH_S = 10


class Peak:
    """The largest resident set of a connector while it is watched."""

    def __init__(self, connector):
        self._connector = connector
        self._process = psutil.Process(connector.pid)
        self.bytes = 0

    def sample(self):
        assert self._connector.running, self._connector.log_tail()
        self.bytes = max(self.bytes, self._process.memory_info().rss)

    def watch(self, seconds):
        """Samples 20 times a second: time is what is waited for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.sample()
            time.sleep(0.05)

    def check(self):
        print(f"peak {self.bytes / MIB:.0f} MiB, {LIMIT / MIB:.0f} allowed")
        assert self.bytes < LIMIT


@pytest.mark.timeout(120)
def test_a_source_before_two_million_records_and_a_slow_rivven(kafka, rivven, topic_name, tmp_path):
    """rivvend takes a few thousand records a second: Kafka could deliver all of these meanwhile."""
    count = 250_000
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, count, padding=200)
    config = source_file(
        kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", shutdown_timeout_ms=1_000
    )
    with Connector(tmp_path, config) as connector:
        peak = Peak(connector)
        peak.watch(WATCH_S)
        published = sum(rivven_ends(rivven, copy, PARTITIONS))
    assert 10_000 < published < PARTITIONS * count // 2, "at work, and far from the end"
    peak.check()


@pytest.mark.timeout(120)
def test_a_sink_before_four_hundred_megabytes_and_a_kafka_that_stalls(rivven, topic_name, tmp_path):
    """Fewer records than in the other direction, but larger: it is bytes that fill the memory.

    Two million small ones would take rivvend minutes. These hold six times `max_in_flight_bytes`, and more
    than the limit, so that a sink which read on while Kafka takes nothing would exceed it within seconds.
    """
    count, size = 5_000, 10_000
    origin, copy = topic_name(), topic_name()
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, count, padding=size, lanes=4)
    with KafkaBroker() as kafka:
        create_topic(kafka.bootstrap, copy, PARTITIONS)
        config = sink_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}")

        def written():
            return sum(end_offsets(kafka.bootstrap, copy).values())

        with Connector(tmp_path, config) as connector:
            peak = Peak(connector)
            wait_until(lambda: peak.sample() or written() > 0, 30, connector.log_tail)
            kafka.pause()
            peak.watch(WATCH_S)
            kafka.resume()
            assert written() < PARTITIONS * count // 2, "Kafka stalled before most was written"
            advance(written, 1_000, connector)
            peak.sample()
    peak.check()
