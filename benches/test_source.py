"""Kafka -> Rivven against a publisher that has nothing else to do: rivvend's own ceiling."""

import pytest
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows
from rivven_kafka.config import ConnectConfig
from rivven_kafka.pipeline import SourcePipeline

from benches.report import show
from benches.running import rate_of, running
from tests.support.connector import source_file
from tests.support.topics import Headers, TopicWriter, create_topic

pytestmark = pytest.mark.integration

VALUE = b'{"order_id": %08d, "customer": "customer-%05d", "amount": 123.45, "note": "' + b"x" * 80 + b'"}'


def orders(count, partition):
    return [
        (-1, b"customer-%05d" % (number % 5000), VALUE % (number, number % 5000), [("trace", b"%d" % number)])
        for number in range(partition, partition + count)
    ]


def source(kafka, rivven, origin, target, connections, ordering):
    config = source_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        target,
        f"g-{target}",
        ordering=ordering,
        connections=connections,
    )
    connect = ConnectConfig.build(config)
    return SourcePipeline("bench", connect.sources["in"], connect.broker, connect.settings)


def raw_rate(rivven, values, target, lanes, connections):
    """The same keys and values, already encoded, through the same lanes."""
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(target, len(values))
    client.close()
    publisher = Publisher([rivven.bootstrap], value_format="raw", connections=connections)
    publisher.add_route("raw", target, len(values), lanes)
    for partition, block in values.items():
        for start in range(0, len(block), 500):
            publisher.submit(block_from_rows("raw", partition, block[start : start + 500]))
    rate = rate_of(
        lambda: publisher.stats()["records_published"], sum(len(block) for block in values.values())
    )
    publisher.close()
    return rate


def published(rivven, topic, partitions):
    """What the source published, to be published again by the raw publisher."""
    client = RivvenClient([rivven.bootstrap])
    values = {}
    for partition in range(partitions):
        rows: list[tuple[int, bytes | None, bytes | None, Headers]] = []
        offset = 0
        while block := client.fetch(topic, partition, offset, 2000):
            if not len(block):
                break
            rows += [(-1, key, value, []) for key, value in zip(block.keys(), block.values(), strict=True)]
            offset = block.next_offset
        values[partition] = rows
    client.close()
    return values


POINTS = [
    # Kafka and Rivven partitions, ordering, connections, records: some three seconds of rivvend's time.
    (1, "partition", 1, 1_600),
    (4, "partition", 4, 6_000),
    (16, "partition", 16, 16_000),
    (64, "partition", 64, 32_000),
    (1, "key", 64, 24_000),
    (4, "key", 64, 32_000),
    (4, "key", 96, 36_000),
    (16, "key", 64, 32_000),
    (16, "key", 96, 36_000),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("partitions", "ordering", "connections", "records"), POINTS)
def test_source_against_a_raw_publisher(
    kafka, rivven, topic_name, scale, partitions, ordering, connections, records
):
    origin = topic_name()
    share = scale.records(records, least=min(records, 640)) // partitions
    records = share * partitions
    create_topic(kafka.bootstrap, origin, partitions)
    with TopicWriter(kafka.bootstrap, origin, partitions) as writer:
        for partition in range(partitions):
            writer.write(partition, orders(share, partition))
    lanes = 1 if ordering == "partition" else connections // partitions
    ours, raw = [], []
    for _ in range(scale.rounds):
        target = topic_name()
        pipeline = source(kafka, rivven, origin, target, connections, ordering)
        with running(pipeline):
            ours.append(rate_of(pipeline.delivered, records))
        values = published(rivven, target, partitions)
        assert [len(block) for block in values.values()] == [share] * partitions
        raw.append(raw_rate(rivven, values, topic_name(), lanes, connections))
    title = f"Kafka -> Rivven, {partitions} partitions, ordering: {ordering}, {lanes} lanes each"
    rows = [("raw publisher", raw), ("source", ours)]
    show("source", title, rows, at_least={("source", "raw publisher"): 0.95})
