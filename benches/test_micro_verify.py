"""The digests of both sides of a verification, against the same digests in Python.

Kafka's side is a record batch as fetched, which is decoded, and Rivven's a block of events, from which the
records are restored. The plain programs are kafka-python with hashlib, and json or orjson with hashlib. They
do as documented in docs/verify.md, but notice nothing that is missing, doubled or out of order.
"""

import hashlib
import json
import struct

import kafka.record.default_records
import orjson
from rivven_kafka._native import BatchBuilder, BatchReader, VerifyIndex, block_from_rows, encode_events

from benches.micro import compare, rows
from benches.test_micro_codec import with_c_checksum

RECORDS = 1000
UNLIMITED = 1 << 30


def text(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def digest_of(offset, timestamp, kind, key, value, headers):
    form = struct.pack(">qqB", offset, timestamp, kind) + text(key) + text(value)
    form += struct.pack(">I", len(headers))
    form += b"".join([text(name.encode()) + text(data) for name, data in headers])
    return int.from_bytes(hashlib.sha256(form).digest()[:16], "big")


def in_hexadecimal(digests):
    return f"{sum(digests) % 2**128:032x}"


def fresh():
    return VerifyIndex("copy", [("orders", 3, 0, RECORDS, False)], {"orders": None})


def test_digest_of_kafka(benchmark, scale):
    builder = BatchBuilder()
    for record in rows(RECORDS):
        builder.append(*record)
    batch = builder.build()

    def plain():
        records = kafka.record.default_records.DefaultRecordBatch(batch)
        assert records.validate_crc()
        return in_hexadecimal(
            digest_of(each.offset, each.timestamp, each.timestamp_type, each.key, each.value, each.headers)
            for each in records
        )

    def native():
        index = fresh()
        index.feed_kafka(BatchReader("orders", 3, batch, 0).next_block(RECORDS, UNLIMITED))
        return index.digests("orders", 3)[0]

    candidates = {"kafka-python and hashlib": with_c_checksum(plain), "VerifyIndex": native}
    assert len({call() for call in candidates.values()}) == 1
    wanted = {("VerifyIndex", "kafka-python and hashlib"): 5}
    title = "digest of Kafka's records"
    compare(benchmark, scale, "verify", title, candidates, per_call=RECORDS, at_least=wanted)


def test_digest_of_events(benchmark, scale):
    block = block_from_rows("orders", 3, rows(RECORDS))
    pairs = list(zip(block.keys(), encode_events(block), strict=True))
    events = block_from_rows("copy", 3, [(0, key, event, []) for key, event in pairs])

    def plain(load):
        def digest(key, event):
            metadata = load(event)["metadata"]
            # The value as it stands in the event: parsed, it could not be written again as it was.
            start = event.index(b'"data":') + 7
            value = event[start : event.index(b',"metadata":{"position":', start)]
            headers = [(name, data.encode()) for name, data in metadata["kafka_headers"].items()]
            return digest_of(metadata["kafka_offset"], metadata["kafka_timestamp"], 0, key, value, headers)

        return lambda: in_hexadecimal(
            digest(key, event) for key, event in zip(events.keys(), events.values(), strict=True)
        )

    def native():
        index = fresh()
        index.feed_rivven(events)
        return index.digests("orders", 3)[1]

    candidates = {
        "json and hashlib": plain(json.loads),
        "orjson and hashlib": plain(orjson.loads),
        "VerifyIndex": native,
    }
    assert len({call() for call in candidates.values()}) == 1
    wanted = {("VerifyIndex", "orjson and hashlib"): 3}
    title = "digest of events"
    compare(benchmark, scale, "verify", title, candidates, per_call=RECORDS, at_least=wanted)
