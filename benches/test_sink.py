"""Rivven -> Kafka, acks all, against kafka-python's own producer loop with the same batch size."""

import time
from contextlib import closing

import pytest
from kafka import KafkaProducer
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows
from rivven_kafka.config import ConnectConfig
from rivven_kafka.pipeline import SinkPipeline

from benches.report import show
from benches.running import rate_of, running
from tests.support.connector import sink_file
from tests.support.topics import Headers, create_topic

pytestmark = pytest.mark.integration

ROUNDS = 3
PARTITIONS = 4
RECORDS = 120_000
VALUE = b'{"order_id": 12345678, "customer": "customer-00042", "note": "' + b"x" * 96 + b'"}'


@pytest.fixture(scope="module")
def filled(rivven):
    topic = "sink-benchmark"
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(topic, PARTITIONS)
    client.close()
    publisher = Publisher([rivven.bootstrap], value_format="raw", connections=96)
    publisher.add_route("raw", topic, PARTITIONS, lanes_per_partition=24)
    for number in range(RECORDS // 1000):
        rows: list[tuple[int, bytes, bytes, Headers]] = [
            (-1, b"customer-%05d" % key, VALUE, []) for key in range(1000)
        ]
        publisher.submit(block_from_rows("raw", number % PARTITIONS, rows))
    while publisher.in_flight_records():
        publisher.wait(100)
    publisher.close()
    return topic


def sink_rate(kafka, rivven, filled, target, batch_size, **options):
    create_topic(kafka.bootstrap, target, PARTITIONS)
    config = sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        filled,
        target,
        f"g-{target}",
        batch_size_bytes=batch_size,
        include_headers=False,
        **options,
    )
    connect = ConnectConfig.build(config)
    pipeline = SinkPipeline("bench", connect.sinks["out"], connect.broker, connect.settings)
    with running(pipeline):
        return rate_of(pipeline.delivered, RECORDS)


def plain_rate(kafka, target, batch_size, records):
    create_topic(kafka.bootstrap, target, PARTITIONS)
    with closing(
        KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", batch_size=batch_size, linger_ms=5)
    ) as producer:
        start = time.perf_counter()
        for number in range(records):
            producer.send(
                target, VALUE, key=b"customer-%05d" % (number % 1000), partition=number % PARTITIONS
            )
        producer.flush()
        return records / (time.perf_counter() - start)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("batch_size", [16_384, 262_144])
def test_sink_against_kafka_python(kafka, rivven, filled, topic_name, batch_size):
    plain, ours, idempotent, transactions = [], [], [], []
    for _ in range(ROUNDS):
        plain.append(plain_rate(kafka, topic_name(), batch_size, RECORDS // 6))
        ours.append(sink_rate(kafka, rivven, filled, topic_name(), batch_size))
        idempotent.append(sink_rate(kafka, rivven, filled, topic_name(), batch_size, idempotent=True))
        name = topic_name()
        transactions.append(sink_rate(kafka, rivven, filled, name, batch_size, transactional_id=name))
    title = f"Rivven -> Kafka, acks all, batch_size_bytes {batch_size}"
    rows = [
        ("kafka-python producer loop", plain),
        ("sink", ours),
        ("sink, idempotent", idempotent),
        ("sink, transactions", transactions),
    ]
    ratios = show("sink", title, rows)
    assert ratios["sink"] > 2
