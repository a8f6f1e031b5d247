"""Processes that come and go share the partitions, and nothing is lost on the way."""

import re
from itertools import chain

import pytest

from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, fill_rivven, kafka_values, rivven_ends, rivven_values
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.integration

PARTITIONS = 8

# Few large records under way keep a handover short.
SINK = {
    "batch_size_bytes": 1,
    "max_in_flight_bytes": 1 << 20,
    "session_timeout_ms": 2_000,
    "heartbeat_interval_ms": 100,
}
PADDING = 2_000
# Slow enough for the others to arrive in the middle, on a busy machine too.
SINK_RATE = 500
SINK_COUNT = 750


def slow_sink(kafka, rivven, origin, copy, **options):
    """A configuration with one sink, whose rate is limited."""
    config = sink_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", **SINK | options)
    config["sinks"]["out"]["rate_limit"] = {"events_per_second": SINK_RATE, "burst_capacity": 50}
    return config


def source_assignments(connector):
    """The partitions of each assignment that the source logged."""
    lists = re.findall(r"assigned partitions \[([\d, ]*)\]", connector.log())
    return [[int(number) for number in numbers.split(",") if number.strip()] for numbers in lists]


def sink_assignments(connector):
    """The partitions of each assignment that the sink logged."""
    lists = re.findall(r"INFO assigned \[(.*)\]", connector.log())
    return [[int(number) for number in re.findall(r":(\d+)@", text)] for text in lists]


def owned(assignments, *connectors):
    """The partitions that the connectors have at present, one list for each."""
    return [(assignments(connector) or [[]])[-1] for connector in connectors]


def shared(assignments, *connectors):
    """Whether each connector has some partitions and all together have each of them once."""
    lists = owned(assignments, *connectors)
    return all(lists) and sorted(chain.from_iterable(lists)) == list(range(PARTITIONS))


def logs(*connectors):
    return lambda: "\n\n".join(connector.log_tail() for connector in connectors)


@pytest.mark.timeout(120)
def test_a_second_source_joins_and_leaves(kafka, rivven, topic_name, tmp_path):
    count, batch = 2_500, 25
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, count)
    config = source_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        max_batch_records=batch,
        heartbeat_interval_ms=200,
    )
    first, second = (Connector(tmp_path, config, name) for name in ("first", "second"))

    def published():
        return sum(rivven_ends(rivven, copy, PARTITIONS))

    with first, second:
        wait_until(lambda: shared(source_assignments, first, second), 30, logs(first, second))
        assert published() < PARTITIONS * count // 2, "the second one came in the middle"
        advance(published, 1_000, first, second)
        assert second.stop() == 0, second.log_tail()
        assert published() < PARTITIONS * count, "the second one left in the middle"
        wait_until(lambda: shared(source_assignments, first), 30, first.log_tail)
        wait_until(lambda: published() >= PARTITIONS * count, 60, first.log_tail)
        assert first.stop() == 0, first.log_tail()
    arrivals = Arrivals.of(rivven_values(rivven, copy, PARTITIONS), PARTITIONS, count)
    # Every handover waits for what is on the wire and commits it.
    arrivals.check(most_duplicates=0)


@pytest.mark.timeout(120)
def test_three_sinks_come_and_go(kafka, rivven, topic_name, tmp_path):
    count = SINK_COUNT
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, count, PADDING)
    # Nobody dies here: a session that ended on a busy machine would be another test.
    config = slow_sink(kafka, rivven, origin, copy, session_timeout_ms=20_000)
    first, second, third = (Connector(tmp_path, config, name) for name in ("first", "second", "third"))

    def written():
        return sum(end_offsets(kafka.bootstrap, copy).values())

    with first, second, third:
        wait_until(lambda: shared(sink_assignments, first, second, third), 30, logs(first, second, third))
        assert written() < PARTITIONS * count, "all three came in the middle"
        assert second.stop() == 0, second.log_tail()
        wait_until(lambda: shared(sink_assignments, first, third), 30, logs(first, third))
        assert written() < PARTITIONS * count, "the second one left in the middle"
        wait_until(lambda: written() >= PARTITIONS * count, 60, logs(first, third))
        assert (first.stop(), third.stop()) == (0, 0), logs(first, third)()
    arrivals = Arrivals.of(kafka_values(kafka.bootstrap, copy), PARTITIONS, count)
    arrivals.check(most_duplicates=0)


@pytest.mark.timeout(120)
def test_sinks_with_transactions_hand_over_without_fencing_each_other(kafka, rivven, topic_name, tmp_path):
    """rivvend assigns partitions to the new before the old have noticed: they get the time to let go."""
    count = SINK_COUNT
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, count, PADDING)

    def connector(name):
        options = {"transactional_id": f"{name}-{copy}", "session_timeout_ms": 20_000}
        return Connector(tmp_path, slow_sink(kafka, rivven, origin, copy, **options), name)

    def committed():
        return kafka_values(kafka.bootstrap, copy, "read_committed")

    def complete():
        # Some of these offsets are ends of transactions.
        written = sum(end_offsets(kafka.bootstrap, copy).values())
        return written >= PARTITIONS * count and sum(map(len, committed().values())) == PARTITIONS * count

    first, second, third = members = [connector(name) for name in ("first", "second", "third")]
    with first, second, third:
        wait_until(lambda: shared(sink_assignments, *members), 30, logs(*members))
        assert second.stop() == 0, second.log_tail()
        wait_until(lambda: shared(sink_assignments, first, third), 30, logs(first, third))
        wait_until(complete, 60, logs(first, third))
        assert (first.stop(), third.stop()) == (0, 0), logs(first, third)()
    assert not any("stopped:" in each.log() for each in members), logs(*members)()
    Arrivals.of(committed(), PARTITIONS, count).check(most_duplicates=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", ["first", "second"])
def test_the_others_take_over_from_a_sink_that_is_killed(kafka, rivven, topic_name, tmp_path, victim):
    """The first sink leads the group: the leader's death must not be special."""
    count = SINK_COUNT
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, count, PADDING)
    config = slow_sink(kafka, rivven, origin, copy)
    first, second = (Connector(tmp_path, config, name) for name in ("first", "second"))

    def written():
        return sum(end_offsets(kafka.bootstrap, copy).values())

    def complete():
        values = written() >= PARTITIONS * count and kafka_values(kafka.bootstrap, copy)
        return values and not Arrivals.of(values, PARTITIONS, count).lost

    with first:
        wait_until(lambda: shared(sink_assignments, first), 30, first.log_tail)
        with second:
            wait_until(lambda: shared(sink_assignments, first, second), 30, logs(first, second))
            assert written() < PARTITIONS * count, "both were there in the middle"
            killed, survivor = (first, second) if victim == "first" else (second, first)
            killed.kill()
            wait_until(lambda: shared(sink_assignments, survivor), 30, survivor.log_tail)
            wait_until(complete, 60, survivor.log_tail)
            assert survivor.stop() == 0, survivor.log_tail()
    arrivals = Arrivals.of(kafka_values(kafka.bootstrap, copy), PARTITIONS, count)
    # What one sink writes in a second: the commit interval of 0.1 s, and what a commit takes on a busy machine.
    arrivals.check(most_duplicates=SINK_RATE + 50)
