"""A broker that crashes and comes back is found again by both connectors, without a restart of theirs."""

import time
from contextlib import closing

import pytest
from rivven_kafka._native import RivvenClient

from tests.support import KafkaBroker, RivvenBroker
from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, fill_rivven, kafka_values, rivven_ends, rivven_values
from tests.support.topics import committed_offsets, create_topic, end_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 8
# With pauses of 0.1 s that double, a broker that was away for a few seconds is tried again as late again.
RECOVERY_S = 30
COMMIT_INTERVAL_S = 0.1
# A commit starts when the loop comes round to it; the crash may take the commits of a whole interval more.
COMMIT_DELAY_S = 0.4


@pytest.fixture(scope="module")
def own_kafka():
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture(scope="module")
def own_rivven():
    with RivvenBroker() as broker:
        yield broker


# Without retries the pipeline fails at the first lost connection, and the process restarts it.
CRASHES = [("kafka", 10), ("rivvend", 10), ("rivvend", 0)]


def crash(broker, store, connector, by):
    """Kills the broker, starts it on what it left, and waits until `by` more records have moved.

    They have to be more than the connector can hold, or those that it had read before would pass for a recovery.
    """
    broker.kill()
    broker.restart()
    begin = time.monotonic()
    advance(store, by, connector, timeout=RECOVERY_S)
    print(f"{broker.name}: {by} records moved {time.monotonic() - begin:.1f} s after it was ready")
    assert connector.running, connector.log_tail()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("victim", "retries"), CRASHES)
def test_a_source_outlives_a_crash(own_kafka, own_rivven, topic_name, tmp_path, victim, retries):
    count, batch = 2_500, 25
    origin, copy = topic_name(), topic_name()
    fill_kafka(own_kafka.bootstrap, origin, PARTITIONS, count, padding=1_000)
    config = source_file(
        own_kafka.bootstrap,
        own_rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        auto_commit_interval_ms=int(COMMIT_INTERVAL_S * 1000),
        max_batch_records=batch,
        max_in_flight_bytes=1 << 20,
        # A fetch that is under way when the limit is reached comes on top of it.
        max_partition_fetch_bytes=65_536,
    )

    config["settings"] = {"retry": {"max_retries": retries}}

    def published():
        return sum(rivven_ends(own_rivven, copy, PARTITIONS))

    def complete():
        # Not by reading the records again and again: that would use up rivvend's quota.
        return (
            sum(committed_offsets(own_kafka.bootstrap, f"g-{origin}", origin).values()) == PARTITIONS * count
        )

    with Connector(tmp_path, config) as connector:
        advance(published, 2_000, connector)
        crash(own_kafka if victim == "kafka" else own_rivven, published, connector, by=3_000)
        wait_until(complete, 60, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
        assert ("restart in" in connector.log()) == (retries == 0)
    # At most 1.5 ms for a record of a connection, one for each partition.
    uncommitted = PARTITIONS / 0.0015 * (COMMIT_INTERVAL_S + COMMIT_DELAY_S)
    arrivals = Arrivals.of(rivven_values(own_rivven, copy, PARTITIONS), PARTITIONS, count)
    arrivals.check(int(PARTITIONS * batch + uncommitted))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("victim", "retries"), CRASHES)
def test_a_sink_outlives_a_crash(own_kafka, own_rivven, topic_name, tmp_path, victim, retries):
    count = 1_500
    origin, copy = topic_name(), topic_name()
    create_topic(own_kafka.bootstrap, copy, PARTITIONS)
    fill_rivven(own_rivven.bootstrap, origin, PARTITIONS, count, padding=2_000)
    # One record to a batch, and a part of the records under way: slow enough to be in the middle.
    config = sink_file(
        own_kafka.bootstrap,
        own_rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        batch_size_bytes=1,
        max_in_flight_bytes=1 << 20,
        commit_interval_ms=int(COMMIT_INTERVAL_S * 1000),
    )

    config["settings"] = {"retry": {"max_retries": retries}}

    def written():
        return sum(end_offsets(own_kafka.bootstrap, copy).values())

    def complete():
        values = written() >= PARTITIONS * count and kafka_values(own_kafka.bootstrap, copy)
        return values and not Arrivals.of(values, PARTITIONS, count).lost

    with Connector(tmp_path, config) as connector:
        advance(written, 500, connector)
        crash(own_kafka if victim == "kafka" else own_rivven, written, connector, by=3_000)
        wait_until(complete, 60, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
        assert ("restart in" in connector.log()) == (retries == 0)
    with closing(RivvenClient([own_rivven.bootstrap])) as client:
        committed = [client.committed_offset(f"g-{origin}", origin, number) for number in range(PARTITIONS)]
    assert committed == [count] * PARTITIONS, "the positions too have found their way"
    # One batch for each partition, and at most 4,000 records a second.
    uncommitted = 4_000 * (COMMIT_INTERVAL_S + COMMIT_DELAY_S)
    arrivals = Arrivals.of(kafka_values(own_kafka.bootstrap, copy), PARTITIONS, count)
    arrivals.check(int(PARTITIONS + uncommitted))
