"""Kafka -> blocks, every field indexed and every checksum compared, against others that do the same."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from rivven_kafka.kafka import BlockConsumer

from benches.measure import Took
from benches.peers import confluent_reader, java_consumer
from benches.report import show
from benches.topic import fill_topic

pytestmark = pytest.mark.integration

OURS = "blocks"
JAVA = "Kafka's ConsumerPerformance (Java)"
CONFLUENT = "confluent-kafka, consume(1000), key and value"
PLAIN = "kafka-python, poll loop"
FETCH_BYTES = 4 << 20
AT_LEAST = {JAVA: 1.5, CONFLUENT: 3.5, PLAIN: 12.0}


@dataclass(frozen=True)
class Case:
    """A topic to read.

    Attributes:
        name: What is special about it.
        records: How many it holds.
        value_bytes: Size of each value.
        partitions: Number of partitions.
        codec: How its batches are compressed.
    """

    name: str
    records: int
    value_bytes: int = 160
    partitions: int = 4
    codec: str = "none"


CASES = [
    Case("4 partitions", 3_000_000),
    Case("16 partitions", 3_000_000, partitions=16),
    Case("1 KiB", 800_000, 1024),
    Case("10 KiB", 80_000, 10 * 1024),
    Case("lz4", 2_000_000, codec="lz4"),
    Case("zstd", 2_000_000, codec="zstd"),
    Case("gzip", 1_000_000, codec="gzip"),
    Case("snappy", 2_000_000, codec="snappy"),
]


def read_blocks(bootstrap: str, topic: str, partitions: int, records: int, took: Took) -> None:
    options: dict[str, Any] = {
        "bootstrap_servers": [bootstrap],
        "group_id": None,
        "max_partition_fetch_bytes": FETCH_BYTES,
    }
    with closing(BlockConsumer(options)) as consumer, took.round(records):
        consumer.assign([(topic, partition, 0) for partition in range(partitions)])
        count = 0
        while count < records:
            count += sum(map(len, consumer.poll(1000, 50_000)))


def read_plain(bootstrap: str, topic: str, partitions: int, records: int, took: Took) -> None:
    # Its checksums are computed in Python: with them it would be several times slower still.
    options = {"enable_auto_commit": False, "metrics_enabled": False, "check_crcs": False}
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, **options)) as consumer, took.round(records):
        assigned = [TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(assigned)
        consumer.seek_to_beginning(*assigned)
        count = 0
        while count < records:
            count += sum(map(len, consumer.poll(timeout_ms=1000, max_records=5_000).values()))


@pytest.mark.timeout(290)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_kafka_to_blocks(kafka, scale, topic_name, tmp_path, case):
    records = scale.records(case.records, 400)
    # The slowest one reads less of it.
    few = records if scale.quick else records // 20
    # Each start of a JVM takes seconds: one is enough to show that it works.
    with_java = not scale.quick or case is CASES[0]
    config = tmp_path / "consumer.properties"
    config.write_text("max.poll.records=5000\nfetch.max.bytes=67108864\n")
    ours, java, confluent, plain = Took(), Took(), Took(), Took()
    topic = topic_name()
    with fill_topic(kafka.bootstrap, topic, case.partitions, records, case.value_bytes, case.codec):
        place = kafka.bootstrap, topic
        for _ in range(scale.rounds):
            read_plain(*place, case.partitions, few, plain)
            confluent_reader.read(*place, case.partitions, records, confluent, confluent_reader.touch)
            if with_java:
                java_consumer.read(*place, records, java, config)
            read_blocks(*place, case.partitions, records, ours)
    rows = [(PLAIN, plain), (CONFLUENT, confluent), *([(JAVA, java)] if with_java else []), (OURS, ours)]
    title = f"Kafka -> decoded, {case.name}"
    wanted = {(OURS, peer): AT_LEAST[peer] for peer, _ in rows if peer in AT_LEAST}
    show("consume", title, [(name, took.rates) for name, took in rows], at_least=wanted)
    show("consume cpu", title, [(name, took.cpu) for name, took in rows], unit="CPU s/million")
