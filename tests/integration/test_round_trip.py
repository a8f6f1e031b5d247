"""Kafka -> Rivven -> Kafka: the same partition, order, key, value, headers and timestamp, to the byte."""

import random

import pytest

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.topics import Row, create_topic, end_offsets, fill, read_topic

pytestmark = pytest.mark.integration

PARTITIONS = 8
NOW = 1_760_000_000_000

AWKWARD_VALUES = [
    None,
    b"",
    b" ",
    b"null",
    b" null ",
    b"true",
    b'"text"',
    b"plain text",
    b'{"a": 1, "a": 2}',
    b"1e400",
    b"-1E+999",
    b"9007199254740993",
    b"18446744073709551616",
    b"2.50",
    b' \t\n{"padded" : [1 , 2]}\r\n ',
    b'"\\ud800"',
    b'"\\ud83d\\ude00"',
    b"\xff\xfe\x00binary",
    b"caf\xe9",
    "café ☕ \u2028 \U0001f600".encode(),
    b'{"nested":' * 200 + b"1" + b"}" * 200,
    b"\x00\x01\x02\x1f\x7f",
    b'{"data":null,"metadata":{"kafka_value_encoding":"base64"}}',
    b"x" * 900_000,
    bytes(range(256)) * 3_500,
]
AWKWARD_HEADERS = [
    [],
    [("a", b"1")],
    [("a", b"1"), ("a", b"2"), ("a", b"1")],
    [("null", None), ("empty", b"")],
    [("b", None), ("b", b""), ("b", None)],
    [("", b"no name")],
    [("binary", bytes(range(256)))],
    [("ключ", "значение".encode())],
    [(f"h{number}", str(number).encode()) for number in range(200)],
    [("z", b"order"), ("y", b"is"), ("x", b"kept")],
]
AWKWARD_KEYS = [None, b"", b"key", b"\xff\x00", "ключ".encode(), b"k" * 5_000]


def awkward_rows(seed):
    """Each value with some header set and key, and random ones, spread over the partitions."""
    chance = random.Random(seed)
    rows = {partition: [] for partition in range(PARTITIONS)}
    values = AWKWARD_VALUES + [chance.randbytes(chance.randrange(200)) for _ in range(100)]
    for number, value in enumerate(values):
        headers = AWKWARD_HEADERS[number % len(AWKWARD_HEADERS)]
        key = AWKWARD_KEYS[number % len(AWKWARD_KEYS)]
        rows[number % PARTITIONS].append(Row(NOW + number, key, value, headers))
    return rows


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_events_restore_every_byte(kafka, rivven, topic_name, tmp_path, codec):
    origin, between, copy = topic_name(), topic_name(), topic_name()
    create_topic(kafka.bootstrap, origin, PARTITIONS)
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    rows = awkward_rows(codec)
    fill(kafka.bootstrap, origin, rows, codec)
    assert read_topic(kafka.bootstrap, origin) == rows, "the origin holds what was meant to be written"
    expected = end_offsets(kafka.bootstrap, origin)
    config = source_file(kafka.bootstrap, rivven.bootstrap, origin, between, f"g-{origin}")
    config |= sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        between,
        copy,
        f"g-{between}",
        value_format="event",
        include_headers=False,
        compression=codec,
    )
    with Connector(tmp_path, config) as connector:
        wait_until(
            lambda: end_offsets(kafka.bootstrap, copy) == expected or not connector.running,
            60,
            connector.log_tail,
        )
        assert connector.stop() == 0, connector.log_tail()
    assert read_topic(kafka.bootstrap, copy) == rows
