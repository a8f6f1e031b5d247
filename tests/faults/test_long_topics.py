"""Topics that are made anew, grow, are cut off at the front, are compacted, or hold aborted transactions."""

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from tests.support import KafkaBroker
from tests.support.connector import wait_until
from tests.support.manual import Manual
from tests.support.numbered import kafka_values, place_of
from tests.support.scenario import COMBINATIONS, PADDING
from tests.support.topics import committed_offsets, create_topic, end_offsets
from tests.support.transactional_writer import TransactionalWriter

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]

PARTITIONS = 8
SOURCES = [each for each in COMBINATIONS if each[0] == "source"]
SINKS = [each for each in COMBINATIONS if each[0] == "sink"]
REFRESH_MS = 500
COMPACTING = {
    "cleanup.policy": "compact",
    "segment.ms": 500,
    "min.cleanable.dirty.ratio": 0.01,
    "max.compaction.lag.ms": 100,
}


def forms(combinations):
    """Records in each partition, in each of the two or three steps of a test, and the combinations.

    The strongest guarantee has a short form.
    """
    return pytest.mark.parametrize(
        ("each", "direction", "guarantee"),
        [
            pytest.param(200, *combinations[-1], id="-".join(combinations[-1]) + "-short"),
            *(
                pytest.param(2_000, *each, id="-".join(each) + "-long", marks=pytest.mark.long)
                for each in combinations
            ),
        ],
    )


@pytest.fixture
def manual(patient_kafka, rivven, new_flow):
    return lambda direction, guarantee, what: Manual(
        new_flow(direction, guarantee, patient_kafka, rivven, what=what)
    )


def refreshed(flow, **options):
    """A connector that soon sees what becomes of its topics."""
    return flow.connector(
        broker={"metadata_refresh_ms": REFRESH_MS},
        kafka_options={"metadata_max_age_ms": REFRESH_MS},
        **options,
    )


@forms(SINKS)
def test_the_kafka_topic_of_a_sink_is_made_anew(manual, each, direction, guarantee):
    hand = manual(direction, guarantee, "Kafka topic of a sink made anew")
    flow = hand.flow
    with flow.connector() as connector:
        hand.write(range(each))
        hand.wait_complete()
        with hand.admin as admin:
            admin.delete_topics([flow.copy])
            # What the old topic held is gone with it.
            hand.expected = {number: [] for number in range(PARTITIONS)}
            hand.write(range(each, 2 * each))
            wait_until(lambda: flow.copy not in admin.list_topics(), 10)
        create_topic(flow.kafka.bootstrap, flow.copy, PARTITIONS)
        hand.write(range(2 * each, 3 * each))
        hand.finish(connector)


@pytest.mark.long
@pytest.mark.parametrize(("direction", "guarantee"), [SOURCES[0], SINKS[0]])
def test_a_topic_that_was_deleted_stays_away(rivven, new_flow, direction, guarantee):
    with KafkaBroker(properties={"auto.create.topics.enable": "true"}) as kafka:
        hand = Manual(new_flow(direction, guarantee, kafka, rivven, what="Kafka topic deleted"))
        flow = hand.flow
        with refreshed(flow) as connector, hand.admin as admin:
            hand.write(range(200))
            hand.finish(connector)
            connector.start()
            wait_until(lambda: connector.log().count("INFO assigned") == 2, 30, connector.log_tail)
            topic = flow.origin if flow.is_source else flow.copy
            admin.delete_topics([topic])
            flow.watch(3 * REFRESH_MS / 1000)
            assert topic not in admin.list_topics()
            assert connector.running, connector.log_tail()


@forms(SINKS)
def test_the_rivven_topic_of_a_sink_is_made_anew(manual, each, direction, guarantee):
    hand = manual(direction, guarantee, "Rivven topic of a sink made anew")
    flow = hand.flow
    with refreshed(flow) as connector:
        hand.write(range(each))
        hand.wait_complete()
        with hand.wire as wire:
            wire.delete_topic(flow.origin)
            flow.watch(2)
            # With its old records, which must not come again.
            wire.create_topic(flow.origin, PARTITIONS)
            assert wire.offset_bounds(flow.origin) == (0, each)
        hand.write(range(each, 2 * each))
        hand.finish(connector)


@forms(SOURCES)
def test_the_rivven_topic_of_a_source_is_made_anew(manual, each, direction, guarantee):
    hand = manual(direction, guarantee, "Rivven topic of a source made anew")
    flow = hand.flow
    with refreshed(flow) as connector:
        hand.write(range(each))
        hand.wait_complete()
        with hand.wire as wire:
            wire.delete_topic(flow.copy)
            # rivvend makes the topic by itself for the first record, with 3 partitions.
            hand.write(range(each, 2 * each))
            wait_until(lambda: not connector.running, 30, connector.log_tail)
            assert "has 3 partitions and Kafka topic" in connector.log(), connector.log_tail()
            wire.create_partitions(flow.copy, PARTITIONS)
        connector.start()
        hand.write(range(2 * each, 3 * each))
        hand.finish(connector, allowed=each * PARTITIONS)


@forms(SINKS)
def test_the_rivven_topic_of_a_sink_grows(manual, each, direction, guarantee):
    hand = manual(direction, guarantee, "Rivven topic of a sink grows")
    flow = hand.flow
    with refreshed(flow, partitioning="preserve") as connector:
        hand.write(range(each))
        hand.wait_complete()
        with hand.admin as admin:
            admin.create_partitions({flow.copy: 12})
        with hand.wire as wire:
            wire.create_partitions(flow.origin, 12)
        hand.write(range(each), range(8, 12))
        hand.write(range(each, 2 * each))
        hand.finish(connector)


# How long the topic is away (s): the source may or may not see it go.
@pytest.mark.parametrize("away", [0, 0.5, 3])
@forms(SOURCES)
def test_the_kafka_topic_of_a_source_is_made_anew(manual, each, direction, guarantee, away):
    hand = manual(direction, guarantee, f"Kafka topic of a source made anew after {away} s")
    flow = hand.flow
    with flow.connector() as connector:
        hand.write(range(each))
        hand.wait_complete()
        with hand.admin as admin:
            admin.delete_topics([flow.origin])
            wait_until(lambda: flow.origin not in admin.list_topics(), 10)
        flow.watch(away)
        create_topic(flow.kafka.bootstrap, flow.origin, PARTITIONS)
        # More than the old topic had, so that an old position would be one of the new topic, too.
        hand.write(range(each, 3 * each))
        hand.finish(connector)


@pytest.mark.parametrize("first", ["rivven", "kafka"])
@forms(SOURCES)
def test_the_kafka_topic_of_a_source_grows(manual, each, direction, guarantee, first):
    hand = manual(direction, guarantee, f"Kafka topic of a source grows, {first} first")
    flow = hand.flow
    with refreshed(flow) as connector, hand.admin as admin, hand.wire as wire:
        hand.write(range(each))
        hand.wait_complete()
        if first == "rivven":
            wire.create_partitions(flow.copy, 12)
        admin.create_partitions({flow.origin: 12})
        hand.write(range(each), range(8, 12))
        hand.write(range(each, 2 * each))
        if first == "kafka":
            wait_until(lambda: not connector.running, 20, connector.log_tail)
            assert connector.wait() == 1
            assert "has 8 partitions and Kafka topic" in connector.log(), connector.log_tail()
            wire.create_partitions(flow.copy, 12)
            connector.start()
        hand.finish(connector, allowed=each * 12)


@forms(SOURCES)
def test_kafka_deletes_records_that_a_source_has_not_read(manual, each, direction, guarantee):
    hand = manual(direction, guarantee, "Kafka deletes unread records of a source")
    flow = hand.flow
    gone = each // 2
    with flow.connector() as connector:
        hand.write(range(each))
        hand.wait_complete()
        assert connector.stop() == 0
        assert committed_offsets(flow.kafka.bootstrap, flow.group, flow.origin) == dict.fromkeys(
            range(8), each
        )
        hand.write(range(each, 2 * each))
        with hand.admin as admin:
            admin.delete_records({TopicPartition(flow.origin, number): each + gone for number in range(8)})
        hand.expected = {n: [*range(each), *range(each + gone, 2 * each)] for n in range(8)}
        connector.start()
        hand.write(range(2 * each, 3 * each))
        hand.finish(connector)
    told = [line for line in connector.log().splitlines() if "does not hold the position any more" in line]
    assert len(told) == 8, connector.log_tail()
    assert all(f"offset={each}" in line for line in told), told


@forms(SINKS)
def test_rivven_deletes_records_that_a_sink_has_not_read(manual, each, direction, guarantee):
    hand = manual(direction, guarantee, "Rivven deletes unread records of a sink")
    flow = hand.flow
    gone = each // 2
    with flow.connector() as connector:
        hand.write(range(each))
        hand.wait_complete()
        assert connector.stop() == 0
        hand.write(range(each, 2 * each))
        with hand.wire as wire:
            wire.delete_records(flow.origin, dict.fromkeys(range(8), each + gone))
        hand.expected = {n: [*range(each), *range(each + gone, 2 * each)] for n in range(8)}
        connector.start()
        hand.write(range(2 * each, 3 * each))
        hand.finish(connector)
    assert connector.log().count(f"Rivven has deleted {gone} records that were not read") == 8


@pytest.mark.parametrize(
    ("crashes", "count"),
    [pytest.param(0, 4_000, id="short"), pytest.param(3, 30_000, id="long", marks=pytest.mark.long)],
)
@pytest.mark.parametrize(("direction", "guarantee"), SOURCES)
def test_a_source_reads_what_was_committed(
    patient_kafka, rivven, new_flow, crashes, count, direction, guarantee
):
    what = f"transactions, aborted and open, {crashes} kills"
    flow = new_flow(direction, guarantee, patient_kafka, rivven, what=what, count=count)
    writer = TransactionalWriter(flow.writer, patient_kafka.bootstrap, flow.origin, flow.chance, PADDING)
    flow.writer = writer
    connector = flow.connector(isolation_level="read_committed")
    flow.start(connector)
    for _ in range(max(crashes, 1)):
        flow.advance(flow.chance.randrange(1, 1_000))
        with flow.fault("open transaction"):
            writer.hold_open()
            if crashes:
                connector.kill()
                connector.start()
            flow.watch(3)
            writer.go_on()
        flow.recover()
    flow.finish(connector).check()
    assert writer.aborted > 5


@pytest.mark.long
@pytest.mark.parametrize(("direction", "guarantee"), SOURCES)
def test_the_kafka_topic_of_a_source_is_compacted(rivven, new_flow, direction, guarantee):
    with KafkaBroker(properties={"log.cleaner.backoff.ms": 200}) as kafka:
        hand = Manual(new_flow(direction, guarantee, kafka, rivven, what="Kafka topic compacted"))
        flow, each = hand.flow, 1_500

        def configure(admin, configs):
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, flow.origin, configs)])

        def left():
            values = kafka_values(kafka.bootstrap, flow.origin)
            return {n: [place_of(value)[1] for value in values[n]] for n in values}

        with flow.connector() as connector, hand.admin as admin:
            configure(admin, COMPACTING)
            hand.write(range(each), keys=each)
            hand.wait_complete()
            assert connector.stop() == 0
            for step in range(1, 4):
                hand.write(range(step * each, (step + 1) * each), keys=each)
            # The last segment is never compacted.
            wait_until(lambda: all(len(numbers) <= 2 * each for numbers in left().values()), 60)
            configure(admin, {"cleanup.policy": "delete"})
            flow.watch(1)
            hand.expected = {n: [*range(each), *numbers] for n, numbers in left().items()}
            connector.start()
            hand.finish(connector)
        ends = end_offsets(kafka.bootstrap, flow.origin)
        assert set(ends.values()) == {4 * each}
        assert committed_offsets(kafka.bootstrap, flow.group, flow.origin) == ends
