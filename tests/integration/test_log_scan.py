"""Reading the log of a real rivvend from end to end, and noticing when it is damaged."""

import hashlib
import time
from collections.abc import Callable, Iterator

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import InvalidRequestError, LogDamagedError, UnknownTopicError

from tests.support import RivvenBroker

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]
MIB = 1 << 20


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


def fill(client: RivvenClient, topic: str, values: list[bytes]) -> None:
    """Publishes them to partition 0, in requests of a size that the broker takes."""
    batch: list[tuple[bytes | None, bytes]] = []
    for number, value in enumerate(values):
        batch.append((b"%d" % number, value))
        if sum(len(value) for _, value in batch) > 4 * MIB or number + 1 == len(values) or len(batch) == 1000:
            client.publish(topic, 0, batch)
            batch.clear()


def test_a_scan_sees_every_record_once(client: RivvenClient, topic_name: TopicName) -> None:
    topic = topic_name()
    client.create_topic(topic, 1)
    large = {
        number: bytes([number % 251]) * MIB for number in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 2500, 4999)
    }
    values = [large.get(number, b"value %d" % number) for number in range(5000)]
    fill(client, topic, values)
    seen: list[tuple[int, bytes | None, bytes]] = []

    def visit(offset: int, key: bytes | None, value: bytes) -> None:
        seen.append((offset, key, hashlib.sha256(value).digest()))

    start = time.perf_counter()
    records, size = client.scan(topic, 0, 0, 5000, visit)
    print(f"{records} records, {size / MIB:.0f} MiB in {time.perf_counter() - start:.2f} s")
    expected = [
        (number, b"%d" % number, hashlib.sha256(value).digest()) for number, value in enumerate(values)
    ]
    assert seen == expected
    assert (records, size) == (5000, sum(len(value) + len(b"%d" % n) for n, value in enumerate(values)))
    seen.clear()
    assert client.scan(topic, 0, 2499, 2502, visit)[0] == 3
    assert seen == expected[2499:2502]
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
    with pytest.raises(LogDamagedError, match="nothing comes at 3, although the log goes on to 4") as caught:
        client.scan(topic, 1, 0, 4, lambda offset, key, value: None)
    assert caught.value.offset == 3
    with pytest.raises(UnknownTopicError):
        client.check_tail("no-such-topic", 0)


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_a_replayed_write_ahead_log_is_damage(count: int) -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        client.create_topic("t", 1)
        fill(client, "t", [b"%0200d" % number for number in range(count)])
        assert client.check_tail("t", 0, count) == (0, count)
        broker.kill()
        broker.restart()
        assert client.check_tail("t", 0, count) == client.check_tail("t", 0) == (0, count), "without the log"
        assert client.scan("t", 0, 0, count, lambda offset, key, value: None)[0] == count
        broker.kill()
        broker.restart(keep_wal=True)
        # Nothing was written since the last restart, so nothing is replayed.
        assert client.check_tail("t", 0, count) == (0, count)
        client.publish("t", 0, [(None, b"last")])
        broker.kill()
        broker.restart(keep_wal=True)
        for known_end in (count + 1, None):
            with pytest.raises(LogDamagedError) as caught:
                client.check_tail("t", 0, known_end)
            print(caught.value)
            assert (caught.value.topic, caught.value.partition) == ("t", 0)
        with pytest.raises(LogDamagedError):
            client.scan("t", 0, 0, count + 1, lambda offset, key, value: None)
        client.close()
