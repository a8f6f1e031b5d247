"""Kafka -> blocks against kafka-python's own records: reading and touching nothing, the best case of both."""

import time
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from rivven_kafka.kafka import BlockConsumer

from benches.report import show
from tests.support.topics import Headers, TopicWriter, create_topic

pytestmark = pytest.mark.integration

ROUNDS = 3
PARTITIONS = 4
RECORDS = 400_000
VALUE = b'{"order_id": 12345678, "customer": "customer-00042", "note": "' + b"x" * 96 + b'"}'


@pytest.fixture(scope="module")
def filled(kafka):
    topic = "consume-benchmark"
    create_topic(kafka.bootstrap, topic, PARTITIONS)
    headers: Headers = [("trace", b"1")]
    rows = [(-1, b"customer-00042", VALUE, headers)] * 10_000
    with TopicWriter(kafka.bootstrap, topic, PARTITIONS) as writer:
        for number in range(RECORDS // len(rows)):
            writer.write(number % PARTITIONS, rows)
    return topic


def blocks_rate(bootstrap, topic, max_records, fetch_bytes):
    options: dict[str, Any] = {
        "bootstrap_servers": [bootstrap],
        "group_id": None,
        "max_partition_fetch_bytes": fetch_bytes,
    }
    with closing(BlockConsumer(options)) as consumer:
        consumer.assign([(topic, partition, 0) for partition in range(PARTITIONS)])
        count, start = 0, time.perf_counter()
        while count < RECORDS:
            count += sum(map(len, consumer.poll(1000, max_records)))
        return count / (time.perf_counter() - start)


def plain_rate(bootstrap, topic, records):
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        count, start = 0, time.perf_counter()
        while count < records:
            count += sum(map(len, consumer.poll(timeout_ms=1000, max_records=5_000).values()))
        return count / (time.perf_counter() - start)


@pytest.mark.timeout(300)
def test_blocks_against_kafka_python(kafka, filled):
    plain, small, large, wide = [], [], [], []
    for _ in range(ROUNDS):
        plain.append(plain_rate(kafka.bootstrap, filled, RECORDS // 4))
        small.append(blocks_rate(kafka.bootstrap, filled, 500, 1 << 20))
        large.append(blocks_rate(kafka.bootstrap, filled, 50_000, 1 << 20))
        wide.append(blocks_rate(kafka.bootstrap, filled, 50_000, 4 << 20))
    ratios = show(
        "read",
        "Kafka -> decoded",
        [
            ("kafka-python poll loop", plain),
            ("blocks, max_poll_records 500", small),
            ("blocks, 50,000 records, 1 MiB per partition", large),
            ("blocks, 50,000 records, 4 MiB per partition", wide),
        ],
    )
    assert ratios["blocks, 50,000 records, 4 MiB per partition"] > 3
