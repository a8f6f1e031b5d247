"""What the encoder tests share: blocks to encode, and kafka-python to read what came out."""

import json

from kafka.record.memory_records import MemoryRecords
from rivven_kafka._native import OutgoingBatch, RecordBlock, block_from_rows

NOW = 1_700_000_000_000


def values_block(values, partition=0, topic="events", keys=None):
    """A block of values, with keys if given."""
    keys = keys or [None] * len(values)
    rows = [(NOW + i, key, value, []) for i, (key, value) in enumerate(zip(keys, values, strict=True))]
    return block_from_rows(topic, partition, rows)


def records(batch: OutgoingBatch):
    """The records of a finished batch, as kafka-python reads them; the checksum has to be right."""
    found = MemoryRecords(batch.build(-1, -1, -1, False)).next_batch()
    assert found.validate_crc()
    return list(found)


def encode(encoder, *blocks: RecordBlock):
    """Appends blocks and returns all records by partition, in order."""
    for block in blocks:
        encoder.append(block)
    out = {}
    for batch in encoder.take_ready(0):
        out.setdefault(batch.partition, []).extend(records(batch))
    return out


def event(data="null", **metadata):
    """An event as it stands in Rivven; `data` is JSON text."""
    head = {"event_type": "insert", "stream": "users", "namespace": "db", "timestamp": "2026-01-01T00:00:00Z"}
    body = {"position": "0/16", "transaction_id": "77", **metadata}
    return f'{json.dumps(head)[:-1]}, "data": {data}, "metadata": {json.dumps(body)}}}'.encode()
