"""Topics to read in a benchmark: orders in JSON, each with a key and one header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from kafka import KafkaAdminClient

from tests.support.topics import Headers, TopicWriter, create_topic

_BATCH = 10_000


def order(number: int, size: int) -> bytes:
    """An order of about `size` bytes as JSON, which compresses about as well as orders do."""
    head = (
        f'{{"order_id": {100_000_000 + number}, "customer": "customer-{number % 5000:05d}", '
        f'"amount": {number % 977}.{number % 100:02d}, "paid": true, "note": "'
    )
    # Half of the note is noise.
    noise = f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
    filler = size - len(head) - 2
    note = (noise[:16] + "on the way, " * 2) * (filler // 40 + 1)
    return f'{head}{note[: max(filler, 8)]}"}}'.encode()


@contextmanager
def fill_topic(
    bootstrap: str, topic: str, partitions: int, records: int, size: int, codec: str = "none"
) -> Iterator[None]:
    """A topic with `records` orders of `size` bytes, spread evenly; gone afterwards."""
    headers: Headers = [("trace", b"0123456789abcdef")]
    batch = min(_BATCH, max(records // partitions, 1), (8 << 20) // size)
    rows = [(-1, b"customer-%05d" % (n % 5000), order(n, size), headers) for n in range(batch)]
    create_topic(bootstrap, topic, partitions)
    try:
        with TopicWriter(bootstrap, topic, partitions, compression=codec) as writer:
            for number, start in enumerate(range(0, records, batch)):
                writer.write(number % partitions, rows[: records - start])
        yield
    finally:
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
            admin.delete_topics([topic])
