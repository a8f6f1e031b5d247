"""What Kafka itself can take: the same finished requests again and again, in a process of its own.

Nothing is read, converted or encoded meanwhile, and whether an answer tells of an error is all that is looked
at. The rate of whoever has batches to make first is at most this one.
"""

import socket
from collections import deque
from contextlib import closing

from kafka import KafkaProducer
from rivven_kafka._native import (
    OutgoingBatch,
    SinkEncoder,
    all_batches_stored,
    block_from_rows,
    produce_request,
)

from benches.child import Measured, Meter, arguments, tell
from benches.served import VARIANTS, record
from tests.support.topics import Headers

_IN_FLIGHT = 5
"""Requests on their way, as many as a connection of the sink or of Java's producer has."""
_MOST_BYTES = 1 << 20
"""Of a request, as the sink's `max_request_size`."""
_TIMEOUT_MS = 30_000


def write(bootstrap: str, topic: str, partitions: int, size: int, records: int, batch: int) -> Measured:
    """Sends at least `records`, and waits for all acknowledgements."""
    # It waits until the leaders are known.
    with closing(KafkaProducer(bootstrap_servers=bootstrap)) as producer:
        producer.partitions_for(topic)
    requests = _requests(topic, partitions, size, batch)
    host, port = bootstrap.rsplit(":", 1)
    waiting: deque[int] = deque()
    sent = number = 0
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = connection.makefile("rb")
        meter = Meter()
        while sent < records or waiting:
            if sent < records and len(waiting) < _IN_FLIGHT:
                request, count = requests[number % len(requests)]
                connection.sendall(request)
                waiting.append(count)
                sent += count
                number += 1
                continue
            length = int.from_bytes(answers.read(4), "big")
            body = answers.read(length)
            assert all_batches_stored(body[5:]) is not None, "Kafka refused a batch"
            waiting.popleft()
        return meter.read(sent)


def _requests(topic: str, partitions: int, size: int, batch: int) -> list[tuple[bytes, int]]:
    """Requests that together have one batch of each partition, with the number of their records."""
    encoder = SinkEncoder(partitions, include_headers=False, batch_size_bytes=batch)
    for partition in range(partitions):
        rows: list[tuple[int, bytes | None, bytes | None, Headers]] = [
            (-1, *record(number, size), []) for number in range(VARIANTS)
        ]
        for _ in range(batch // size // VARIANTS + 1):
            assert not encoder.append(block_from_rows("t", partition, rows))
    first: dict[int, OutgoingBatch] = {}
    for each in encoder.take_ready(0):
        first.setdefault(each.partition, each)
    groups: list[list[OutgoingBatch]] = [[]]
    for each in first.values():
        if groups[-1] and sum(other.size_bytes for other in groups[-1]) + each.size_bytes > _MOST_BYTES:
            groups.append([])
        groups[-1].append(each)
    return [
        (
            produce_request(
                1,
                "alone",
                None,
                -1,
                _TIMEOUT_MS,
                [(topic, each.partition, each, -1, -1, -1) for each in group],
            ),
            sum(each.record_count for each in group),
        )
        for group in groups
    ]


if __name__ == "__main__":
    tell(write(**arguments()))  # type: ignore[arg-type]
