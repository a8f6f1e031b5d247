"""Lanes against a real rivvend: nothing lost, order kept where it is promised, and the speed they are for."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows
from rivven_kafka.errors import (
    ConfigError,
    ConnectError,
    DeliveryError,
    InvalidRequestError,
    RecordTooLargeError,
    UnknownTopicError,
)

from tests.integration.rivven_blocks import finish, make_blocks, numbered, per_key, read_all
from tests.support import RivvenBroker
from tests.support.ports import ReservedPort

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


def open_publisher(
    servers: list[str], source: str, target: str, partitions: int, lanes: int = 1, **options: Any
) -> Publisher:
    """A publisher of the values as they are, with one route."""
    publisher = Publisher(servers, **{"value_format": "raw", **options})
    publisher.add_route(source, target, partitions, lanes)
    return publisher


def test_what_may_be_under_way_is_waited_for_once_for_all_partitions(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    target = topic_name()
    client.create_topic(target, 64)
    publisher = Publisher([rivven.bootstrap], exactly_once=True)
    publisher.add_route("source", target, 64, topic_id="abcdefghijklmnopqrstuv")
    begin = time.monotonic()
    publisher.prepare([("source", p, 0, [(target, p, 0)]) for p in range(64)], True)
    assert 1 < time.monotonic() - begin < 5, "a second for each of 8 at a time would be 8"
    publisher.close()


def test_one_lane_keeps_the_order_of_the_partition(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    source, target = topic_name(), topic_name()
    records = [[*numbered(300, 7, p), (None, b""), (b"", b"x")] for p in range(3)]
    blocks = make_blocks(rivven.bootstrap, source, records, batch=17)
    client.create_topic(target, 3)
    publisher = open_publisher([rivven.bootstrap], source, target, 3, max_batch_records=50)
    for p in range(3):
        for block in blocks[p]:
            publisher.submit(block)
    finish(publisher)
    assert sorted(publisher.take_positions()) == [(source, p, 302) for p in range(3)]
    assert publisher.take_positions() == []
    stats = publisher.stats()
    assert (stats["records_published"], stats["in_flight_bytes"], stats["connected"]) == (906, 0, 3)
    # At least: a lane starts before all of its blocks have been submitted.
    assert 3 * 7 <= stats["requests"] <= 3 * 10, "small blocks are merged"
    assert publisher.close() is True
    assert [read_all(client, target, p) for p in range(3)] == records
    with pytest.raises(DeliveryError, match="closed"):
        publisher.submit(blocks[0][0])


@pytest.mark.parametrize("partitioning", ["preserve", "key"])
def test_many_lanes_keep_the_order_of_each_key(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName, partitioning: str
) -> None:
    source, target = topic_name(), topic_name()
    records = numbered(1500, 40)
    blocks = make_blocks(rivven.bootstrap, source, [records], batch=100)
    client.create_topic(target, 3)
    publisher = open_publisher(
        [rivven.bootstrap], source, target, 3, lanes=6, partitioning=partitioning, connections=18
    )
    for block in blocks[0]:
        publisher.submit(block)
    finish(publisher)
    assert publisher.close()
    stored = [read_all(client, target, p) for p in range(3)]
    assert sum(map(len, stored)) == len(records)
    used = [p for p in range(3) if stored[p]]
    assert used == ([0] if partitioning == "preserve" else [0, 1, 2])
    together = {key: values for part in stored for key, values in per_key(part).items()}
    assert sum(len(per_key(part)) for part in stored) == 40, "a key lives in one partition"
    assert together == per_key(records)


@pytest.mark.symptom("Kafka to Rivven.")
def test_lanes_are_what_makes_it_fast(topic_name: TopicName) -> None:
    """rivvend spends about 1.85 ms per record and connection, whatever the batch."""
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        blocks = make_blocks(broker.bootstrap, "s", [[(None, b"x" * 160)] * 480] * 4)

        def rate(lanes: int, rounds: int) -> float:
            topic = topic_name()
            client.create_topic(topic, 4)
            publisher = open_publisher([broker.bootstrap], "s", topic, 4, lanes, connections=4 * lanes)
            start = time.perf_counter()
            for _ in range(rounds):
                for p in range(4):
                    publisher.submit(blocks[p][0])
            finish(publisher)
            elapsed = time.perf_counter() - start
            assert publisher.close()
            return rounds * 4 * 480 / elapsed

        # Best of three: whatever else runs on the machine slows the many lanes more than the few.
        ratios = [rate(24, 12) / rate(1, 1) for _ in range(3)]
        assert max(ratios) > 5, ratios
        client.close()


def test_nothing_starts_without_its_topic(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    with pytest.raises(UnknownTopicError):
        open_publisher([rivven.bootstrap], "s", topic_name(), 1)
    name = topic_name()
    client.create_topic(name, 2)
    with pytest.raises(InvalidRequestError, match="2 partitions"):
        open_publisher([rivven.bootstrap], "s", name, 3)
    with ReservedPort() as dead:
        with pytest.raises(ConnectError):
            Publisher([dead.address])
        open_publisher([dead.address, rivven.bootstrap], "s", name, 2).close()
    for wrong in (
        {"value_format": "xml"},
        {"partitioning": "random"},
        {"connections": 0},
        {"max_batch_records": 10_001},
        {"max_request_bytes": 10_485_760},
        {"on_bad": "ignore"},
        {"lanes": 0},
    ):
        with pytest.raises(ConfigError):
            open_publisher([rivven.bootstrap], "s", name, 2, **wrong)


def test_a_partition_that_cannot_be_preserved_is_refused(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    source, target = topic_name(), topic_name()
    blocks = make_blocks(rivven.bootstrap, source, [[], [(None, b"x")]])
    client.create_topic(target, 1)
    publisher = open_publisher([rivven.bootstrap], source, target, 1)
    with pytest.raises(InvalidRequestError) as caught:
        publisher.submit(blocks[1][0])
    assert (caught.value.topic, caught.value.partition) == (source, 1)
    assert publisher.in_flight_records() == 0
    assert publisher.close()


@pytest.mark.parametrize("on_bad", ["fail", "skip", "hold"])
def test_a_record_that_rivven_cannot_hold(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName, on_bad: str
) -> None:
    source, target = topic_name(), topic_name()
    # Stored and readable under a short name, but above what is safe in general.
    blocks = make_blocks(rivven.bootstrap, source, [[(None, b"a"), (None, bytes(10_480_000)), (None, b"b")]])
    client.create_topic(target, 1)
    publisher = open_publisher([rivven.bootstrap], source, target, 1, on_bad=on_bad)
    for block in blocks[0]:
        publisher.submit(block)
    if on_bad != "fail":
        finish(publisher, held=int(on_bad == "hold"))
        assert publisher.stats()["records_bad"] == 1
        assert read_all(client, target, 0) == [(None, b"a"), (None, b"b")]
        [bad] = publisher.take_bad()
        assert (bad.topic, bad.partition, bad.offset, bad.key) == (source, 0, 1, None)
        assert bad.value == bytes(10_480_000)
        assert "10480000" in bad.reason
        if on_bad == "hold":
            assert publisher.in_flight_bytes() >= 10_480_000
            assert publisher.take_positions() == [(source, 0, 1)]
            bad.settle()
        assert publisher.take_positions() == [(source, 0, 3)]
        bad.settle()
        assert publisher.in_flight_bytes() == 0
    else:
        with pytest.raises(RecordTooLargeError) as caught:
            finish(publisher)
        assert (caught.value.topic, caught.value.partition, caught.value.offset) == (source, 0, 1)
        assert publisher.take_positions() == [(source, 0, 1)], "what was before it is delivered"
        with pytest.raises(RecordTooLargeError):
            publisher.submit(blocks[0][0])
        assert isinstance(publisher.error(), RecordTooLargeError)
    assert publisher.close() is (on_bad != "fail")


def test_a_held_record_that_is_never_settled_stays_before_the_position(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    source, target = topic_name(), topic_name()
    client.create_topic(target, 2)
    rows = [(5, b"k", b"a", []), (6, b"k", None, [("h", b"1"), ("h", None)]), (7, b"k", b"b", [])]
    whole = [block_from_rows(source, partition, [*rows, (8, None, b"c", [])]) for partition in range(2)]
    publisher = open_publisher([rivven.bootstrap], source, target, 2, on_bad="hold")
    for partition in range(2):
        publisher.submit(whole[partition].slice(0, 3))
    finish(publisher, held=2)
    bad = {record.partition: record for record in publisher.take_bad()}
    assert (bad[1].timestamp, bad[1].key, bad[1].value) == (6, b"k", None)
    assert bad[1].headers == [("h", b"1"), ("h", None)]
    assert sorted(publisher.take_positions()) == [(source, 0, 1), (source, 1, 1)]
    publisher.submit(whole[0].slice(3, 4))
    finish(publisher, held=2)
    assert [read_all(client, target, p) for p in range(2)] == [
        [(b"k", b"a"), (b"k", b"b"), (None, b"c")],
        [(b"k", b"a"), (b"k", b"b")],
    ]
    assert publisher.take_positions() == []
    publisher.cancel(source, 0)
    assert publisher.in_flight_records(source, 0) == 0, "nobody waits for it any more"
    assert publisher.in_flight_records(source, 1) == 1
    publisher.forget(source, 1)
    for record in bad.values():
        record.settle()
    assert publisher.in_flight_bytes() == 0
    assert publisher.take_positions() == [(source, 0, 4)], "the other was forgotten"
    assert publisher.close()


def test_large_records_travel_in_requests_of_their_own(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    source, target = topic_name(), topic_name()
    records = [(b"k", bytes([n]) * (4 << 20)) for n in range(5)]
    client.create_topic(source, 1)
    for record in records:
        client.publish(source, 0, [record])
    client.create_topic(target, 1)
    publisher = open_publisher([rivven.bootstrap], source, target, 1)
    for offset in range(5):
        publisher.submit(client.fetch(source, 0, offset, max_messages=1))
    finish(publisher)
    assert publisher.close()
    assert [value for n in range(5) for value in client.fetch(target, 0, n, max_messages=1).values()] == [
        value for _, value in records
    ]


def test_a_partition_given_up_is_not_sent_any_more(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    source, target = topic_name(), topic_name()
    blocks = make_blocks(rivven.bootstrap, source, [numbered(400, 9, p) for p in range(2)])
    client.create_topic(target, 2)
    publisher = open_publisher([rivven.bootstrap], source, target, 2, max_batch_records=20)
    for _ in range(3):
        for p in range(2):
            publisher.submit(blocks[p][0])
    publisher.cancel(source, 0)
    while publisher.in_flight_records(source, 0):
        publisher.wait(10)
    positions = {p: offset for _, p, offset in publisher.take_positions()}
    stored = read_all(client, target, 0)
    assert len(stored) % 20 == 0
    assert len(stored) <= 40
    assert positions.get(0, 0) == len(stored), "exactly what is stored"
    publisher.forget(source, 1)
    assert publisher.in_flight_records() == 0
    assert publisher.close()
    assert publisher.take_positions() == []


def test_cancelling_does_not_wait_for_a_lost_broker() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        blocks = make_blocks(broker.bootstrap, "s", [numbered(200, 5)])
        client.create_topic("t", 1)
        publisher = open_publisher(
            [broker.bootstrap],
            "s",
            "t",
            1,
            retry_initial_ms=20_000,
            retry_max_ms=60_000,
            max_batch_records=10,
        )
        broker.kill()
        publisher.submit(blocks[0][0])
        publisher.wait(300)
        assert publisher.in_flight_records() == 200
        start = time.perf_counter()
        publisher.cancel_all()
        while publisher.in_flight_records():
            publisher.wait(10)
        assert time.perf_counter() - start < 2
        assert publisher.take_positions() == []
        assert publisher.close(0)


def test_a_broker_that_stays_away_ends_it() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        blocks = make_blocks(broker.bootstrap, "s", [numbered(50, 5)])
        client.create_topic("t", 1)
        publisher = open_publisher([broker.bootstrap], "s", "t", 1, retry_initial_ms=5, max_retries=3)
        publisher.submit(blocks[0][0])
        finish(publisher)
        broker.kill()
        publisher.submit(blocks[0][0])
        with pytest.raises(ConnectError, match="after 3 retries") as caught:
            finish(publisher)
        assert (caught.value.topic, caught.value.offset) == ("s", 0)
        assert publisher.take_positions() == [("s", 0, 50)]
        assert publisher.close() is False


@pytest.mark.faults
@pytest.mark.parametrize("crash", [False, True], ids=["clean stop", "crash"])
@pytest.mark.parametrize("lanes", [1, 6])
def test_a_restart_loses_nothing_and_keeps_order(crash: bool, lanes: int) -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        records = [numbered(2000, 30, p) for p in range(2)]
        blocks = make_blocks(broker.bootstrap, "s", records, batch=50)
        client.create_topic("t", 2)
        publisher = open_publisher(
            [broker.bootstrap],
            "s",
            "t",
            2,
            lanes,
            connections=2 * lanes,
            max_batch_records=20,
            retry_initial_ms=50,
            retry_max_ms=500,
            max_retries=200,
        )
        for index, pair in enumerate(zip(*blocks, strict=True)):
            for block in pair:
                publisher.submit(block)
            if index == 20:
                while publisher.in_flight_records() > 1500:
                    publisher.wait(10)
                if crash:
                    broker.kill()
                broker.restart()
        finish(publisher)
        assert publisher.stats()["retries"] > 0 or not crash
        assert sorted(publisher.take_positions()) == [("s", 0, 2000), ("s", 1, 2000)]
        assert publisher.close()
        for p in range(2):
            stored = read_all(client, "t", p)
            assert {value for _, value in stored} == {value for _, value in records[p]}
            if lanes == 1:
                assert list(dict.fromkeys(stored)) == records[p]
            assert per_key(stored) == per_key(records[p])
        client.close()
