"""A kafka-python producer loop in a process of its own: `benches.child.ask` runs it."""

from contextlib import closing

from kafka import KafkaProducer

from benches.child import Measured, Meter, arguments, tell
from benches.served import VARIANTS, record


def write(
    bootstrap: str, topic: str, partitions: int, size: int, records: int, options: dict[str, object]
) -> Measured:
    """Sends `records` round robin over the partitions, and waits for all acknowledgements."""
    rows = [record(number, size) for number in range(VARIANTS)]
    with closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all", **options)) as producer:
        producer.send(topic, b"", partition=0).get(timeout=30)
        send = producer.send
        meter = Meter()
        for number in range(records):
            key, value = rows[number % VARIANTS]
            send(topic, value, key=key, partition=number % partitions)
        producer.flush()
        return meter.read(records)


if __name__ == "__main__":
    tell(write(**arguments()))  # type: ignore[arg-type]
