"""Exactly once, whoever is killed: readers of committed records see each of them once and in order."""

import random
import re
import signal
import time
from contextlib import closing
from itertools import chain

import pytest
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows

from tests.support import KafkaBroker, RivvenBroker
from tests.support.connector import Connector, advance, sink_file, wait_until
from tests.support.numbered import Arrivals, fill_rivven, kafka_values, numbered
from tests.support.topics import committed_offsets, create_topic, end_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 8
# One record to a batch and little under way: slow enough for the faults to fall in the middle.
SLOW = {
    "batch_size_bytes": 1,
    "max_in_flight_bytes": 1 << 20,
    "transaction_interval_ms": 20,
    # Rivven's group stays far behind: only the positions in Kafka can be exact.
    "commit_interval_ms": 60_000,
    "session_timeout_ms": 2_000,
    "heartbeat_interval_ms": 100,
}
PADDING = 2_000


class Pipe:
    """A Rivven topic of numbered records, and the Kafka topic that sinks with transactions fill from it."""

    def __init__(self, kafka, rivven, origin, copy, count):
        self.kafka, self.rivven, self.origin, self.copy, self.count = kafka, rivven, origin, copy, count
        create_topic(kafka.bootstrap, copy, PARTITIONS)

    def connector(self, directory, name="only"):
        config = sink_file(
            self.kafka.bootstrap,
            self.rivven.bootstrap,
            self.origin,
            self.copy,
            f"g-{self.origin}",
            transactional_id=f"{name}-{self.copy}",
            **SLOW,
        )
        return Connector(directory, config, name)

    def written(self):
        """Records in Kafka, aborted ones and the ends of transactions too."""
        return sum(end_offsets(self.kafka.bootstrap, self.copy).values())

    def committed(self):
        """Records up to the positions in Kafka."""
        group = f"rivven-kafka:g-{self.origin}:{self.origin}"
        return sum(committed_offsets(self.kafka.bootstrap, group, self.copy).values())

    def arrivals(self):
        values = kafka_values(self.kafka.bootstrap, self.copy, "read_committed")
        return Arrivals.of(values, PARTITIONS, self.count)

    def wait_complete(self, *connectors):
        def complete():
            if not all(connector.running for connector in connectors):
                return True
            return self.written() >= PARTITIONS * self.count and not self.arrivals().lost

        wait_until(complete, 90, lambda: "\n\n".join(each.log_tail() for each in connectors))

    def check_some(self):
        """What is there now is right, and not all of it is."""
        arrivals = self.arrivals()
        assert arrivals.lost, "in the middle"
        assert (arrivals.duplicates, arrivals.overtaken, arrivals.strayed) == (0, [], [])


def assigned(connector):
    """The partitions of the last assignment that the sink logged."""
    lists = re.findall(r"INFO assigned \[(.*)\]", connector.log())
    return sorted(int(number) for number in re.findall(r":(\d+)@", lists[-1])) if lists else []


def shared(*connectors):
    lists = [assigned(connector) for connector in connectors]
    return all(lists) and sorted(chain.from_iterable(lists)) == list(range(PARTITIONS))


@pytest.mark.timeout(180)
def test_kills_of_the_sink_while_records_are_added(kafka, rivven, topic_name, tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    count, kills = 2_500, 6
    pipe = Pipe(kafka, rivven, topic_name(), topic_name(), count)
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(pipe.origin, PARTITIONS)
    publisher = Publisher([rivven.bootstrap], value_format="raw")
    publisher.add_route("numbers", pipe.origin, PARTITIONS)
    part = count // (kills + 1)

    def add(first, end):
        """More for each round than it waits for: the sink is quick, and would be through before the last kill."""
        for partition in range(PARTITIONS):
            publisher.submit(block_from_rows("numbers", partition, numbered(partition, range(first, end))))

    connector = pipe.connector(tmp_path)
    for number in range(kills):
        add(number * part, (number + 1) * part)
        with connector:
            # Some transactions are committed, and the next one has begun.
            advance(pipe.committed, chance.randrange(1, PARTITIONS * part // 2), connector)
            time.sleep(chance.uniform(0.0, 0.1))
            assert connector.running, connector.log_tail()
            connector.kill()
        pipe.check_some()
    add(kills * part, count)
    with connector:
        pipe.wait_complete(connector)
        assert connector.stop() == 0, connector.log_tail()
    assert publisher.close(120_000), publisher.error()
    pipe.arrivals().check(most_duplicates=0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", ["first", "second"])
def test_the_other_sink_takes_over_from_one_that_is_killed(kafka, rivven, topic_name, tmp_path, victim):
    pipe = Pipe(kafka, rivven, topic_name(), topic_name(), 1_500)
    fill_rivven(rivven.bootstrap, pipe.origin, PARTITIONS, pipe.count, PADDING)
    first, second = pipe.connector(tmp_path, "first"), pipe.connector(tmp_path, "second")
    with first:
        wait_until(lambda: shared(first), 30, first.log_tail)
        with second:
            wait_until(lambda: shared(first, second), 30, second.log_tail)
            pipe.check_some()
            killed, survivor = (first, second) if victim == "first" else (second, first)
            killed.kill()
            wait_until(lambda: shared(survivor), 30, survivor.log_tail)
            pipe.wait_complete(survivor)
            assert survivor.stop() == 0, survivor.log_tail()
    pipe.arrivals().check(most_duplicates=0)


@pytest.mark.timeout(120)
def test_a_sink_that_was_frozen_adds_nothing_to_what_its_successor_wrote(kafka, rivven, topic_name, tmp_path):
    pipe = Pipe(kafka, rivven, topic_name(), topic_name(), 1_500)
    fill_rivven(rivven.bootstrap, pipe.origin, PARTITIONS, pipe.count, PADDING)
    first, second = pipe.connector(tmp_path, "first"), pipe.connector(tmp_path, "second")
    with first:
        advance(pipe.written, 500, first)
        first.send(signal.SIGSTOP)
        pipe.check_some()
        with second:
            wait_until(lambda: shared(second), 30, second.log_tail)
            advance(pipe.written, 500, second)
            first.send(signal.SIGCONT)
            wait_until(lambda: "another process uses transactional_id" in first.log(), 30, first.log_tail)
            pipe.wait_complete(first, second)
            assert (first.stop(), second.stop()) == (0, 0), first.log_tail() + second.log_tail()
    pipe.arrivals().check(most_duplicates=0)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", ["kafka", "rivvend"])
def test_crashes_of_a_broker(topic_name, tmp_path, victim):
    with KafkaBroker() as kafka, RivvenBroker() as rivven:
        pipe = Pipe(kafka, rivven, topic_name(), topic_name(), 700)
        fill_rivven(rivven.bootstrap, pipe.origin, PARTITIONS, pipe.count, PADDING)
        with pipe.connector(tmp_path) as connector:
            for _ in range(2):
                advance(pipe.written, 700, connector)
                broker = kafka if victim == "kafka" else rivven
                broker.kill()
                broker.restart()
            pipe.wait_complete(connector)
            assert connector.stop() == 0, connector.log_tail()
        pipe.arrivals().check(most_duplicates=0)
