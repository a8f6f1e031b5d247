"""The native client against a real rivvend."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import (
    ConfigError,
    ConnectError,
    InvalidRequestError,
    OffsetOutOfRangeError,
    RebalanceNeededError,
    RecordTooLargeError,
    TimeoutExpired,
    UnknownTopicError,
)

from tests.support import RivvenBroker
from tests.support.ports import ReservedPort

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


def test_a_request_does_not_wait_for_a_delayed_acknowledgement(client: RivvenClient) -> None:
    """Without TCP_QUICKACK each takes 44 ms."""
    times = []
    for _ in range(200):
        start = time.perf_counter()
        client.ping()
        times.append(time.perf_counter() - start)
    assert statistics.median(times) < 0.001


def test_topics_are_created_once(client: RivvenClient, topic_name: TopicName) -> None:
    name = topic_name()
    assert client.partition_count(name) is None
    assert client.create_topic(name, 5) is True
    assert client.create_topic(name, 5) is False
    assert client.partition_count(name) == 5
    assert name in client.topics()
    assert client.delete_topic(name) is True
    assert client.delete_topic(name) is False


def test_records_come_back_as_they_were(client: RivvenClient, topic_name: TopicName) -> None:
    name = topic_name()
    client.create_topic(name, 2)
    records = [(None, b"no key"), (b"", b"empty key"), (b"key", b""), (b"\x00\xff", bytes(range(256)))]
    assert client.publish(name, 1, records) == 0
    assert client.publish(name, 1, [(None, b"last")]) == 4
    block = client.fetch(name, 1, 0)
    assert list(zip(block.keys(), block.values(), strict=True)) == [*records, (None, b"last")]
    assert (block.topic, block.partition, block.offsets(), block.next_offset) == (name, 1, [0, 1, 2, 3, 4], 5)
    assert client.fetch(name, 1, 3, max_messages=1).offsets() == [3]
    assert client.offset_bounds(name, 1) == (0, 5)
    assert client.offset_bounds(name, 0) == (0, 0)


def test_nothing_new_is_an_empty_block(client: RivvenClient, topic_name: TopicName) -> None:
    name = topic_name()
    client.create_topic(name, 1)
    client.publish(name, 0, [(None, b"x")])
    start = time.perf_counter()
    block = client.fetch(name, 0, 1, max_wait_ms=150)
    assert (len(block), block.next_offset) == (0, 1)
    assert 0.1 < time.perf_counter() - start < 1


def test_offsets_are_found_by_time(client: RivvenClient, topic_name: TopicName) -> None:
    name = topic_name()
    client.create_topic(name, 1)
    client.publish(name, 0, [(None, b"old")])
    time.sleep(0.02)
    between = int(time.time() * 1000)
    time.sleep(0.02)
    client.publish(name, 0, [(None, b"new")])
    assert client.offset_for_timestamp(name, 0, 0) == 0
    assert client.offset_for_timestamp(name, 0, between) == 1
    assert client.offset_for_timestamp(name, 0, between + 60_000) is None


@pytest.mark.parametrize("durable", [False, True])
def test_offsets_are_committed(client: RivvenClient, topic_name: TopicName, durable: bool) -> None:
    name, group = topic_name(), topic_name()
    client.create_topic(name, 2)
    for partition in (0, 1):
        client.publish(name, partition, [(None, b"x")] * 3)
    assert client.committed_offset(group, name, 0) is None
    client.commit_offsets(group, [(name, 0, 2), (name, 1, 3)], durable=durable)
    assert [client.committed_offset(group, name, p) for p in (0, 1)] == [2, 3]
    assert client.delete_group(group) is True
    assert client.delete_group(group) is False
    assert client.committed_offset(group, name, 0) is None


def test_a_durable_commit_survives_a_crash(topic_name: TopicName) -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        client.create_topic("t", 1)
        client.publish("t", 0, [(None, b"x")] * 5)
        client.commit_offsets("fleeting", [("t", 0, 2)], durable=False)
        client.commit_offsets("durable", [("t", 0, 3)])
        client.commit_offsets("late", [("t", 0, 4)], durable=False)
        broker.kill()
        broker.restart()
        assert client.committed_offset("durable", "t", 0) == 3
        assert client.committed_offset("fleeting", "t", 0) == 2, "the whole table is written"
        assert client.committed_offset("late", "t", 0) is None, "this is what durable is for"
        client.close()


def test_two_members_share_a_group(client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName) -> None:
    name, group = topic_name(), topic_name()
    client.create_topic(name, 4)
    other = RivvenClient([rivven.bootstrap])
    first, leader_id, leader, members = client.join_group(group, "", 10_000, 30_000, [name])
    assert (leader_id, members) == (leader, [(leader_id, [name])])
    everything = [(leader_id, [(name, [0, 1, 2, 3])])]
    assert client.sync_group(group, first, leader_id, everything) == [(name, [0, 1, 2, 3])]
    assert client.heartbeat(group, first, leader_id) == 0

    _, follower_id, leader, _ = other.join_group(group, "", 10_000, 30_000, [name])
    assert leader == leader_id != follower_id
    with pytest.raises(RebalanceNeededError) as caught:
        client.heartbeat(group, first, leader_id)
    assert caught.value.code == "ILLEGAL_GENERATION"

    second, again, _, members = client.join_group(group, leader_id, 10_000, 30_000, [name])
    assert again == leader_id
    assert {member for member, _ in members} == {leader_id, follower_id}
    # A follower that syncs before the leader has joined again would hang: it waits for a heartbeat of 0.
    assert other.heartbeat(group, second, follower_id) != 0
    shares = [(leader_id, [(name, [0, 1])]), (follower_id, [(name, [2, 3])])]
    assert client.sync_group(group, second, leader_id, shares) == [(name, [0, 1])]
    assert other.heartbeat(group, second, follower_id) == 0
    assert other.sync_group(group, second, follower_id, []) == [(name, [2, 3])]

    other.leave_group(group, follower_id)
    with pytest.raises(RebalanceNeededError) as caught:
        other.heartbeat(group, second, follower_id)
    assert caught.value.code == "UNKNOWN_MEMBER_ID"
    client.leave_group(group, leader_id)
    with pytest.raises(RebalanceNeededError) as caught:
        client.heartbeat(group, second, leader_id)
    # Depends on whether the timer that removes empty groups has come round.
    assert caught.value.code in {"UNKNOWN_MEMBER_ID", "UNKNOWN_GROUP"}
    other.close()


def test_refusals_have_their_class_and_place(client: RivvenClient, topic_name: TopicName) -> None:
    name = topic_name()
    client.create_topic(name, 1)
    with pytest.raises(InvalidRequestError) as caught:
        client.create_topic("__consumer_offsets", 1)
    assert caught.value.code == "INVALID_TOPIC_NAME"
    with pytest.raises(InvalidRequestError) as caught:
        client.create_topic(topic_name(), 1001)
    assert caught.value.code == "INVALID_PARTITION_COUNT"
    with pytest.raises(UnknownTopicError) as unknown:
        client.fetch("no-such-topic", 0, 7)
    assert (unknown.value.code, unknown.value.topic, unknown.value.offset) == (
        "TOPIC_NOT_FOUND",
        "no-such-topic",
        7,
    )
    with pytest.raises(UnknownTopicError) as unknown:
        client.offset_bounds(name, 9)
    assert (unknown.value.code, unknown.value.partition) == ("PARTITION_NOT_FOUND", 9)
    with pytest.raises(OffsetOutOfRangeError):
        client.commit_offsets("group", [(name, 0, 1)])
    with pytest.raises(InvalidRequestError):
        client.fetch(name, 0, -1)
    with pytest.raises(RecordTooLargeError):
        client.publish(name, 0, [(None, bytes(10_485_760))])
    client.ping()


def test_arguments_are_checked() -> None:
    for servers in ([], ["nonsense"], ["host:port"]):
        with pytest.raises(ConfigError):
            RivvenClient(servers)
    with pytest.raises(ConfigError):
        RivvenClient(["h:1"], request_timeout_ms=0)
    with pytest.raises(ConfigError):
        RivvenClient(["h:1"], retry_multiplier=0.5)


def test_a_dead_server_is_passed_over(rivven: RivvenBroker) -> None:
    with ReservedPort() as dead:
        servers = [dead.address, rivven.bootstrap]
        client = RivvenClient(servers, retry_initial_ms=1, max_retries=1)
        client.ping()
        client.close()
        lonely = RivvenClient([dead.address], retry_initial_ms=1, max_retries=2)
        with pytest.raises(ConnectError, match=f"{dead.address}.*after 2 retries"):
            lonely.ping()


def test_a_frozen_broker_is_a_timeout() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap], request_timeout_ms=200, max_retries=0)
        client.ping()
        broker.pause()
        with pytest.raises(TimeoutExpired):
            client.ping()
        broker.resume()
        client.ping()
        client.close()


@pytest.mark.symptom("Too many connections to rivvend.")
def test_a_full_broker_is_named_as_the_cause() -> None:
    with RivvenBroker(options=["--max-connections-per-ip", "1"]) as broker:
        time.sleep(0.2)  # the connection that found the broker ready counts until it is closed there
        first = RivvenClient([broker.bootstrap])
        first.ping()
        second = RivvenClient([broker.bootstrap], max_retries=0)
        with pytest.raises(ConnectError, match="too many connections"):
            second.ping()
        first.close()


def test_the_client_comes_back_after_a_restart() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        client.create_topic("t", 1)
        client.publish("t", 0, [(None, b"kept")])
        broker.kill()
        broker.restart()
        assert client.fetch("t", 0, 0).values() == [b"kept"]
        client.close()


def test_closing_ends_a_long_poll(client: RivvenClient, topic_name: TopicName) -> None:
    name = topic_name()
    client.create_topic(name, 1)
    ended = threading.Event()

    def poll() -> None:
        with pytest.raises(ConnectError):
            client.fetch(name, 0, 0, max_wait_ms=20_000)
        ended.set()

    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.1)
    client.close()
    assert ended.wait(2)
    thread.join()
    with pytest.raises(ConnectError, match="closed"):
        client.ping()
