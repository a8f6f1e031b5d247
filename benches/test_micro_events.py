"""Kafka record -> event JSON, against orjson writing the same document."""

import json
from datetime import UTC, datetime

import orjson
from rivven_kafka._native import block_from_rows, encode_events

from benches.micro import compare, rows

RECORDS = 1000


def document(data, key, headers, timestamp, offset):
    """What a source publishes for a record; the time is that of the encoding."""
    return {
        "event_type": "record",
        "stream": "orders",
        "namespace": "kafka",
        "timestamp": datetime.now(UTC),
        "data": data,
        "metadata": {
            "position": f"orders:3:{offset}",
            "kafka_headers": {name: value.decode() for name, value in headers},
            "kafka_timestamp": timestamp,
            "kafka_partition": 3,
            "kafka_key": key.decode(),
            "kafka_offset": offset,
        },
    }


def test_event_json(benchmark, scale):
    """orjson in two ways: it parses the value and writes it again, or takes it as it is and checks nothing.

    Ours takes the value as it is, too, but checks that it is JSON.
    """
    records = rows(RECORDS)
    block = block_from_rows("orders", 3, records)

    def all_events(write):
        return lambda: [write(offset, *record) for offset, record in enumerate(records)]

    def with_json(offset, timestamp, key, value, headers):
        event = document(json.loads(value), key, headers, timestamp, offset)
        return json.dumps(event, default=datetime.isoformat).encode()

    def with_orjson(offset, timestamp, key, value, headers):
        return orjson.dumps(document(orjson.loads(value), key, headers, timestamp, offset))

    def with_fragments(offset, timestamp, key, value, headers):
        return orjson.dumps(document(orjson.Fragment(value), key, headers, timestamp, offset))

    candidates = {
        "orjson: value parsed and written again": all_events(with_orjson),
        "orjson: value as a fragment, not checked": all_events(with_fragments),
        "json": all_events(with_json),
        "encode_events": lambda: encode_events(block),
    }
    plain = [[{**json.loads(event), "timestamp": None} for event in call()] for call in candidates.values()]
    assert all(each == plain[0] for each in plain)
    compare(benchmark, scale, "events", "event JSON", candidates, per_call=RECORDS, unit="events/s")
