"""A bridge as one would write it by hand: confluent-kafka on one side, a Rivven client on the other.

A thread for each Rivven partition, as a request to rivvend takes about 2 ms for each record. It commits
nothing, handles no error and cannot stop in order: the least that moves records.

`python -m benches.peers.hand_written source|sink KAFKA RIVVEN ORIGIN TARGET PARTITIONS LINGER_MS`
"""

from __future__ import annotations

import sys
import threading
from queue import SimpleQueue

from confluent_kafka import Consumer, Producer
from rivven_kafka._native import RivvenClient

_Pair = tuple[bytes | None, bytes]


def source(kafka: str, rivven: str, origin: str, target: str, partitions: int) -> None:
    """Kafka -> Rivven, value and key as they are."""
    queues = [SimpleQueue[_Pair]() for _ in range(partitions)]

    def publish(partition: int) -> None:
        client, queue = RivvenClient([rivven]), queues[partition]
        while True:
            pairs = [queue.get()]
            while not queue.empty() and len(pairs) < 200:
                pairs.append(queue.get())
            client.publish(target, partition, pairs)

    for partition in range(partitions):
        threading.Thread(target=publish, args=(partition,), daemon=True).start()
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"hand-{target}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([origin])
    while True:
        # `consume` would wait until it has as many as it was asked for.
        message = consumer.poll(1.0)
        if message is not None:
            home = message.partition()
            assert home is not None
            queues[home].put((message.key(), message.value() or b""))


def sink(kafka: str, rivven: str, origin: str, target: str, partitions: int, linger_ms: int) -> None:
    """Rivven -> Kafka, key and value as they are, acks all."""
    producer = Producer({"bootstrap.servers": kafka, "acks": "all", "linger.ms": linger_ms})

    def read(partition: int) -> None:
        client, offset = RivvenClient([rivven]), 0
        while True:
            block = client.fetch(origin, partition, offset, 1000, 1000)
            for key, value in zip(block.keys(), block.values(), strict=True):
                producer.produce(target, value, key)
            offset = max(offset, block.next_offset)

    for partition in range(partitions):
        threading.Thread(target=read, args=(partition,), daemon=True).start()
    while True:
        producer.poll(1.0)


if __name__ == "__main__":
    direction, kafka_at, rivven_at, from_topic, to_topic, count, linger = sys.argv[1:]
    if direction == "source":
        source(kafka_at, rivven_at, from_topic, to_topic, int(count))
    else:
        sink(kafka_at, rivven_at, from_topic, to_topic, int(count), int(linger))
