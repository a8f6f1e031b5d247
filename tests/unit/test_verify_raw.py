"""The comparison of raw values, of logs in memory."""

import random
import threading
import time

import pytest
from rivven_kafka._native import RawStart, block_from_rows
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
        # As blocks do, the last one reaches beyond the end.
        take(self.block.slice(max(start or 0, 0), len(self.block)))
        return []

    def record(self, topic, partition, offset):
        return self.block.slice(offset, offset + 1)

    def close(self):
        pass


ALL = -1
"""The committed offset is the end of Kafka."""


class KafkaThatDeletes(KafkaInMemory):
    """Before each reading, it deletes the records before the next of some offsets."""

    def __init__(self, values, starts):
        super().__init__(values, 0)
        self.starts, self.start = list(starts), 0

    def read(self, bounds):
        [(place, (start, end))] = bounds.items()
        self.start = self.starts.pop(0) if self.starts else self.start
        yield from super().read({place: (max(start, self.start), end)})


def compared(kafka, rivven, first, bounds, committed=ALL, delay_s=0.0, rivven_end=None, starts=()):
    """What is found of the offsets `bounds`; Kafka holds those from `first` on, the group has `committed`.

    With `rivven_end`, Rivven ended there when the range was fixed. With `starts`, Kafka deletes up to these meanwhile.
    """
    config = {
        "brokers": "x:1",
        "topics": ["orders"],
        "consumer_group": "g",
        "value_format": "raw",
        "on_tombstone": "skip",
    }
    source = {"connector": "kafka", "topic": "orders", "config": config}
    document = {"version": "1.0", "broker": {"bootstrap_servers": "x:1"}, "sources": {"in": source}}
    state = PartitionState(first, len(kafka), len(kafka) if committed == ALL else committed)
    reader = RivvenInMemory(rivven)
    comparer = RawComparer(
        parse_connect(document, "").sources["in"],
        KafkaThatDeletes(kafka, starts) if starts else KafkaInMemory(kafka, delay_s),
        lambda: reader,
        {PLACE: state},
    )
    found = Range(*bounds)
    end = comparer.rivven_ends({PLACE: found}, reader)[PLACE] if rivven_end is None else rivven_end
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


@pytest.mark.parametrize("again_after", [1, 2, 10, 700])
@pytest.mark.parametrize("first", [700, 1500, 1998])
def test_values_that_repeat_are_compared_where_they_belong(again_after, first):
    values = numbered(2000, again_after)
    found = compared(values, values, first, (first, 2000))
    assert (found.first_difference, found.records_rivven) == (None, 2000 - first)


@pytest.mark.parametrize("again_after", [10, 700])
def test_lost_values_are_missed_though_equal_ones_are_there(again_after):
    values = numbered(1000, again_after)
    for lost in (950, 998, 999):
        rivven = values[:lost] + values[lost + 1 :]
        assert not compared(values, rivven, 900, (lost, lost + 1)).equal, lost
        assert not compared(values, rivven, 900, (900, 1000)).equal, lost
    rivven = values[:950] + values[951:]
    # What is lost outside of a range does not matter, if values that repeat could not stand for others.
    assert compared(values, rivven, 900, (960, 970)).equal
    assert compared(values, rivven, 900, (910, 940)).equal == (again_after == 700)


@pytest.mark.parametrize("again_after", [1, 2, 7, 20, 300])
def test_an_altered_value_is_not_taken_for_an_equal_one(again_after):
    values = numbered(1500, again_after)
    for at in (1003, 1100, 1490):
        rivven = [*values[:at], b"other", *values[at + 1 :]]
        found = compared(values, rivven, 700, (at, at + 1)).first_difference
        assert (found.kind, found.offset, found.rivven.offset) == ("altered", at, at)


@pytest.mark.parametrize("copied", [1500, 1510, 1900, 2000])
def test_a_range_is_found_while_the_source_lags(copied):
    values = numbered(2000)
    assert compared(values, values[:copied], 1000, (1000, 1500), committed=1500).equal
    lost = values[:1200] + values[1201:copied]
    found = compared(values, lost, 1000, (1000, 1500), committed=1500)
    assert (found.first_difference.kind, found.first_difference.offset) == ("missing", 1200)


@pytest.mark.parametrize("left", [1, 3, 7, 8, 300])
def test_a_range_is_found_though_the_group_is_forgotten(left):
    values = numbered(1000 + left)
    assert compared(values, values, 1000, (1000, 1000 + left), committed=None).equal
    # Of what was copied behind it, nothing is known.
    values = numbered(1400 + left)
    found = compared(values, values[: 1100 + left], 1000, (1000, 1000 + left), committed=None)
    assert (found.first_difference, found.equal) == (None, True)
    found = compared(values, values[:1000] + values[1001:], 1000, (1000, 1000 + left), committed=None)
    assert not found.equal


@pytest.mark.parametrize(
    ("starts", "start"),
    [
        ([1000, 1004], 1010),
        ([1000, 1010], 1010),
        ([1005, 1500], 1505),
        # Nothing is known of a place behind it, so it is counted again.
        ([1000, 2994], 2994),
        ([1000, 1100, 1250, 1399], 1400),
    ],
)
def test_what_kafka_deletes_meanwhile_is_no_difference(starts, start):
    values = numbered(3000)
    found = compared(values, values, 1000, (1000, 3000), starts=starts)
    assert (found.first_difference, found.equal, found.start) == (None, True, start)
    assert found.records_kafka == found.records_rivven == 3000 - start
    rivven = [*values[:2997], b"other", *values[2998:]]
    difference = compared(values, rivven, 1000, (1000, 3000), starts=starts).first_difference
    assert (difference.kind, difference.offset, difference.rivven.offset) == ("altered", 2997, 2997)


@pytest.mark.parametrize("starts", [[1000, 1500], [1000, 2500], [1000, *range(1020, 1200, 20)]])
def test_a_range_that_kafka_deletes_meanwhile_is_undecided(starts):
    values = numbered(3000)
    found = compared(values, values, 1000, (1000, 1500), starts=starts)
    assert (found.first_difference, found.undecided, found.equal) == (None, 500, False)


def test_no_more_of_kafka_is_counted_than_is_looked_at():
    """The records that are not committed are as many as a source never has."""
    sought = RawStart("orders", 10, 10)
    sought.feed_kafka(rows(numbered(100_000)))
    assert (sought.records, sought.enough) == (100_000, False)
    block = rows([b"v"] * 100_000)
    while not sought.enough:
        sought.feed_kafka(block)
    assert sought.records == 5_100_000


@pytest.mark.parametrize("left", [0, 4, 100])
def test_a_range_of_few_kinds_is_found_while_the_source_lags(left):
    kinds = random.Random(left)
    values = [b"s%d" % kinds.randrange(3) for _ in range(2300 + left)]
    end = 2000 + left
    found = compared(values, values[:end], 2000, (2000, end), committed=end)
    assert (found.first_difference, found.equal) == (None, True)


def test_nothing_in_rivven_is_a_difference():
    values = numbered(100)
    for rivven in (values[:50], []):
        found = compared(values, rivven, 50, (50, 100))
        assert (found.first_difference.kind, found.first_difference.offset) == ("missing", 50)
        assert found.records_rivven == 0


def test_what_rivven_gets_meanwhile_is_not_looked_at():
    values = numbered(100)
    found = compared(values[:90], values, 0, (0, 90), rivven_end=90)
    assert (found.first_difference, found.records_rivven) == (None, 90)
