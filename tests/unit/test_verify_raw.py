"""The comparison of raw values, of logs in memory."""

import threading
import time

import pytest
from rivven_kafka._native import block_from_rows
from rivven_kafka.config import parse_connect
from rivven_kafka.kafka.group_state import PartitionState
from rivven_kafka.verify.ranges import Range
from rivven_kafka.verify.raw import RawComparer
from rivven_kafka.verify.tasks import Meter

PLACE = ("orders", 0)
STEP = 10
"""Records of each block of Kafka."""


def rows(values):
    return block_from_rows("orders", 0, [(1, b"k", value, []) for value in values])


class KafkaInMemory:
    """In the place of `KafkaSide`; with a delay, Rivven is read to its end first."""

    def __init__(self, values, delay_s):
        self.block, self.delay_s = rows(values), delay_s

    def read(self, bounds):
        [(start, end)] = bounds.values()
        for at in range(start, end, STEP):
            time.sleep(self.delay_s)
            yield self.block.slice(at, min(at + STEP, end))

    def record(self, place, offset):
        return self.block.slice(offset, offset + 1)


class RivvenInMemory:
    """In the place of `LogReader`."""

    def __init__(self, values):
        self.block = rows(values)

    def bounds(self, topic, partition):
        return 0, len(self.block)

    def partition_count(self, topic):
        return 1

    def read(self, topic, partition, take, start=None, end=None):
        take(self.block.slice(max(start or 0, 0), len(self.block) if end is None else end))
        return []

    def record(self, topic, partition, offset):
        return self.block.slice(offset, offset + 1)

    def close(self):
        pass


def compared(kafka, rivven, first, bounds, committed=None, delay_s=0.0):
    """What is found of the offsets `bounds`; Kafka holds those from `first` on, the group has `committed`."""
    config = {
        "brokers": "x:1",
        "topics": ["orders"],
        "consumer_group": "g",
        "value_format": "raw",
        "on_tombstone": "skip",
    }
    source = {"connector": "kafka", "topic": "orders", "config": config}
    document = {"version": "1.0", "broker": {"bootstrap_servers": "x:1"}, "sources": {"in": source}}
    state = PartitionState(first, len(kafka), len(kafka) if committed is None else committed)
    reader = RivvenInMemory(rivven)
    comparer = RawComparer(
        parse_connect(document, "").sources["in"],
        KafkaInMemory(kafka, delay_s),
        lambda: reader,
        {PLACE: state},
    )
    found = Range(*bounds)
    end = comparer.rivven_ends({PLACE: found}, reader)[PLACE]
    meter = Meter(1, lambda _: None)
    return comparer.compare(PLACE, found, len(kafka), end, threading.Event(), meter)[0]


def numbered(count, again_after=None):
    return [b"v%d" % (number % (again_after or count)) for number in range(count)]


@pytest.mark.parametrize("first", [0, 500, 900])
def test_what_rivven_has_beyond_the_committed_offset_is_compared(first):
    values = numbered(1000)
    found = compared(values, values[:990], first, (first, 950), committed=950, delay_s=0.005)
    assert (found.first_difference, found.equal) == (None, True)
    assert found.records_kafka == found.records_rivven == 950 - first
