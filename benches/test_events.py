"""Kafka -> one Python object per record, its value parsed: `KafkaSource.read()` against confluent-kafka."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from confluent_kafka import Message
from rivven_kafka import KafkaSource, SourceEvent

from benches.measure import Took
from benches.peers import confluent_reader
from benches.report import show
from benches.topic import fill_topic

pytestmark = pytest.mark.integration

PARTITIONS = 4
RECORDS = 600_000


def parse(messages: list[Message]) -> None:
    for message in messages:
        assert message.error() is None
        json.loads(message.value() or b"")


def parse_with_orjson(messages: list[Message]) -> None:
    for message in messages:
        assert message.error() is None
        orjson.loads(message.value() or b"")


def read_events(
    bootstrap: str,
    topic: str,
    group: str,
    records: int,
    took: Took,
    use: Callable[[SourceEvent], object],
    **options: Any,
) -> None:
    """Counts from the first event on, when the group has been joined."""
    source = KafkaSource(
        brokers=[bootstrap], topic=topic, consumer_group=group, start_offset="earliest", **options
    )
    with source.read() as events:
        use(next(events))
        with took.round(records - 1):
            for event in itertools.islice(events, records - 1):
                use(event)


WIDE = {"max_poll_records": 5_000, "max_partition_fetch_bytes": 4 << 20}


@pytest.mark.timeout(290)
def test_kafka_to_events(kafka, scale, topic_name):
    records = scale.records(RECORDS)
    peers = {
        "confluent-kafka, json.loads of each value": parse,
        "confluent-kafka, orjson.loads of each value": parse_with_orjson,
        "confluent-kafka, key and value": confluent_reader.touch,
    }
    ours = {
        "events, data parsed": (lambda event: event.data, WIDE),
        "events, data parsed, options as they are": (lambda event: event.data, {}),
        "events, orjson.loads of the value": (lambda event: orjson.loads(event.value), WIDE),
        "events, key and value": (lambda event: (event.key, event.value), WIDE),
    }
    took = {name: Took() for name in [*peers, *ours]}
    topic = topic_name()
    with fill_topic(kafka.bootstrap, topic, PARTITIONS, records, 160):
        for number in range(scale.rounds):
            for name, use in peers.items():
                confluent_reader.read(kafka.bootstrap, topic, PARTITIONS, records, took[name], use)
            for name, (use_event, options) in ours.items():
                group = f"{name[8:30].replace(' ', '-').strip(',')}-{number}"
                read_events(kafka.bootstrap, topic, group, records, took[name], use_event, **options)
    title = "Kafka -> Python objects"
    show(
        "events",
        title,
        [(name, each.rates) for name, each in took.items()],
        at_least={
            ("events, data parsed", "confluent-kafka, json.loads of each value"): 1.5,
        },
    )
    show("events cpu", title, [(name, each.cpu) for name, each in took.items()], unit="CPU s/million")
