"""The headers that a sink gives its records, against making the same in Python."""

import kafka.record.default_records
from rivven_kafka._native import BatchReader, SinkEncoder, block_from_rows

from benches.micro import compare, rows

RECORDS = 1000
CUSTOM = [("origin", "rivven"), ("environment", "production")]
UNLIMITED = 1 << 30


def test_sink_headers(benchmark, scale):
    """Two custom headers, and the three of a raw record: stream, event type and position.

    The Python forms stop at different points: tuples only, and tuples written into a batch by kafka-python.
    Ours makes finished batches, with headers and, to tell what they cost, without.
    """
    none: list[tuple[str, bytes | None]] = []
    records = [(timestamp, key, value, none) for timestamp, key, value, _ in rows(RECORDS)]
    block = block_from_rows("orders", 3, records)
    custom = [(name, value.encode()) for name, value in CUSTOM]

    def tuples(offset):
        return [
            *custom,
            ("rivven_stream", b"orders"),
            ("rivven_event_type", b"record"),
            ("rivven_position", b"orders:3:%d" % offset),
        ]

    def python_tuples():
        return [tuples(offset) for offset in range(RECORDS)]

    def kafka_python():
        builder = kafka.record.default_records.DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, UNLIMITED)
        for offset, (timestamp, key, value, _) in enumerate(records):
            builder.append(offset, timestamp, key, value, tuples(offset))
        return builder

    def batches(encoder):
        def encode():
            encoder.append(block)
            ready = encoder.take_ready(0)
            for batch in ready:
                batch.acknowledge()
            encoder.forget("orders", 3)
            return ready

        return encode

    def encoder(**options):
        return SinkEncoder(4, batch_size_bytes=UNLIMITED, **options)

    with_headers = batches(encoder(custom_headers=CUSTOM))
    candidates = {
        "kafka-python: tuples, and its batch builder": kafka_python,
        "Python: the tuples alone": python_tuples,
        "sink: the whole batch without headers": batches(encoder(include_headers=False)),
        "sink: the whole batch with headers": with_headers,
    }
    (batch,) = with_headers()
    read = BatchReader("orders", 3, batch.build(-1, -1, -1, False), 0).next_block(RECORDS, UNLIMITED)
    assert read is not None
    assert read.headers() == python_tuples()
    ours = "sink: the whole batch with headers"
    targets = {(ours, "kafka-python: tuples, and its batch builder"): 20}
    compare(
        benchmark, scale, "headers", "5 headers per record", candidates, per_call=RECORDS, at_least=targets
    )
