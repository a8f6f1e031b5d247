"""`KafkaSource`: events of a real Kafka, and which of them count as processed."""

import asyncio
import threading
import time
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rivven_kafka import KafkaSource, SourceEvent
from rivven_kafka.errors import ConnectError, UnknownTopicError

from tests.support.connector import wait_until
from tests.support.topics import Row, create_topic, fill

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def topic(kafka, topic_name):
    """A function that creates a topic with numbered values, and returns its name."""

    def make(counts=(10,), **configs):
        name = topic_name()
        create_topic(kafka.bootstrap, name, len(counts), **configs)
        rows = {
            partition: [Row(NOW + i, b"k%d" % i, b"%d" % i, [("h", b"%d" % partition)]) for i in range(count)]
            for partition, count in enumerate(counts)
        }
        fill(kafka.bootstrap, name, rows)
        return name

    return make


def source(kafka, topic, group=None, **options):
    options = {"empty_poll_delay_ms": 20, "max_poll_records": 3, **options}
    return KafkaSource(
        brokers=kafka.bootstrap, topic=topic, consumer_group=group or f"group-of-{topic}", **options
    )


def take(stream, count):
    """The next `count` events."""
    return [next(stream) for _ in range(count)]


def committed(kafka, group, topic, partition=0):
    options = {"bootstrap_servers": kafka.bootstrap, "group_id": group, "metrics_enabled": False}
    with closing(KafkaConsumer(**options)) as consumer:
        return consumer.committed(TopicPartition(topic, partition))


def test_nobody_answers():
    reader = KafkaSource(brokers=NOWHERE, topic="t", request_timeout_ms=1000)
    for call in (reader.discover, reader.read):
        start = time.monotonic()
        with pytest.raises(
            ConnectError, match=f"cannot connect to Kafka at {NOWHERE}: connection refused"
        ) as caught:
            call()
        assert time.monotonic() - start < 3
        assert caught.value.retriable


def test_a_missing_topic_cannot_be_read(kafka, topic_name):
    with pytest.raises(UnknownTopicError, match="does not exist"):
        source(kafka, topic_name()).read()


def test_events_come_in_order_and_complete(kafka, topic):
    name = topic((10, 7))
    with source(kafka, name).read() as stream:
        events = take(stream, 17)
    assert all(type(event) is SourceEvent for event in events)
    for partition, count in enumerate((10, 7)):
        mine = [event for event in events if event.partition == partition]
        assert [event.offset for event in mine] == list(range(count))
        assert [event.data for event in mine] == list(range(count))
        assert [event.key for event in mine] == [b"k%d" % i for i in range(count)]
        assert [event.timestamp_ms for event in mine] == [NOW + i for i in range(count)]
        assert all(event.headers == [("h", b"%d" % partition)] for event in mine)
        assert mine[1].position == f"{name}:{partition}:1"
        assert mine[1].to_dict()["metadata"]["kafka_key"] == "k1"


def test_options_leave_key_and_headers_out_of_the_metadata(kafka, topic):
    with source(kafka, topic(), include_key=False, include_headers=False).read() as stream:
        event = next(stream)
    assert event.key == b"k0"
    assert not {"kafka_key", "kafka_headers"} & set(event.to_dict()["metadata"])


def test_async_for(kafka, topic):
    async def read():
        seen = []
        with source(kafka, topic()).read() as stream:
            async for event in stream:
                seen.append(event.data)
                if len(seen) == 10:
                    break
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), 0.2)
        return seen

    assert asyncio.run(read()) == list(range(10))


def test_a_timeout_while_waiting_loses_no_event(kafka, topic):
    """The record comes while nobody waits for it."""
    name = topic((0,))

    async def read():
        with source(kafka, name).read() as stream:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), 0.1)
            fill(kafka.bootstrap, name, {0: [Row(NOW, None, b"%d" % i, []) for i in range(5)]})
            # The fetch of before ends now, without a waiter.
            await asyncio.sleep(2)
            return [(await asyncio.wait_for(anext(stream), 20)).data for _ in range(5)]

    assert asyncio.run(read()) == list(range(5))
    assert committed(kafka, f"group-of-{name}", name) == 5


def test_a_block_that_nobody_took_is_not_processed(kafka, topic):
    """Closed after a wait was given up: the events fetched meanwhile belong to the next reader."""
    name = topic((0,))

    async def give_up():
        with source(kafka, name).read() as stream:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), 0.1)
            fill(kafka.bootstrap, name, {0: [Row(NOW, None, b"%d" % i, []) for i in range(5)]})
            await asyncio.sleep(2)

    asyncio.run(give_up())
    with source(kafka, name).read() as stream:
        assert [event.data for event in take(stream, 5)] == list(range(5))


@pytest.mark.parametrize("read", [1, 3, 4, 9, 10])
def test_the_next_reader_goes_on_where_the_last_one_closed(kafka, topic, read):
    name = topic()
    stream = source(kafka, name).read()
    assert [event.data for event in take(stream, read)] == list(range(read))
    stream.close()
    stream.close()
    assert committed(kafka, f"group-of-{name}", name) == read
    # What was fetched before is still there, and nothing behind it.
    assert len(list(stream)) < 3


@pytest.mark.parametrize("read", [1, 4, 10])
def test_the_event_of_an_error_is_not_processed(kafka, topic, read):
    name = topic()

    def fail_at_the_last():
        with source(kafka, name).read() as stream:
            take(stream, read)
            raise LookupError("not processed")

    with pytest.raises(LookupError, match="not processed"):
        fail_at_the_last()
    with source(kafka, name).read() as stream:
        assert next(stream).data == read - 1


def test_events_are_committed_while_reading(kafka, topic):
    name = topic()
    with source(kafka, name, enable_auto_commit=False, max_poll_records=2).read() as stream:
        take(stream, 5)
        group = f"group-of-{name}"
        # Blocks of two: the first two are processed for sure, the block of the fifth is not.
        wait_until(lambda: (committed(kafka, group, name) or 0) >= 2, 10)
        assert committed(kafka, group, name) in (2, 4)


def test_latest_starts_with_what_comes(kafka, topic):
    name = topic()
    with source(kafka, name, start_offset="latest").read() as stream:
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(take(stream, 2)))
        reader.start()
        # The position is fixed by the first poll; records from then on are read.
        time.sleep(2)
        fill(kafka.bootstrap, name, {0: [Row(NOW, None, b'"new"', []), Row(NOW, None, b'"newer"', [])]})
        reader.join(20)
        assert [(event.offset, event.data) for event in seen] == [(10, "new"), (11, "newer")]


def test_groups_are_independent(kafka, topic):
    name = topic()
    with source(kafka, name, f"a-{name}").read() as first, source(kafka, name, f"b-{name}").read() as second:
        assert [event.offset for event in take(first, 10)] == list(range(10))
        assert [event.offset for event in take(second, 4)] == list(range(4))
    assert committed(kafka, f"a-{name}", name) == 10
    assert committed(kafka, f"b-{name}", name) == 4


@pytest.fixture
def transactions(kafka, topic_name):
    """A topic with three committed transactions and two aborted ones between them."""
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    with closing(
        KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=name, metrics_enabled=False)
    ) as producer:
        producer.init_transactions()
        for number, commit in enumerate((True, False, True, False, True)):
            producer.begin_transaction()
            for part in range(4):
                producer.send(name, b"%d" % (10 * number + part), partition=0)
            producer.flush()
            producer.commit_transaction() if commit else producer.abort_transaction()
    return name


def values(*numbers):
    return [10 * number + part for number in numbers for part in range(4)]


def test_read_committed_hides_aborted_transactions(kafka, transactions):
    with source(kafka, transactions, isolation_level="read_committed").read() as stream:
        assert [event.data for event in take(stream, 12)] == values(0, 2, 4)
    # The last position lies behind the marker of the last transaction.
    assert committed(kafka, f"group-of-{transactions}", transactions) in (24, 25)


def test_read_uncommitted_shows_them_without_markers(kafka, transactions):
    with source(kafka, transactions).read() as stream:
        assert [event.data for event in take(stream, 20)] == values(0, 1, 2, 3, 4)


def test_max_poll_records_bounds_what_is_taken_at_a_time(kafka, topic):
    name = topic((200,))
    with source(kafka, name, max_poll_records=7).read() as stream:
        sizes = []
        while sum(sizes) < 200:
            sizes.append(len(stream.next_block()))
    assert max(sizes) <= 7
    assert sum(sizes) == 200


def test_two_readers_of_a_group_share_the_partitions(kafka, topic):
    """The second one joins while the first one reads; what was processed before is not read again."""
    name = topic((300, 300, 300, 300))
    options = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 200, "max_poll_records": 20}
    seen = [[], []]
    enough = threading.Event()

    def run(index, pause):
        with source(kafka, name, **options).read() as stream:
            for event in stream:
                seen[index].append((event.partition, event.offset))
                time.sleep(pause)
                if enough.is_set():
                    return

    first = threading.Thread(target=run, args=(0, 0.004))
    second = threading.Thread(target=run, args=(1, 0.001))
    first.start()
    wait_until(lambda: len(seen[0]) > 100, 20)
    second.start()
    everything = {(partition, offset) for partition in range(4) for offset in range(300)}
    wait_until(lambda: set(seen[0]) | set(seen[1]) == everything, 60, lambda: str(list(map(len, seen))))
    assert seen[1], "the second one got partitions"
    both = [*seen[0], *seen[1]]
    assert len(both) == len(everything), "no event twice: positions are committed before partitions move"
    for reader in seen:
        for partition in range(4):
            offsets = [offset for number, offset in reader if number == partition]
            assert offsets == sorted(offsets)
    enough.set()
    fill(kafka.bootstrap, name, {partition: [Row(NOW, None, b"end", [])] for partition in range(4)})
    first.join(20)
    second.join(20)
    assert not first.is_alive()
    assert not second.is_alive()


def test_the_metrics_count_what_was_read(kafka, topic):
    name = topic((4, 3))
    reader = source(kafka, name)
    with reader.read() as events:
        take(events, 7)
    counted = reader.metrics.snapshot()
    assert (counted.messages_consumed, counted.rebalances, counted.errors) == (7, 1, 0)
    assert counted.bytes_consumed > 0
    assert counted.polls > counted.empty_polls
    assert counted.commits >= 1
    assert (counted.commit_failures, counted.max_batch_size) == (0, 3)
