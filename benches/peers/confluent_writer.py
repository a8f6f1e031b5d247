"""A confluent-kafka producer loop in a process of its own: `benches.child.ask` runs it."""

from confluent_kafka import Producer

from benches.child import Measured, Meter, arguments, tell
from benches.served import VARIANTS, record

_POLL_EVERY = 1000


def write(
    bootstrap: str,
    topic: str,
    partitions: int,
    size: int,
    records: int,
    options: dict[str, object],
    batched: bool = False,
) -> Measured:
    """Produces `records` round robin over the partitions, and waits for all acknowledgements."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            # The loop shall wait for Kafka, not for room.
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
            **options,
        }
    )
    failed = []
    rows = [record(number, size) for number in range(VARIANTS)]

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(error)

    producer.produce(topic, b"", partition=0, on_delivery=delivered)
    producer.flush()
    send = _in_batches if batched else _one_by_one
    meter = Meter()
    send(producer, topic, partitions, rows, records)
    left = producer.flush()
    measured = meter.read(records)
    assert not left
    assert not failed, failed[0]
    return measured


def _one_by_one(
    producer: Producer, topic: str, partitions: int, rows: list[tuple[bytes, bytes]], records: int
) -> None:
    produce, poll = producer.produce, producer.poll
    for number in range(records):
        key, value = rows[number % VARIANTS]
        while True:
            try:
                produce(topic, value, key, number % partitions)
                break
            except BufferError:
                poll(0.01)
        if number % _POLL_EVERY == 0:
            poll(0)


def _in_batches(
    producer: Producer, topic: str, partitions: int, rows: list[tuple[bytes, bytes]], records: int
) -> None:
    left = records
    number = 0
    while left:
        # Made anew each time: a program has other records each time.
        messages = [{"key": key, "value": value} for key, value in rows[:left]]
        while True:
            try:
                sent = producer.produce_batch(topic, messages, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.01)
        assert sent == len(messages)
        producer.poll(0)
        left -= sent
        number += 1


if __name__ == "__main__":
    tell(write(**arguments()))  # type: ignore[arg-type]
