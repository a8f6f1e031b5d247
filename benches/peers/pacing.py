"""Writes records at an even rate, each with the time at which it was written.

`python -m benches.peers.pacing kafka|rivven BOOTSTRAP TOPIC PARTITIONS RATE COUNT` for `COUNT` records, in
turn over the partitions; `"sent_ns"` in the value is `time.monotonic_ns`, which all processes share.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from confluent_kafka import Producer
from rivven_kafka._native import RivvenClient

Write = Callable[[int, bytes, bytes], object]
"""Takes a partition, a key and a value."""

_VALUE = b'{"order_id": %08d, "customer": "customer-%05d", "sent_ns": %d, "note": "' + b"x" * 60 + b'"}'


def pace(write: Write, partitions: list[int], rate: float, count: int, start: float) -> None:
    """Writes `count` records at `rate` a second, in turn over `partitions`."""
    for number in range(count):
        pause = start + number / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        value = _VALUE % (number, number % 5000, time.monotonic_ns())
        write(partitions[number % len(partitions)], b"customer-%05d" % (number % 5000), value)


def to_kafka(bootstrap: str, topic: str, partitions: int, rate: float, count: int) -> None:
    """Writes to Kafka without linger, acks all."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    # The connection is there before the first record.
    producer.list_topics(topic)

    def write(partition: int, key: bytes, value: bytes) -> None:
        producer.produce(topic, value, key, partition, headers=[("trace", b"1")])
        producer.poll(0)

    pace(write, list(range(partitions)), rate, count, time.monotonic())
    producer.flush()


def to_rivven(bootstrap: str, topic: str, partitions: int, rate: float, count: int) -> None:
    """Writes to Rivven, with a connection for each partition: a record takes one about 2 ms."""
    start = time.monotonic() + 0.1

    def run(partition: int) -> None:
        client = RivvenClient([bootstrap])
        client.ping()
        pace(
            lambda _, key, value: client.publish(topic, partition, [(key, value)]),
            [partition],
            rate / partitions,
            count // partitions,
            start + partition / rate,
        )

    threads = [threading.Thread(target=run, args=(partition,)) for partition in range(partitions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    system, broker, name, *numbers = sys.argv[1:]
    width, per_second, total = map(int, numbers)
    (to_kafka if system == "kafka" else to_rivven)(broker, name, width, per_second, total)
