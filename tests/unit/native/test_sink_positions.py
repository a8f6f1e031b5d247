"""Which Rivven positions may be committed: only those before which Kafka has acknowledged everything."""

import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka import errors
from rivven_kafka._native import SinkEncoder, block_from_rows

from .encoding import NOW, event, records, values_block


def batches_of(encoder, *blocks):
    for block in blocks:
        encoder.append(block)
    return encoder.take_ready(0)


def test_a_position_waits_for_the_acknowledgement():
    encoder = SinkEncoder(1)
    [batch] = batches_of(encoder, values_block([b"a", b"b"]))
    batch.build(-1, -1, -1, False)
    assert encoder.take_positions() == []
    assert encoder.in_flight_records() == 2
    assert encoder.in_flight_bytes() > 0
    batch.acknowledge()
    assert encoder.take_positions() == [("events", 0, 2)]
    assert encoder.take_positions() == [], "once"
    assert (encoder.in_flight_records(), encoder.in_flight_bytes()) == (0, 0)


def test_an_acknowledgement_out_of_order_moves_nothing():
    encoder = SinkEncoder(1, batch_size_bytes=1)
    first, second, third = batches_of(encoder, values_block([b"a", b"b", b"c"]))
    third.acknowledge()
    second.acknowledge()
    assert encoder.take_positions() == []
    assert encoder.in_flight_records() == 1
    first.acknowledge()
    assert encoder.take_positions() == [("events", 0, 3)]


def test_a_batch_may_hold_records_of_several_partitions():
    encoder = SinkEncoder(1, partitioning="key", include_headers=False)
    [batch] = batches_of(encoder, values_block([b"a"], 0), values_block([b"b"], 1), values_block([b"c"], 0))
    assert [record.value for record in records(batch)] == [b"a", b"b", b"c"]
    batch.acknowledge()
    # The offsets of a block from rows start at 0, so the last block of partition 0 ends at 1.
    assert sorted(encoder.take_positions()) == [("events", 0, 1), ("events", 1, 1)]


@given(
    counts=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    partitions=st.integers(1, 3),
    seed=st.integers(0, 10_000),
)
def test_positions_are_exact_for_any_order_and_any_splits(counts, partitions, seed):
    """Acknowledges in random order, splitting at random: every position has all before it, and none is late."""
    chance = random.Random(seed)
    encoder = SinkEncoder(partitions, partitioning="key", include_headers=False, batch_size_bytes=500)
    # Each block is the only one of its Rivven partition, because its offsets start at 0.
    for rivven_partition, count in enumerate(counts):
        values = [b"%d/%d" % (rivven_partition, offset) for offset in range(count)]
        keys = [b"%d" % chance.randrange(5) for _ in range(count)]
        encoder.append(values_block(values, rivven_partition, keys=keys))
    waiting = encoder.take_ready(0)
    acknowledged = {partition: set() for partition in range(len(counts))}
    reported = dict.fromkeys(acknowledged, 0)
    while waiting:
        batch = waiting.pop(chance.randrange(len(waiting)))
        if batch.record_count > 1 and chance.random() < 0.4:
            halves = batch.split()
            assert sum(half.record_count for half in halves) == batch.record_count
            waiting += halves
            continue
        batch.acknowledge()
        for record in records(batch):
            partition, offset = map(int, record.value.split(b"/"))
            acknowledged[partition].add(offset)
        reported.update({partition: position for _, partition, position in encoder.take_positions()})
        for partition, offsets in acknowledged.items():
            expected = next(offset for offset in range(counts[partition] + 1) if offset not in offsets)
            assert reported[partition] == expected
        total = sum(counts) - sum(map(len, acknowledged.values()))
        assert encoder.in_flight_records() == total
    assert reported == dict(enumerate(counts))
    assert encoder.in_flight_bytes() == 0


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_halves_are_whole_batches(codec):
    encoder = SinkEncoder(1, compression=codec, batch_size_bytes=1 << 20)
    values = [b"%d " % i * 50 for i in range(101)]
    [batch] = batches_of(encoder, values_block(values))
    head, tail = batch.split()
    assert (head.partition, tail.partition) == (0, 0)
    assert 0.8 < head.uncompressed_bytes / tail.uncompressed_bytes < 1.25
    assert [record.value for half in (head, tail) for record in records(half)] == values
    tail.acknowledge()
    assert encoder.take_positions() == []
    head.acknowledge()
    assert encoder.take_positions() == [("events", 0, 101)]


def test_one_record_cannot_be_split():
    encoder = SinkEncoder(1)
    [batch] = batches_of(encoder, values_block([b"a"]))
    with pytest.raises(errors.RivvenKafkaError):
        batch.split()


def test_an_error_keeps_the_position_before_it():
    encoder = SinkEncoder(1, value_format="event")
    with pytest.raises(errors.EventFormatError):
        encoder.append(values_block([event("1"), event("2"), b"bad", event("3")]))
    for batch in encoder.take_ready(0):
        batch.acknowledge()
    assert encoder.take_positions() == [("events", 0, 2)]


def test_a_held_record_keeps_the_position_until_it_is_settled():
    encoder = SinkEncoder(2, value_format="event", on_bad="hold")
    values = [event("1"), b"bad", event("2"), b"worse"]
    bad, worse = encoder.append(values_block(values, partition=1, keys=[b"a", b"b", None, None]))
    assert (bad.topic, bad.partition, bad.offset, bad.key, bad.value) == ("events", 1, 1, b"b", b"bad")
    assert (bad.timestamp, bad.headers) == (NOW + 1, [])
    assert bad.reason
    [batch] = encoder.take_ready(0)
    assert batch.record_count == 2, "the others go on"
    batch.acknowledge()
    assert encoder.take_positions() == [("events", 1, 1)]
    worse.settle()
    assert encoder.take_positions() == []
    assert encoder.in_flight_bytes() > 0
    bad.settle()
    bad.settle()
    assert encoder.take_positions() == [("events", 1, 4)]
    assert (encoder.in_flight_records(), encoder.in_flight_bytes()) == (0, 0)


def test_a_held_record_of_a_forgotten_partition_settles_without_effect():
    encoder = SinkEncoder(1, value_format="event", on_bad="hold")
    [bad] = encoder.append(values_block([b"bad"]))
    encoder.forget("events", 0)
    assert (encoder.in_flight_records(), encoder.in_flight_bytes()) == (0, 0)
    bad.settle()
    assert encoder.take_positions() == []
    encoder.append(values_block([b"bad"]))[0].settle()
    assert encoder.take_positions() == [("events", 0, 1)]
    assert (encoder.in_flight_records(), encoder.in_flight_bytes()) == (0, 0)


def test_a_forgotten_partition_reports_nothing():
    encoder = SinkEncoder(2, batch_size_bytes=1)
    batches = batches_of(encoder, values_block([b"a"], 0), values_block([b"b"], 1))
    encoder.forget("events", 0)
    encoder.forget("events", 7)
    for batch in batches:
        batch.acknowledge()
    assert encoder.take_positions() == [("events", 1, 1)]


def test_waiting_ends_with_an_acknowledgement():
    encoder = SinkEncoder(1)
    [batch] = batches_of(encoder, values_block([b"a"]))
    threading.Timer(0.1, batch.acknowledge).start()
    start = time.monotonic()
    encoder.wait(20_000)
    assert time.monotonic() - start < 10
    assert encoder.in_flight_records() == 0
    start = time.monotonic()
    encoder.wait(50)
    assert time.monotonic() - start < 10, "nothing is in flight: the time runs out"


def test_a_batch_knows_its_first_record():
    encoder = SinkEncoder(2, partitioning="preserve")
    [batch] = batches_of(encoder, block_from_rows("events", 1, [(NOW, None, b"a", [])] * 3, first_offset=40))
    assert batch.first_record == ("events", 1, 40)
    head, tail = batch.split()
    assert (head.first_record, tail.first_record) == (
        ("events", 1, 40),
        ("events", 1, 40 + head.record_count),
    )


def test_a_refused_record_holds_the_position_until_it_is_settled():
    encoder = SinkEncoder(1)
    [batch] = batches_of(
        encoder, block_from_rows("events", 0, [(NOW + i, b"k%d" % i, b"v%d" % i, []) for i in range(3)])
    )
    with pytest.raises(errors.InvalidRequestError, match="a batch of 3 records"):
        batch.refuse("why")
    first, rest = batch.split()
    while rest.record_count > 1:
        head, rest = rest.split()
        head.acknowledge()
    first.refuse("too large")  # dropped without being settled: it stays held
    assert encoder.records_held() == 1
    rest.acknowledge()
    assert encoder.take_positions() == []


def test_a_refused_record_is_all_of_what_was_read():
    encoder = SinkEncoder(1, batch_size_bytes=1)
    first, second = batches_of(
        encoder, block_from_rows("events", 0, [(NOW, b"k", b"v", [("h", b"1")]), (NOW, None, b"w", [])])
    )
    bad = first.refuse("too large")
    assert (bad.topic, bad.partition, bad.offset, bad.reason) == ("events", 0, 0, "too large")
    assert (bad.key, bad.value, bad.headers, bad.timestamp) == (b"k", b"v", [("h", b"1")], NOW)
    second.acknowledge()
    assert (encoder.take_positions(), encoder.in_flight_records()) == ([], 1)
    bad.settle()
    assert encoder.take_positions() == [("events", 0, 2)]
    assert (encoder.in_flight_records(), encoder.in_flight_bytes(), encoder.records_held()) == (0, 0, 0)
