"""Reading the log of a real rivvend from end to end, and noticing when it is damaged."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import InvalidRequestError, LogDamagedError, RetriableBrokerError, UnknownTopicError

from tests.support import RivvenBroker

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]
MIB = 1 << 20
CONNECTIONS = 16


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


def fill(broker: RivvenBroker, topic: str, values: list[bytes]) -> None:
    """Publishes them to partition 0 with their numbers as keys, over many connections: in no order, but fast."""

    def publish(first: int) -> None:
        client = RivvenClient([broker.bootstrap])
        numbers = range(first, len(values), CONNECTIONS)
        for page in range(0, len(numbers), 100):
            client.publish(topic, 0, [(b"%d" % n, values[n]) for n in numbers[page : page + 100]])
        client.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(publish, range(CONNECTIONS)))


def digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def test_a_scan_sees_every_record_once(
    rivven: RivvenBroker, client: RivvenClient, topic_name: TopicName
) -> None:
    topic = topic_name()
    client.create_topic(topic, 1)
    values = [b"value %d" % number for number in range(5000)]
    for number in (*range(8), 2500, 4990, 4999):
        values[number] = bytes([number % 251]) * MIB
    fill(rivven, topic, values)
    seen: list[tuple[int, bytes | None, bytes]] = []

    def visit(offset: int, key: bytes | None, value: bytes) -> None:
        seen.append((offset, key, digest(value)))

    records, size = client.scan(topic, 0, 0, 5000, visit)
    keys = [b"%d" % number for number in range(5000)]
    assert (records, size) == (5000, sum(map(len, values)) + sum(map(len, keys)))
    assert [offset for offset, _, _ in seen] == list(range(5000))
    assert {key: found for _, key, found in seen} == dict(zip(keys, map(digest, values), strict=True))
    everything = list(seen)
    seen.clear()
    assert client.scan(topic, 0, 2499, 2502, visit)[0] == 3
    assert seen == everything[2499:2502]
    assert client.scan(topic, 0, 7, 7, visit) == (0, 0)
    assert client.check_tail(topic, 0) == client.check_tail(topic, 0, 5000) == (0, 5000)


def test_a_scan_ends_with_the_visitors_exception(client: RivvenClient, topic_name: TopicName) -> None:
    topic = topic_name()
    client.create_topic(topic, 1)
    client.publish(topic, 0, [(None, b"x")] * 3)
    seen = []

    def visit(offset: int, key: bytes | None, value: bytes) -> None:
        seen.append(offset)
        raise KeyError(offset)

    with pytest.raises(KeyError):
        client.scan(topic, 0, 1, 3, visit)
    assert seen == [1]
    with pytest.raises(InvalidRequestError, match="-1"):
        client.scan(topic, 0, -1, 3, visit)
    with pytest.raises(UnknownTopicError):
        client.scan("no-such-topic", 0, 0, 1, visit)


def test_a_log_that_ends_too_early_is_damaged(client: RivvenClient, topic_name: TopicName) -> None:
    topic = topic_name()
    client.create_topic(topic, 2)
    client.publish(topic, 1, [(None, b"x")] * 3)
    assert client.check_tail(topic, 0) == (0, 0)
    assert client.check_tail(topic, 1, 2) == client.check_tail(topic, 1, 0) == (0, 3)
    with pytest.raises(
        LogDamagedError, match=r"ends at 3, although records up to 4 .*/wal/\*\.wal"
    ) as caught:
        client.check_tail(topic, 1, 4)
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == (topic, 1, 3)
    with pytest.raises(RetriableBrokerError, match="the log ends at 3, before 4") as early:
        client.scan(topic, 1, 0, 4, lambda offset, key, value: None)
    assert early.value.offset == 3
    with pytest.raises(UnknownTopicError):
        client.check_tail("no-such-topic", 0)


@pytest.mark.parametrize("count", [15, 100, 1000])
def test_a_replayed_write_ahead_log_is_damage(count: int) -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        client.create_topic("t", 1)
        fill(broker, "t", [b"%0200d" % number for number in range(count)])
        assert client.check_tail("t", 0, count) == client.check_tail("t", 0) == (0, count)
        broker.kill()
        broker.restart(keep_wal=True)
        assert client.offset_bounds("t", 0) == (0, count), "which shows nothing"
        for known_end in (count, None):
            with pytest.raises(LogDamagedError) as caught:
                client.check_tail("t", 0, known_end)
            assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("t", 0, count - 1)
        # New records do not hide it, as long as the old end is known.
        client.publish("t", 0, [(None, b"new")] * 50)
        with pytest.raises(LogDamagedError):
            client.check_tail("t", 0, count)
        with pytest.raises(LogDamagedError):
            client.scan("t", 0, 1, count, lambda offset, key, value: None)
        client.close()


@pytest.mark.parametrize("count", [1, 5])
def test_copies_that_hide_nothing_are_passed_over(count: int) -> None:
    """The log is too small for an index that could lead astray."""
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        client.create_topic("t", 2)
        for partition in range(2):
            client.publish("t", partition, [(None, b"%0200d" % number) for number in range(count)])
        broker.kill()
        broker.restart(keep_wal=True)
        seen: list[tuple[int, int]] = []

        def visit(offset: int, key: bytes | None, value: bytes) -> None:
            seen.append((offset, int(value)))

        assert client.check_tail("t", 0, count) == client.check_tail("t", 0) == (0, count)
        assert client.scan("t", 0, 0, count, visit)[0] == count
        assert seen == [(number, number) for number in range(count)]
        client.publish("t", 0, [(None, b"%d" % number) for number in range(count, 150)])
        assert client.check_tail("t", 0, count) == client.check_tail("t", 0) == (0, 150)
        seen.clear()
        assert client.scan("t", 0, 0, 150, visit)[0] == 150
        assert seen == [(number, number) for number in range(150)]
        # Partition 1 got nothing: its last copy counts as its last record at the next start.
        client.close()
        broker.restart()
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        assert client.check_tail("t", 0) == (0, 150)
        assert client.offset_bounds("t", 1) == (0, 1)
        if count > 1:
            with pytest.raises(LogDamagedError, match=f"ends at 1, and holds offset {count - 1} behind that"):
                client.check_tail("t", 1)
        else:
            assert client.check_tail("t", 1) == (0, 1), "and it is"
        client.close()


def test_a_crash_without_the_write_ahead_log_is_none() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        client.create_topic("t", 1)
        fill(broker, "t", [b"%0200d" % number for number in range(500)])
        broker.kill()
        broker.restart()
        assert client.check_tail("t", 0, 500) == client.check_tail("t", 0) == (0, 500)
        assert client.scan("t", 0, 0, 500, lambda offset, key, value: None)[0] == 500
        client.close()
