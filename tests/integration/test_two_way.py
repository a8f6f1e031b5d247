"""Records that are copied in both directions reach every topic once, and come back to none."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import product

import pytest
from rivven_kafka._native import RivvenClient

from tests.integration.pipelines import Running
from tests.support import KafkaBroker
from tests.support.connector import wait_until
from tests.support.topics import Row, create_topic, fill, read_topic
from tests.support.two_way import (
    VIA,
    ToKafka,
    ToRivven,
    create_both,
    file_of,
    in_kafka,
    in_rivven,
    moves,
    sink_entry,
    source_entry,
)

pytestmark = pytest.mark.integration

PARTITIONS = 2
NOW = 1_760_000_000_000
AT_LEAST = 200


@pytest.fixture(scope="module")
def other_kafka() -> Iterator[KafkaBroker]:
    """A second Kafka cluster."""
    with KafkaBroker() as broker:
        yield broker


def test_programs_on_both_sides_see_each_record_once(kafka, rivven, topic_name):
    topic = topic_name()
    create_both(kafka.bootstrap, rivven.bootstrap, topic, PARTITIONS)
    source = source_entry(kafka.bootstrap, topic, topic, f"g-{topic}")
    sink = sink_entry(kafka.bootstrap, topic, topic, f"g-{topic}")
    with (
        Running(file_of(rivven.bootstrap, sources={"in": source})) as reading,
        Running(file_of(rivven.bootstrap, sinks={"out": sink})) as writing,
    ):
        here = ToKafka(kafka.bootstrap, topic, "kafka", PARTITIONS, 0.02).start()
        there = ToRivven(rivven.bootstrap, topic, "rivven", PARTITIONS, 0.02).start()
        wait_until(lambda: min(here.written, there.written) >= AT_LEAST, 30)
        made_here, made_there = here.finish(), there.finish()
        once = Counter(made_here | made_there)
        wait_until(lambda: in_kafka(kafka.bootstrap, topic) >= once, 30, writing.describe)
        wait_until(lambda: in_rivven(rivven, topic, PARTITIONS) >= once, 30, reading.describe)
        # Each has read to its end, with what the other one has brought.
        wait_until(lambda: reading.pipeline.echoes() == len(made_there), 10, reading.describe)
        wait_until(lambda: writing.pipeline.echoes() == len(made_here), 10, writing.describe)
        assert moves(kafka.bootstrap, rivven, topic, PARTITIONS, 1.0) == 0
    assert in_kafka(kafka.bootstrap, topic) == once
    assert in_rivven(rivven, topic, PARTITIONS) == once
    rows = [row for rows in read_topic(kafka.bootstrap, topic).values() for row in rows]
    marks = Counter(tuple(row.headers) for row in rows)
    assert marks == {
        (("own", b"1"),): len(made_here),
        ((VIA, f"rivven:middle/{topic}".encode()),): len(made_there),
    }


@pytest.mark.symptom("Two links in both directions feed each other.")
def test_without_protection_a_record_goes_round(kafka, rivven, topic_name):
    topic = topic_name()
    create_both(kafka.bootstrap, rivven.bootstrap, topic, 1)
    source = source_entry(kafka.bootstrap, topic, topic, f"g-{topic}") | {"loop_protection": False}
    sink = sink_entry(kafka.bootstrap, topic, topic, f"g-{topic}", value_format="event") | {
        "loop_protection": False
    }
    fill(kafka.bootstrap, topic, {0: [Row(NOW, None, b"#kafka:0#", [])]})
    with (
        Running(file_of(rivven.bootstrap, sources={"in": source})),
        Running(file_of(rivven.bootstrap, sinks={"out": sink})),
    ):
        wait_until(lambda: in_kafka(kafka.bootstrap, topic)["kafka:0"] > 5, 30)


def test_two_clusters_with_one_topic_share_their_records(kafka, other_kafka, rivven, topic_name):
    """Kafka A <-> Rivven <-> Kafka B, all under the same name of the topic."""
    topic = topic_name()
    clusters = {"a": kafka.bootstrap, "b": other_kafka.bootstrap}
    sources = {name: source_entry(at, topic, topic, f"g-{topic}") for name, at in clusters.items()}
    sinks = {
        name: sink_entry(at, topic, topic, f"g-{topic}-{name}", value_format="event")
        for name, at in clusters.items()
    }
    rows = {}
    for name, bootstrap in clusters.items():
        create_topic(bootstrap, topic, PARTITIONS)
        rows[name] = {partition: awkward(name, partition) for partition in range(PARTITIONS)}
        fill(bootstrap, topic, rows[name])
    with ExitStack() as stack:
        running = [
            *(
                stack.enter_context(Running(file_of(rivven.bootstrap, sources={n: e})))
                for n, e in sources.items()
            ),
            *(
                stack.enter_context(Running(file_of(rivven.bootstrap, sinks={n: e})))
                for n, e in sinks.items()
            ),
        ]
        half = len(awkward("a", 0)) * PARTITIONS

        def arrived():
            return all(sum(map(len, read_topic(at, topic).values())) >= 2 * half for at in clusters.values())

        wait_until(arrived, 60, lambda: str([each.describe() for each in running]))
        wait_until(lambda: [each.pipeline.echoes() for each in running] == [half] * 4, 10)
        assert all(moves(at, rivven, topic, PARTITIONS, 0.5) == 0 for at in clusters.values())
    for (name, at), partition in product(clusters.items(), range(PARTITIONS)):
        found = read_topic(at, topic)[partition]
        assert [row for row in found if not copied(row)] == rows[name][partition]
        [other] = set(clusters) - {name}
        others = [row for row in found if copied(row)]
        assert [row._replace(headers=row.headers[:-1]) for row in others] == rows[other][partition]
        [mark] = {row.headers[-1][1].decode() for row in others}
        assert re.fullmatch(rf"kafka:[\w-]+/{topic},rivven:middle/{topic}", mark)


def test_a_ring_of_four_topics_ends_where_it_began(kafka, other_kafka, rivven, topic_name):
    """A -> Rivven -> B -> another Rivven topic -> A: only the last step refuses."""
    origin, far, there, back = (topic_name() for _ in range(4))
    create_topic(kafka.bootstrap, origin, 1)
    create_topic(other_kafka.bootstrap, far, 1)
    rows = awkward("ring", 0)
    fill(kafka.bootstrap, origin, {0: rows})
    entries = [
        {"sources": {"1": source_entry(kafka.bootstrap, origin, there, f"g-{origin}")}},
        {"sinks": {"2": sink_entry(other_kafka.bootstrap, there, far, f"g-{there}", value_format="event")}},
        {"sources": {"3": source_entry(other_kafka.bootstrap, far, back, f"g-{far}")}},
        {"sinks": {"4": sink_entry(kafka.bootstrap, back, origin, f"g-{back}", value_format="event")}},
    ]
    with ExitStack() as stack:
        running = [stack.enter_context(Running(file_of(rivven.bootstrap, **entry))) for entry in entries]
        wait_until(lambda: running[3].pipeline.echoes() == len(rows), 30, running[3].describe)
    assert [each.pipeline.echoes() for each in running] == [0, 0, 0, len(rows)]
    assert read_topic(kafka.bootstrap, origin) == {0: rows}
    [far_rows] = read_topic(other_kafka.bootstrap, far).values()
    assert [row._replace(headers=row.headers[:-1]) for row in far_rows] == rows


def test_a_record_that_has_been_in_too_many_topics_is_a_bad_record(kafka, rivven, topic_name):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    mark = ",".join(f"kafka:far/t{number}" for number in range(16)).encode()
    rows = [Row(NOW, None, b"long", [(VIA, mark)]), Row(NOW, None, b"short", [])]
    fill(kafka.bootstrap, topic, {0: rows})
    entry = source_entry(kafka.bootstrap, topic, topic, f"g-{topic}", on_error="skip")
    with Running(file_of(rivven.bootstrap, sources={"in": entry})) as running:
        wait_until(lambda: running.pipeline.delivered() == 1, 30, running.describe)
        wait_until(lambda: running.pipeline.metrics.snapshot().errors == 1, 10)
    with closing(RivvenClient([rivven.bootstrap])) as client:
        assert client.offset_bounds(topic, 0)[1] == 1


def copied(row: Row) -> bool:
    """Whether the record has the mark of a connector."""
    name, value = row.headers[-1] if row.headers else ("", None)
    return name == VIA and (value or b"").startswith(b"kafka:")


def awkward(name: str, partition: int) -> list[Row]:
    """Records that are not easy to restore."""
    values = [b"#%s:%d#" % (name.encode(), partition), None, b"", b"null", b"\xff\x00", b' {"a": 1, "a": 2} ']
    headers = [[], [("a", b"1"), ("a", None)], [("b", b"\xff")], [(VIA, b"not a mark")], [(VIA, None)], []]
    return [
        Row(NOW + number, b"k", value, each)
        for number, (value, each) in enumerate(zip(values, headers, strict=True))
    ]
