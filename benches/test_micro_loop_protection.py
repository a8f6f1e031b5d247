"""What loop protection costs per record: events of a source, and records of a sink, with and without it."""

import pytest
from rivven_kafka._native import PositionIndex, RecordBlock, SinkEncoder, block_from_rows, encode_events

from benches.micro import compare, rows

RECORDS = 1000
UNLIMITED = 1 << 30
CLUSTERS = ("kafka:5L6g3nShT-eMCtK--X86sw", "rivven:eu")


def test_a_source(benchmark, scale):
    """An index that holds nothing makes the event of each record, as the source does."""
    block = block_from_rows("orders", 3, rows(RECORDS))
    without = PositionIndex("orders", {"orders": None})
    protected = PositionIndex("orders", {"orders": None}, loop_protection=CLUSTERS)
    candidates = {
        "events": lambda: without.compare(block),
        "events with loop protection": lambda: protected.compare(block),
    }
    compare(benchmark, scale, "loop protection", "source", candidates, per_call=RECORDS)


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_a_sink(benchmark, scale, value_format):
    """Events of another cluster, or plain values."""
    block = block_from_rows("orders", 3, rows(RECORDS))
    events = [
        event.replace(b'"metadata":{', b'"metadata":{"kafka_via":"kafka:far/orders",')
        for event in encode_events(block)
    ]
    plain = [value for _, _, value, _ in rows(RECORDS)]
    values = events if value_format == "event" else plain
    stored = block_from_rows("orders", 3, [(0, b"key", value, []) for value in values])
    options = {"value_format": value_format, "include_headers": False, "batch_size_bytes": UNLIMITED}
    without = SinkEncoder(4, **options)
    protected = SinkEncoder(4, **options, loop_protection=(CLUSTERS[1], CLUSTERS[0], "orders"))
    candidates = {
        "batches": lambda: write(without, stored),
        "batches with loop protection": lambda: write(protected, stored),
    }
    compare(benchmark, scale, "loop protection", f"sink, {value_format}", candidates, per_call=RECORDS)
    assert protected.echoes_refused() == 0


def write(encoder: SinkEncoder, block: RecordBlock) -> None:
    """Makes batches of the block, and lets them be stored."""
    encoder.append(block)
    for batch in encoder.take_ready(0):
        batch.acknowledge()
    encoder.forget("orders", 3)
