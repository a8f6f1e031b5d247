"""Each counter is moved by what really happens, and by nothing else."""

from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from rivven_kafka import KafkaSource
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import DeliveryError, EventFormatError, RivvenKafkaError, TimeoutExpired

from tests.integration.pipelines import Running
from tests.support import KafkaBroker
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.numbered import fill_rivven, numbered
from tests.support.topics import TopicWriter, committed_offsets, create_topic, end_offsets

pytestmark = pytest.mark.integration

TOMBSTONE = (0, b"k", None, [])


class Origin:
    """A Kafka topic, and the sources that read it."""

    def __init__(self, kafka, rivven, topic_name, partitions=1):
        self.kafka = kafka.bootstrap
        self.topic, self.copy = topic_name(), topic_name()
        self.group = f"g-{self.topic}"
        self._rivven = rivven.bootstrap
        self.partitions = partitions
        create_topic(self.kafka, self.topic, partitions)

    def write(self, *rows, partition=0):
        with TopicWriter(self.kafka, self.topic, self.partitions) as writer:
            writer.write(partition, rows)

    def source(self, **config):
        return Running(source_file(self.kafka, self._rivven, self.topic, self.copy, self.group, **config))

    def committed(self):
        return sum(committed_offsets(self.kafka, self.group, self.topic).values())


class Destination:
    """A Rivven topic of one partition, and the sinks that read it."""

    def __init__(self, kafka, rivven, topic_name, **configs):
        self.kafka = kafka.bootstrap
        self.topic, self.copy = topic_name(), topic_name()
        self._rivven = rivven.bootstrap
        create_topic(self.kafka, self.copy, 1, **configs)
        with closing(RivvenClient([self._rivven])) as client:
            client.create_topic(self.topic, 1)

    def publish(self, *values):
        with closing(RivvenClient([self._rivven])) as client:
            client.publish(self.topic, 0, [(None, value) for value in values])

    def sink(self, **config):
        options = {"include_headers": False, **config}
        return Running(
            sink_file(self.kafka, self._rivven, self.topic, self.copy, f"g-{self.topic}", **options)
        )


@pytest.fixture
def origin(kafka, rivven, topic_name):
    return Origin(kafka, rivven, topic_name)


@pytest.fixture
def destination(kafka, rivven, topic_name):
    return Destination(kafka, rivven, topic_name)


def now(running):
    return running.pipeline.metrics.snapshot()


def wait_for(running, condition):
    """Waits until the counters meet `condition`."""
    wait_until(
        lambda: condition(now(running)) or running.error is not None,
        60,
        lambda: f"{running.describe()}, {now(running)}",
    )
    assert running.error is None


def test_messages_bytes_and_polls_of_a_source(origin):
    rows = numbered(0, range(75), padding=100)
    origin.write(*rows[:70])
    with origin.source(max_poll_records=50, empty_poll_delay_ms=20, auto_commit_interval_ms=50) as running:
        wait_for(running, lambda seen: seen.messages_consumed == 70 and seen.commits)
        origin.write(*rows[70:])
        wait_for(running, lambda seen: seen.messages_consumed == 75 and seen.empty_polls > 5)
        wait_until(lambda: origin.committed() == 75, 30, running.describe)
    seen = now(running)
    assert (seen.messages_consumed, seen.batch_size_sum) == (75, 75)
    values = sum(len(value) for _, _, value, _ in rows)
    assert values < seen.bytes_consumed < 2 * values
    # 50 and 20 of one fetch, then 5.
    assert (seen.min_batch_size, seen.max_batch_size, seen.batch_count) == (5, 50, 3)
    assert (seen.avg_batch_size(), seen.rate(5)) == (25.0, 15.0)
    assert seen.polls == seen.empty_polls + seen.batch_count
    assert 0.5 < seen.empty_poll_rate() < 1
    assert (seen.errors, seen.commit_failures, seen.rebalances) == (0, 0, 1)
    assert running.pipeline.delivered() == 75


def test_a_source_in_a_program_counts_too(origin):
    rows = numbered(0, range(20), padding=100)
    origin.write(*rows)
    source = KafkaSource(
        brokers=origin.kafka, topic=origin.topic, consumer_group=origin.group, empty_poll_delay_ms=20
    )
    with source.read() as events:
        first = next(events)
        assert (first.offset, source.metrics.snapshot().messages_consumed) == (0, 20)
    seen = source.metrics.snapshot()
    assert sum(len(value) for _, _, value, _ in rows) < seen.bytes_consumed
    assert (seen.min_batch_size, seen.max_batch_size, seen.polls - seen.empty_polls) == (20, 20, 1)
    assert (seen.commits, seen.commit_failures, seen.rebalances, seen.errors) == (1, 0, 1, 0)
    assert origin.committed() == 1


def test_an_idle_source(origin):
    with origin.source(empty_poll_delay_ms=20) as running:
        wait_for(running, lambda seen: seen.polls > 5 and seen.rebalances)
    seen = now(running)
    assert seen.polls == seen.empty_polls
    assert seen.empty_poll_rate() == 1.0
    assert (seen.messages_consumed, seen.bytes_consumed, seen.commits) == (0, 0, 0)
    assert (seen.min_batch_size, seen.max_batch_size) == (0, 0)


def test_errors_of_a_source(origin):
    origin.write(TOMBSTONE, *numbered(0, range(3)), TOMBSTONE, *numbered(0, range(3)))
    raw = {"value_format": "raw", "on_tombstone": "fail"}
    with origin.source(**raw) as running:
        assert isinstance(running.failure(), RivvenKafkaError)
    assert now(running).errors == 1
    with origin.source(on_error="skip", **raw) as running:
        wait_for(running, lambda seen: seen.errors == 2 and running.pipeline.delivered() == 6)
        wait_until(lambda: origin.committed() == 8, 30, running.describe)
    assert (now(running).errors, now(running).messages_consumed) == (2, 8)


def test_a_source_that_cannot_connect_counts_an_error():
    nowhere = source_file("127.0.0.1:1", "127.0.0.1:1", "from", "to", "g", request_timeout_ms=500)
    with Running(nowhere) as running:
        assert isinstance(running.failure(), RivvenKafkaError)
    assert now(running).errors == 1


def test_a_commit_of_an_expelled_member_is_a_failure(origin):
    # The member learns of it by its commit: the next heartbeat is far away.
    slow = {"session_timeout_ms": 45_000, "heartbeat_interval_ms": 14_000, "max_poll_interval_ms": 60_000}
    origin.write(*numbered(0, range(10)))
    with origin.source(auto_commit_interval_ms=50, **slow) as running:
        wait_for(running, lambda seen: seen.commits)
        before = now(running)
        assert (before.commit_failures, before.rebalances) == (0, 1)
        with closing(KafkaAdminClient(bootstrap_servers=origin.kafka)) as admin:
            [member] = admin.describe_groups([origin.group])[origin.group]["members"]
            admin.remove_group_members(origin.group, [MemberToRemove(member_id=member["member_id"])])
        origin.write(*numbered(0, range(10, 20)))
        wait_for(running, lambda seen: seen.commit_failures)
        # It joins again, and nothing is lost.
        wait_for(running, lambda seen: seen.rebalances == 2)
        wait_until(lambda: origin.committed() == 20, 30, running.describe)
        assert now(running).errors == 0


def test_rebalances_and_their_commits(kafka, rivven, topic_name):
    origin = Origin(kafka, rivven, topic_name, partitions=2)
    for partition in range(2):
        origin.write(*numbered(partition, range(10)), partition=partition)
    # Only the handover commits.
    options = {"auto_commit_interval_ms": 600_000, "heartbeat_interval_ms": 200}
    with origin.source(**options) as first:
        wait_until(lambda: first.pipeline.delivered() == 20, 30, first.describe)
        assert (now(first).rebalances, now(first).commits) == (1, 0)
        with origin.source(**options) as second:
            wait_for(second, lambda seen: seen.rebalances == 1)
            wait_for(first, lambda seen: seen.rebalances == 2)
            assert (now(first).commits, now(first).commit_failures) == (1, 0)
            assert origin.committed() == 20
        wait_for(first, lambda seen: seen.rebalances == 3)
    assert now(first).messages_consumed == 20, "nothing came again"


def test_messages_bytes_and_sends_of_a_sink(destination):
    with destination.sink(linger_ms=1_000) as running:
        destination.publish(b"x" * 500)
        wait_for(running, lambda seen: seen.messages_produced == 1)
        destination.publish(*[b"y" * 500] * 12)
        wait_for(running, lambda seen: seen.messages_produced == 13)
        assert now(running).flushes == 0
    seen = now(running)
    assert (seen.batch_size_sum, seen.batch_count) == (13, seen.sends)
    assert 13 * 500 < seen.bytes_produced < 13 * 600
    assert seen.min_batch_size == 1
    assert 1 < seen.max_batch_size <= 12
    assert seen.avg_batch_size() == 13 / seen.sends
    assert (seen.errors, seen.retries, seen.success_rate()) == (0, 0, 1.0)
    # The end delivers what was read.
    assert seen.flushes == 1
    assert running.pipeline.delivered() == 13


def test_one_record_to_a_batch(destination):
    destination.publish(*[b"v"] * 30)
    with destination.sink(batch_size_bytes=1) as running:
        wait_for(running, lambda seen: seen.messages_produced == 30)
    seen = now(running)
    assert (seen.sends, seen.min_batch_size, seen.max_batch_size) == (30, 1, 1)


def test_a_handover_flushes(kafka, rivven, topic_name):
    destination = Destination(kafka, rivven, topic_name)
    with destination.sink(heartbeat_interval_ms=100) as first:
        wait_until(lambda: first.pipeline.assigned_since is not None, 30, first.describe)
        with destination.sink(heartbeat_interval_ms=100) as second:
            wait_until(lambda: second.pipeline.assigned_since is not None, 30, second.describe)
            wait_for(first, lambda seen: seen.flushes >= 1)
        during = now(first).flushes
    assert now(first).flushes > during, "and so does the end"


def test_bad_records_of_a_sink_are_errors(destination):
    destination.publish(b"no event", b"{}", b"[]")
    with destination.sink(value_format="event") as running:
        assert isinstance(running.failure(), EventFormatError)
    assert now(running).errors == 1
    with destination.sink(value_format="event", on_error="skip") as running:
        wait_for(running, lambda seen: seen.errors == 3)
    seen = now(running)
    assert (seen.messages_produced, seen.sends, seen.success_rate()) == (0, 0, 0.0)


def test_a_refused_batch_is_an_error(kafka, rivven, topic_name):
    destination = Destination(kafka, rivven, topic_name, **{"max.message.bytes": 1_000})
    destination.publish(b"small", b"x" * 5_000)
    with destination.sink(batch_size_bytes=1) as running:
        error = running.failure()
    assert isinstance(error, DeliveryError)
    seen = now(running)
    assert (seen.messages_produced, seen.errors, seen.success_rate()) == (1, 1, 0.5)


@pytest.mark.timeout(120)
def test_retries_while_kafka_does_not_answer(rivven, topic_name):
    with KafkaBroker() as kafka:
        destination = Destination(kafka, rivven, topic_name)
        # The retries go on beyond the end of the test; the flush at its end waits for the second one.
        options = {"retries": 1_000, "request_timeout_ms": 2_000, "shutdown_timeout_ms": 6_000}
        with destination.sink(**options) as running:
            destination.publish(b"a")
            wait_for(running, lambda seen: seen.messages_produced == 1)
            kafka.pause()
            destination.publish(b"b")
            wait_for(running, lambda seen: seen.retries >= 1)
            assert (now(running).messages_produced, now(running).errors) == (1, 0)
            kafka.resume()
            wait_for(running, lambda seen: seen.messages_produced == 2)
            settled = now(running)
            assert (settled.errors, settled.success_rate()) == (0, 1.0)

            kafka.pause()
            destination.publish(b"c")
            wait_until(lambda: running.pipeline._producer.in_flight > 0, 30, running.describe)
        # Those of the last flush count too, and so does its failure.
        assert isinstance(running.error, TimeoutExpired)
        seen = now(running)
        assert (seen.errors, seen.messages_produced) == (1, 2)
        assert seen.retries > settled.retries


@pytest.mark.timeout(120)
def test_retries_while_kafka_is_away(rivven, topic_name):
    with KafkaBroker() as kafka:
        topic, copy = topic_name(), topic_name()
        create_topic(kafka.bootstrap, copy, 1)
        fill_rivven(rivven.bootstrap, topic, 1, 1_500, padding=2_000)
        document = sink_file(
            kafka.bootstrap,
            rivven.bootstrap,
            topic,
            copy,
            f"g-{topic}",
            batch_size_bytes=1,
            max_in_flight_bytes=1 << 20,
            retries=1_000,
        )
        with Running(document) as running:
            wait_for(running, lambda seen: seen.messages_produced > 100)
            kafka.kill()
            kafka.restart()
            wait_for(running, lambda seen: seen.messages_produced >= 1_500)
        seen = now(running)
        assert seen.retries >= 1
        assert seen.errors == 0
        assert sum(end_offsets(kafka.bootstrap, copy).values()) >= 1_500


def test_restarts_add_up(kafka, rivven, topic_name):
    """One pipeline that runs twice goes on counting, and so does what it has delivered."""
    origin = Origin(kafka, rivven, topic_name)
    fill = numbered(0, range(10))
    origin.write(*fill)
    running = origin.source()
    with running:
        wait_until(lambda: running.pipeline.delivered() == 10, 30, running.describe)
    again = origin.source()
    again.pipeline = running.pipeline
    with again:
        origin.write(*fill)
        wait_until(lambda: again.pipeline.delivered() == 20, 30, again.describe)
    assert now(again).messages_consumed == 20
