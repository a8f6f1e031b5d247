"""From Rivven records to Kafka record batches: key, value, headers, partition, timestamp."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2
from kafka.record.default_records import DefaultRecordBatch
from rivven_kafka import errors
from rivven_kafka._native import SinkEncoder, block_from_rows

from .encoding import NOW, encode, event, records, values_block

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def test_raw_passes_everything_through():
    rows = [
        (NOW, b"k", b"\xff\x00", [("a", b"1"), ("a", None)]),
        (NOW + 1, None, None, []),
        (NOW + 2, b"", b"", [("", b"")]),
    ]
    encoder = SinkEncoder(3, include_headers=False)
    out = encode(encoder, block_from_rows("events", 2, rows))
    assert list(out) == [2]
    assert [(r.timestamp, r.key, r.value, r.headers) for r in out[2]] == rows


def test_headers_come_in_their_order():
    encoder = SinkEncoder(1, custom_headers=[("source", "rivven"), ("env", "ключ")])
    [record] = encode(encoder, block_from_rows("events", 0, [(NOW, None, b"v", [("own", b"1")])]))[0]
    assert record.headers == [
        ("own", b"1"),
        ("source", b"rivven"),
        ("env", "ключ".encode()),
        ("rivven_stream", b"events"),
        ("rivven_event_type", b"record"),
        ("rivven_position", b"events:0:0"),
    ]


def test_an_event_brings_all_rivven_headers():
    encoder = SinkEncoder(1, value_format="event", custom_headers=[("source", "rivven")])
    value = event('{"id": 1}', kafka_headers={"own": "1"}, kafka_timestamp=NOW - 5)
    [record] = encode(encoder, values_block([value], keys=[b"k"]))[0]
    assert (record.key, record.value, record.timestamp) == (b"k", b'{"id": 1}', NOW - 5)
    assert record.headers == [
        ("own", b"1"),
        ("source", b"rivven"),
        ("rivven_stream", b"users"),
        ("rivven_event_type", b"insert"),
        ("rivven_namespace", b"db"),
        ("rivven_position", b"0/16"),
        ("rivven_transaction_id", b"77"),
    ]


def test_without_rivven_headers_the_custom_ones_stay():
    encoder = SinkEncoder(1, include_headers=False, custom_headers=[("a", "1"), ("b", "")])
    [record] = encode(encoder, values_block([b"v"]))[0]
    assert record.headers == [("a", b"1"), ("b", b"")]


def test_an_event_of_null_is_a_tombstone():
    encoder = SinkEncoder(1, value_format="event", include_headers=False)
    out = encode(encoder, values_block([event(), event("null", kafka_value_encoding="json")]))
    assert [record.value for record in out[0]] == [None, b"null"]


@given(keys=st.lists(st.binary(max_size=30), min_size=1, max_size=50), partitions=st.integers(1, 40))
def test_key_partitioning_is_kafkas(keys, partitions):
    encoder = SinkEncoder(partitions, partitioning="key", include_headers=False)
    out = encode(encoder, values_block([b"%d" % i for i in range(len(keys))], keys=keys))
    expected = {}
    for number, key in enumerate(keys):
        partition = (murmur2(key) & 0x7FFFFFFF) % partitions
        expected.setdefault(partition, []).append(b"%d" % number)
    assert {partition: [r.value for r in found] for partition, found in out.items()} == expected


def test_without_a_key_records_stay_together():
    encoder = SinkEncoder(3, partitioning="key")
    out = encode(encoder, values_block([b"a", b"b"], partition=4), values_block([b"c"], partition=2))
    assert {partition: [r.value for r in found] for partition, found in out.items()} == {
        1: [b"a", b"b"],
        2: [b"c"],
    }


def test_preserve_needs_a_counterpart():
    encoder = SinkEncoder(3)
    with pytest.raises(errors.InvalidRequestError, match="3 partitions, Rivven partition 3") as caught:
        encoder.append(values_block([b"v"], partition=3))
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("events", 3, 0)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'{"id": "a\\u00e9"}', "aé".encode()),
        (b'{"id": 7}', b"7"),
        (b'{"id": 1.50}', b"1.50"),
        (b'{"id": {"x": [1, 2]}}', b'{"x": [1, 2]}'),
        (b'{"id": true}', b"true"),
        (b'{"id": ""}', b""),
        (b'{"id": null}', b"rivven"),
        (b'{"other": 1}', b"rivven"),
        (b"[1]", b"rivven"),
        (b"text", b"rivven"),
        (b"\xff", b"rivven"),
        (b"", b"rivven"),
    ],
)
def test_a_key_field_comes_before_the_rivven_key(value, key):
    encoder = SinkEncoder(1, key_field="id", partitioning="key")
    [record] = encode(encoder, values_block([value], keys=[b"rivven"]))[0]
    assert (record.key, record.value) == (key, value)
    missing = key == b"rivven"
    assert encoder.keys_missing() == missing
    strict = SinkEncoder(1, key_field="id", key_field_required=True, on_bad="skip")
    bad = strict.append(values_block([value], keys=[b"rivven"]))
    assert [record.reason for record in bad] == [
        'the value has no field "id" for the key (key_field)'
    ] * missing


def test_a_null_value_needs_no_key_field():
    encoder = SinkEncoder(1, value_format="event", key_field="id", key_field_required=True)
    [record] = encode(encoder, values_block([event()], keys=[b"rivven"]))[0]
    assert (record.key, record.value, encoder.keys_missing()) == (b"rivven", None, 0)


def test_the_key_field_of_an_event_is_in_its_data():
    encoder = SinkEncoder(1, value_format="event", key_field="id")
    values = [event('{"id": 7}'), event("[]"), event()]
    out = encode(encoder, values_block(values, keys=[b"rivven"] * 3))
    assert [record.key for record in out[0]] == [b"7", b"rivven", b"rivven"]


def test_a_tombstone_keeps_the_rivven_key():
    encoder = SinkEncoder(1, key_field="id", partitioning="key")
    [record] = encode(encoder, values_block([None], keys=[b"rivven"]))[0]
    assert (record.key, record.value) == (b"rivven", None)


@pytest.mark.parametrize("codec", CODECS)
def test_batches_are_compressed(codec):
    encoder = SinkEncoder(1, compression=codec, batch_size_bytes=1 << 20)
    encoder.append(values_block([b"x" * 1000] * 50))
    [batch] = encoder.take_ready(0)
    raw = batch.build(-1, -1, -1, False)
    assert DefaultRecordBatch(raw).compression_type == CODECS[codec]
    assert batch.size_bytes == len(raw)
    assert batch.record_count == 50
    assert batch.uncompressed_bytes > 50_000
    assert (batch.size_bytes < 5_000) is (codec != "none")
    assert [record.value for record in records(batch)] == [b"x" * 1000] * 50


@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    limit=st.integers(1, 4000),
)
def test_batches_keep_their_size_and_order(sizes, limit):
    encoder = SinkEncoder(1, batch_size_bytes=limit, include_headers=False)
    values = [b"%d." % i + b"x" * size for i, size in enumerate(sizes)]
    encoder.append(values_block(values))
    full = encoder.take_ready(1_000_000)
    assert encoder.has_open(), "the last batch waits"
    batches = full + encoder.take_ready(0)
    assert not encoder.has_open()
    assert [record.value for batch in batches for record in records(batch)] == values
    for batch in batches:
        # Only a record that is too large by itself makes a batch larger than the limit.
        assert batch.size_bytes <= limit or batch.record_count == 1
    for first, second in itertools.pairwise(batches):
        # The estimate of a record's size is at most a few varints too large.
        assert first.size_bytes + len(records(second)[0].value) + 40 > limit


def test_an_open_batch_lingers():
    encoder = SinkEncoder(2)
    encoder.append(values_block([b"v"]))
    assert encoder.take_ready(60_000) == []
    assert encoder.has_open()
    time.sleep(0.03)
    [batch] = encoder.take_ready(20)
    assert batch.record_count == 1
    assert encoder.take_ready(0) == []


def test_open_batches_go_along_with_the_one_that_is_due():
    encoder = SinkEncoder(2)
    encoder.append(block_from_rows("t", 0, [(NOW, None, b"v", [])]))
    time.sleep(0.03)
    encoder.append(block_from_rows("t", 1, [(NOW, None, b"v", [])]))
    assert sorted(batch.partition for batch in encoder.take_ready(20)) == [0, 1]
    assert not encoder.has_open()


def test_the_producer_state_is_written():
    encoder = SinkEncoder(1)
    encoder.append(values_block([b"v"]))
    [batch] = encoder.take_ready(0)
    read = DefaultRecordBatch(batch.build(12345, 7, 99, True))
    assert (read.producer_id, read.producer_epoch, read.base_sequence, read.is_transactional) == (
        12345,
        7,
        99,
        True,
    )
    assert read.validate_crc()
    assert DefaultRecordBatch(batch.build(-1, -1, -1, False)).producer_id == -1


@pytest.mark.parametrize("bad", [b"", b"text", b"{}", b"[]", b'{"event_type": 1}', b"\xff", event("1")[:-1]])
def test_a_bad_event_says_where_it_stands(bad):
    encoder = SinkEncoder(4, value_format="event")
    with pytest.raises(errors.EventFormatError) as caught:
        encoder.append(values_block([event("1"), bad, event("2")], partition=3))
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("events", 3, 1)
    assert bad.decode(errors="replace") not in str(caught.value) or len(bad) < 3, "no payload in messages"


def test_bad_records_are_skipped_and_listed():
    encoder = SinkEncoder(1, value_format="event", on_bad="skip", include_headers=False)
    skipped = encoder.append(values_block([b"bad", event("1"), b"", event("2"), b"{"]))
    assert [record.offset for record in skipped] == [0, 2, 4]
    assert all(record.reason for record in skipped)
    [batch] = encoder.take_ready(0)
    assert [record.value for record in records(batch)] == [b"1", b"2"]
    assert encoder.in_flight_records() == 2
    batch.acknowledge()
    assert encoder.take_positions() == [("events", 0, 5)]


def test_a_block_of_bad_records_moves_the_position():
    encoder = SinkEncoder(1, value_format="event", on_bad="skip")
    assert len(encoder.append(values_block([b"bad"] * 70))) == 70
    assert encoder.take_ready(0) == []
    assert encoder.take_positions() == [("events", 0, 70)]


@pytest.mark.parametrize(
    "options",
    [{"value_format": "avro"}, {"partitioning": "random"}, {"compression": "brotli"}, {"on_bad": "ignore"}],
)
def test_unknown_words_are_refused(options):
    with pytest.raises(errors.RivvenKafkaError, match=next(iter(options.values()))):
        SinkEncoder(1, **options)
