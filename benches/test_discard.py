"""Kafka -> Rivven as fast as the source can: into a server that keeps nothing.

The peer is `benches.peers.python_publisher`. Both are programs of their own, measured by what the server has
got.
"""

import functools
from collections.abc import Mapping

import pytest
import yaml

from benches.discard import DiscardServer
from benches.processes import Moved, moved
from benches.report import show
from tests.support.connector import source_file
from tests.support.topics import Headers, TopicWriter, create_topic

pytestmark = pytest.mark.integration

CHUNK = 2_000
HEAD = b'{"order_id": %08d, "customer": "customer-%05d", "amount": 123.45, "note": "'
SIZES = {"160 B": (160, 1_200_000), "1 KiB": (1024, 400_000), "10 KiB": (10_240, 60_000)}
PEER_SHARE = 4


@pytest.fixture(scope="module")
def discard():
    with DiscardServer() as server:
        yield server


@pytest.fixture(scope="module")
def filled(kafka, scale):
    """A Kafka topic of some partitions with records of some size, made once; its name and its records."""

    @functools.cache
    def make(partitions: int, size: str) -> tuple[str, int]:
        topic = f"discard-{partitions}-{size.replace(' ', '')}"
        value_size, records = SIZES[size]
        records = scale.records(records) // (partitions * CHUNK) * partitions * CHUNK or partitions * CHUNK
        head = HEAD % (0, 0)
        note = b"x" * (value_size - len(head) - 2) + b'"}'
        rows: list[tuple[int, bytes | None, bytes | None, Headers]] = [
            (-1, b"customer-%05d" % number, HEAD % (number, number) + note, [("trace", b"%d" % number)])
            for number in range(CHUNK)
        ]
        create_topic(kafka.bootstrap, topic, partitions)
        with TopicWriter(kafka.bootstrap, topic, partitions, batch_size_bytes=256 << 10) as writer:
            for chunk in range(records // CHUNK):
                writer.write(chunk % partitions, rows)
        return topic, records

    return make


def received(server, target, partitions):
    return lambda: sum(server.received(target, partitions))


def source(kafka, discard, directory, origin, target, partitions, records, **options) -> Moved:
    config = source_file(kafka.bootstrap, discard.bootstrap, origin, target, f"g-{target}", **options)
    path = directory / f"{target}.yaml"
    path.write_text(yaml.safe_dump(config))
    arguments = ["rivven_kafka.cli", "-c", str(path), "run"]
    return moved(arguments, received(discard, target, partitions), records)


def peer(kafka, discard, origin, target, partitions, records, value_format) -> Moved:
    arguments = ["benches.peers.python_publisher", kafka.bootstrap, discard.bootstrap, origin, target]
    arguments += [str(partitions), str(records), value_format]
    return moved(arguments, received(discard, target, partitions), records)


def show_both(
    group: str, title: str, found: Mapping[str, list[Moved]], at_least: Mapping[tuple[str, str], float]
) -> None:
    """Shows the rates, and what they took of the processor."""
    rates = [(name, [each.rate for each in measured]) for name, measured in found.items()]
    show(group, title, rates, at_least=at_least)
    cpu = [(name, [each.cpu for each in measured]) for name, measured in found.items()]
    show(f"{group}-cpu", title, cpu, unit="CPU s per million records")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("partitions", "size", "value_format"),
    [
        (4, "160 B", "event"),
        (16, "160 B", "event"),
        (4, "160 B", "raw"),
        (16, "160 B", "raw"),
        (4, "1 KiB", "event"),
        (4, "10 KiB", "event"),
    ],
)
def test_source_against_python(
    kafka, discard, filled, topic_name, tmp_path, scale, partitions, size, value_format
):
    origin, records = filled(partitions, size)
    part = records if scale.quick else records // PEER_SHARE
    found: dict[str, list[Moved]] = {"confluent-kafka and a Python publisher": [], "source": []}
    by_hand, ours = found.values()
    for _ in range(scale.rounds):
        by_hand.append(peer(kafka, discard, origin, topic_name(), partitions, part, value_format))
        target = topic_name()
        ours.append(
            source(kafka, discard, tmp_path, origin, target, partitions, records, value_format=value_format)
        )
        assert discard.received(target, partitions) == [records // partitions] * partitions
    title = f"Kafka -> a server that keeps nothing, {partitions} partitions, {size}, {value_format}"
    least = {("source", "confluent-kafka and a Python publisher"): 4.0}
    show_both("discard", title, found, least)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("partitions", "value_format"), [(4, "event"), (16, "event"), (4, "raw")])
def test_what_exactly_once_costs(
    kafka, discard, filled, topic_name, tmp_path, scale, partitions, value_format
):
    origin, records = filled(partitions, "160 B")
    found: dict[str, list[Moved]] = {"at_least_once": [], "exactly_once": []}
    # A round takes a second, in which the pace of Kafka alone varies by half.
    for _ in range(1 if scale.quick else 3 * scale.rounds):
        for guarantee, measured in found.items():
            target = topic_name()
            options = {"value_format": value_format, "delivery_guarantee": guarantee}
            measured.append(source(kafka, discard, tmp_path, origin, target, partitions, records, **options))
            assert discard.received(target, partitions) == [records // partitions] * partitions
    title = f"Kafka -> a server that keeps nothing, {partitions} partitions, 160 B, {value_format}"
    least = {("exactly_once", "at_least_once"): 0.85}
    show_both("exactly-once", title, found, least)
