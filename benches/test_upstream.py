"""Both directions against rivven-connect, each as a process of its own with the same configuration file.

Rates are those at which records arrive at the other end, from the first one on. rivven-connect is compiled
before the first benchmark of a full run (about 10 minutes, once). A quick run compiles nothing: it shows that
our side takes the files, and runs rivven-connect as a source where it is there already. Its sink does not
work with Kafka 4, so both sinks write to an older one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial

import pytest
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows

from benches.peers.upstream import NEWEST_KAFKA, rivven_connect
from benches.report import show
from tests.support import KafkaBroker
from tests.support.connector import Connector, sink_file, source_file
from tests.support.kafka_dist import kafka_libs
from tests.support.topics import EndOffsets, Headers, TopicWriter, create_topic
from tests.support.upstream_dist import upstream_binary, upstream_is_cached

pytestmark = [
    pytest.mark.integration,
    pytest.mark.needs(fetch=upstream_binary),
    pytest.mark.needs(fetch=partial(kafka_libs, NEWEST_KAFKA)),
]

SOURCE_PARTITIONS = 16
SINK_PARTITIONS = 4
CONNECTIONS = 96
VALUE = b'{"order_id": %08d, "customer": "customer-%05d", "amount": 123.45, "note": "' + b"x" * 80 + b'"}'
# A few seconds of it: more would not change its rate.
UPSTREAM_RECORDS = {"source": 150, "sink": 400}
UPSTREAM = "rivven-connect"


@pytest.fixture(scope="module")
def old_kafka(kafka, scale):
    """The newest Kafka that rivven-connect can write to."""
    if scale.quick:
        yield kafka
        return
    with KafkaBroker(version=NEWEST_KAFKA) as broker:
        yield broker


def rows(partition, count) -> list[tuple[int, bytes, bytes, Headers]]:
    return [
        (-1, b"customer-%05d" % (number % 5000), VALUE % (number, number % 5000), [("trace", b"%d" % number)])
        for number in range(partition, partition + count)
    ]


def arrival_rate(
    program: AbstractContextManager[object], arrived: Callable[[], int], total: int, look_every_s: float
) -> float:
    """Records/s from the first one seen at the other end until `total` of them are there."""
    deadline = time.perf_counter() + 90
    with program:
        while (first := arrived()) == 0:
            assert time.perf_counter() < deadline, "nothing arrived"
            time.sleep(look_every_s)
        begin = time.perf_counter()
        while (count := arrived()) < total:
            assert time.perf_counter() < deadline, f"stuck at {count} of {total}"
            time.sleep(look_every_s)
        return max(count - first, 1) / (time.perf_counter() - begin)


def upstream_records(scale, direction):
    """How many records rivven-connect is to move: none where a quick run cannot have it."""
    if not scale.quick:
        return UPSTREAM_RECORDS[direction]
    # The Kafka of a quick run is too new for its sink.
    return 20 if direction == "source" and upstream_is_cached() else 0


@pytest.mark.timeout(600)
def test_source_against_upstream(kafka, rivven, topic_name, tmp_path, scale):
    records = scale.records(64_000)
    origin = topic_name()
    create_topic(kafka.bootstrap, origin, SOURCE_PARTITIONS)
    with TopicWriter(kafka.bootstrap, origin, SOURCE_PARTITIONS) as writer:
        for partition in range(SOURCE_PARTITIONS):
            writer.write(partition, rows(partition, records // SOURCE_PARTITIONS))

    def measure(run, count, **options):
        target = topic_name()
        with closing(RivvenClient([rivven.bootstrap])) as client:
            client.create_topic(target, SOURCE_PARTITIONS)
            config = source_file(kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{target}", **options)

            def arrived():
                return sum(
                    client.offset_bounds(target, partition)[1] for partition in range(SOURCE_PARTITIONS)
                )

            # Each look is a request per partition.
            return arrival_rate(run(tmp_path, config, target), arrived, count, 0.02)

    by_partition = f"source, ordering: partition, {SOURCE_PARTITIONS} connections"
    by_key = f"source, ordering: key, {CONNECTIONS} connections"
    samples: dict[str, list[float]] = {UPSTREAM: [], by_partition: [], by_key: []}
    for _ in range(scale.rounds):
        if count := upstream_records(scale, "source"):
            samples[UPSTREAM].append(measure(rivven_connect, count))
        options = {"ordering": "partition", "connections": SOURCE_PARTITIONS}
        samples[by_partition].append(measure(Connector, records // 2, **options))
        options = {"ordering": "key", "connections": CONNECTIONS}
        samples[by_key].append(measure(Connector, records, **options))
    report(
        f"Kafka -> Rivven, {SOURCE_PARTITIONS} partitions",
        samples,
        {(by_partition, UPSTREAM): 200, (by_key, UPSTREAM): 450},
    )


@pytest.mark.timeout(600)
def test_sink_against_upstream(old_kafka, rivven, topic_name, tmp_path, scale):
    records = scale.records(160_000)
    origin = topic_name()
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(origin, SINK_PARTITIONS)
    with closing(Publisher([rivven.bootstrap], value_format="raw", connections=CONNECTIONS)) as publisher:
        publisher.add_route("raw", origin, SINK_PARTITIONS, CONNECTIONS // SINK_PARTITIONS)
        for partition in range(SINK_PARTITIONS):
            block = rows(partition, records // SINK_PARTITIONS)
            for start in range(0, len(block), 1000):
                publisher.submit(block_from_rows("raw", partition, block[start : start + 1000]))
        while publisher.in_flight_records():
            publisher.wait(100)

    def measure(run, count, **options):
        target = topic_name()
        create_topic(old_kafka.bootstrap, target, SINK_PARTITIONS)
        config = sink_file(old_kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{target}", **options)
        with EndOffsets(old_kafka.bootstrap, target) as ends:
            program = run(tmp_path, config, target)
            return arrival_rate(program, lambda: sum(ends.read().values()), count, 0.005)

    large = "sink, batch_size_bytes 262144"
    samples: dict[str, list[float]] = {UPSTREAM: [], "sink": [], large: []}
    for _ in range(scale.rounds):
        if count := upstream_records(scale, "sink"):
            samples[UPSTREAM].append(measure(rivven_connect, count))
        samples["sink"].append(measure(Connector, records))
        samples[large].append(measure(Connector, records, batch_size_bytes=262_144))
    report(
        f"Rivven -> Kafka {old_kafka.version}, {SINK_PARTITIONS} partitions",
        samples,
        {("sink", UPSTREAM): 1000},
    )


def report(title, samples, at_least):
    """Shows what was measured; without rivven-connect there is nothing to compare ours with."""
    rows = [(name, figures) for name, figures in samples.items() if figures]
    show("upstream", title, rows, at_least=at_least if samples[UPSTREAM] else None)
