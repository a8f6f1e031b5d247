"""What exactly-once delivery to Rivven costs: while records move, and when the source starts."""

import time
from contextlib import closing

import pytest
from rivven_kafka._native import Publisher, RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.pipeline import SourcePipeline

from benches.report import show
from benches.running import rate_of, running
from benches.test_source import orders
from tests.support.connector import source_file
from tests.support.topics import TopicWriter, create_topic

pytestmark = pytest.mark.integration

PARTITIONS = 8


def pipeline(kafka, rivven, origin, target, **config):
    document = source_file(kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{target}", **config)
    connect = ConnectConfig.build(document)
    return SourcePipeline("bench", connect.sources["in"], connect.broker, connect.settings)


def filled(kafka, topic, records):
    create_topic(kafka.bootstrap, topic, PARTITIONS)
    with TopicWriter(kafka.bootstrap, topic, PARTITIONS) as writer:
        for partition in range(PARTITIONS):
            writer.write(partition, orders(records // PARTITIONS, partition))
    return topic


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("options", "records"),
    [
        ({"connections": 8}, 12_000),
        ({"ordering": "key"}, 40_000),
        ({"value_format": "raw", "connections": 8}, 12_000),
    ],
    ids=["event", "event-lanes", "raw"],
)
def test_exactly_once_against_at_least_once(kafka, rivven, topic_name, scale, options, records):
    records = scale.records(records)
    origin = filled(kafka, topic_name(), records)
    rates: dict[str, list[float]] = {"at_least_once": [], "exactly_once": []}
    for _ in range(scale.rounds):
        for guarantee, measured in rates.items():
            source = pipeline(kafka, rivven, origin, topic_name(), delivery_guarantee=guarantee, **options)
            with running(source):
                measured.append(rate_of(source.delivered, records))
    title = f"Kafka -> Rivven, {PARTITIONS} partitions, {options}"
    show("exactly-once", title, list(rates.items()), at_least={("exactly_once", "at_least_once"): 0.85})


@pytest.mark.timeout(600)
def test_how_fast_a_start_reads_what_is_published(kafka, rivven, topic_name, scale):
    records = scale.records(40_000)
    origin, target = filled(kafka, topic_name(), records), topic_name()
    source = pipeline(kafka, rivven, origin, target, delivery_guarantee="exactly_once", ordering="key")
    with running(source):
        rate_of(source.delivered, records)
    publisher = Publisher([rivven.bootstrap], exactly_once=True)
    publisher.add_route(origin, target, PARTITIONS)
    rates = []
    with closing(RivvenClient([rivven.bootstrap])) as client:
        stored = sum(client.offset_bounds(target, partition)[1] for partition in range(PARTITIONS))
        for _ in range(5):
            begin = time.perf_counter()
            read, _ = publisher.prepare(
                [(origin, partition, 0, None) for partition in range(PARTITIONS)], False
            )
            rates.append(read / (time.perf_counter() - begin))
            assert read == stored == records
    publisher.close()
    show("exactly-once", "reading Rivven at the start", [("records read", rates)])
