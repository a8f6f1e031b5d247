"""Reading ahead from a real rivvend."""

import time
from collections.abc import Callable, Iterator

import pytest
from rivven_kafka._native import Fetcher, RecordBlock, RivvenClient
from rivven_kafka.errors import (
    ConfigError,
    ConnectError,
    InvalidRequestError,
    LogDamagedError,
    RivvenKafkaError,
    UnknownTopicError,
)

from tests.integration.rivven_blocks import KeyValue, make_blocks
from tests.support import RivvenBroker
from tests.support.rivven_wire import RivvenWire

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


@pytest.fixture
def fetcher(rivven: RivvenBroker) -> Iterator[Fetcher]:
    fetcher = Fetcher([rivven.bootstrap])
    yield fetcher
    fetcher.close()


def collect(fetcher: Fetcher, count: int, **poll: int) -> list[RecordBlock]:
    blocks: list[RecordBlock] = []
    deadline = time.monotonic() + 20
    while sum(map(len, blocks)) < count:
        assert time.monotonic() < deadline, f"{sum(map(len, blocks))} of {count} records"
        blocks += fetcher.poll(1000, **poll)
    return blocks


def error_of(fetcher: Fetcher) -> RivvenKafkaError:
    """The error that ends an assignment without records."""
    try:
        assert fetcher.poll(10_000) == []
    except RivvenKafkaError as error:
        return error
    raise AssertionError("no error within 10 s")


@pytest.mark.parametrize("connections", [1, 3])
def test_every_partition_is_read_in_order(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName, connections: int
) -> None:
    name = topic_name()
    records: list[list[KeyValue]] = [[(None, f"{p}-{n}".encode()) for n in range(40 * p)] for p in range(7)]
    make_blocks(rivven.bootstrap, name, records)
    fetcher = Fetcher([rivven.bootstrap], connections=connections, max_messages=30)
    fetcher.assign([(name, p, 5 if p == 6 else 0) for p in range(7)])
    blocks = collect(fetcher, sum(map(len, records)) - 5)
    read: dict[int, list[bytes]] = {}
    for block in blocks:
        assert block.topic == name
        assert len(block) <= 30
        read.setdefault(block.partition, []).extend(block.values())
    assert read == {p: [v for _, v in records[p]][5 if p == 6 else 0 :] for p in range(1, 7)}
    stats = fetcher.stats()
    assert stats["records_fetched"] == sum(map(len, records)) - 5
    assert (stats["gaps"], stats["rewinds"], stats["retries"], stats["buffered_bytes"]) == (0, 0, 0, 0)
    fetcher.close()


@pytest.mark.parametrize("partitions", [1, 16])
def test_a_new_record_arrives_soon_and_waiting_costs_little(
    client: RivvenClient, fetcher: Fetcher, topic_name: TopicName, partitions: int
) -> None:
    name = topic_name()
    client.create_topic(name, partitions)
    fetcher.assign([(name, p, 0) for p in range(partitions)])
    assert fetcher.poll(300) == []
    requests, cpu = fetcher.stats()["requests"], time.process_time()
    assert fetcher.poll(1000) == []
    assert fetcher.stats()["requests"] - requests < 2000
    assert time.process_time() - cpu < 0.2
    delays = []
    for n in range(10):
        client.publish(name, n % partitions, [(None, b"x")])
        start = time.perf_counter()
        assert len(fetcher.poll(2000)) == 1
        delays.append(time.perf_counter() - start)
    assert sorted(delays)[5] < 0.1


def test_large_records_fit_after_fewer_are_asked_for(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    name = topic_name()
    client.create_topic(name, 1)
    for n in range(5):
        client.publish(name, 0, [(None, bytes([n]) * (4 << 20))])
    fetcher = Fetcher([rivven.bootstrap], max_messages=10_000, max_buffered_bytes=10 << 20)
    fetcher.assign([(name, 0, 0)])
    time.sleep(0.5)
    assert fetcher.stats()["buffered_bytes"] <= 10 << 20
    blocks = collect(fetcher, 5)
    assert [(len(v), v[0]) for block in blocks for v in block.values()] == [(4 << 20, n) for n in range(5)]
    assert 0 < fetcher.stats()["shrinks"] < 5
    fetcher.close()


def test_a_new_assignment_replaces_the_old(
    client: RivvenClient, rivven: RivvenBroker, fetcher: Fetcher, topic_name: TopicName
) -> None:
    old, new = topic_name(), topic_name()
    make_blocks(rivven.bootstrap, old, [[(None, b"old")] * 50] * 2)
    make_blocks(rivven.bootstrap, new, [[(None, b"new")] * 50])
    for _ in range(20):
        fetcher.assign([(old, 0, 0), (old, 1, 0)])
        fetcher.poll(5)
        start = time.perf_counter()
        fetcher.assign([(new, 0, 10)])
        assert time.perf_counter() - start < 0.2
        assert {block.topic for block in collect(fetcher, 40)} == {new}
    fetcher.assign([])
    assert fetcher.poll(50) == []


def test_polls_stop_at_enough_records(
    client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName
) -> None:
    name = topic_name()
    make_blocks(rivven.bootstrap, name, [[(None, b"x")] * 100])
    fetcher = Fetcher([rivven.bootstrap], max_messages=10)
    fetcher.assign([(name, 0, 0)])
    time.sleep(0.5)
    assert [len(block) for block in fetcher.poll(1000, max_records=25)] == [10, 10, 10]
    assert [len(block) for block in fetcher.poll(1000, max_records=1)] == [10]
    assert sum(map(len, fetcher.poll(1000))) == 60
    fetcher.close()


def test_what_cannot_be_read_is_an_error(
    client: RivvenClient, rivven: RivvenBroker, fetcher: Fetcher, topic_name: TopicName
) -> None:
    name = topic_name()
    make_blocks(rivven.bootstrap, name, [[(None, b"x")] * 3])
    fetcher.assign([("no-such-topic", 0, 0)])
    assert isinstance(error_of(fetcher), UnknownTopicError)
    fetcher.assign([(name, 4, 0)])
    error = error_of(fetcher)
    assert isinstance(error, UnknownTopicError)
    assert (error.topic, error.partition) == (name, 4)
    # rivvend would answer with nothing, forever.
    fetcher.assign([(name, 0, 4)])
    error = error_of(fetcher)
    assert isinstance(error, LogDamagedError)
    assert error.offset == 4
    assert isinstance(error_of(fetcher), LogDamagedError), "until the next assignment"
    with pytest.raises(InvalidRequestError):
        fetcher.assign([(name, 0, -1)])
    fetcher.assign([(name, 0, 3)])
    assert fetcher.poll(100) == []
    with pytest.raises(ConfigError):
        Fetcher([rivven.bootstrap], max_messages=10_001)
    fetcher.close()
    with pytest.raises(ConnectError, match="closed"):
        fetcher.assign([(name, 0, 3)])


@pytest.mark.faults
def test_reading_goes_on_after_a_crash() -> None:
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        client.create_topic("t", 3)
        fetcher = Fetcher([broker.bootstrap], connections=2, retry_initial_ms=50, max_retries=100)
        fetcher.assign([("t", p, 0) for p in range(3)])
        for round_ in range(3):
            client.ping()  # a publish is not repeated, so it is not what finds the connection lost
            for p in range(3):
                client.publish("t", p, [(None, f"{round_}-{n}".encode()) for n in range(20)])
            values = [value for block in collect(fetcher, 60) for value in block.values()]
            assert sorted(values) == sorted([f"{round_}-{n}".encode() for n in range(20)] * 3)
            if round_ < 2:
                broker.kill()
                assert fetcher.poll(200) == []
                broker.restart()
        assert fetcher.stats()["retries"] > 0
        fetcher.close()


@pytest.mark.faults
def test_a_log_damaged_by_a_replay_does_not_pass_for_an_intact_one() -> None:
    """A replay of the write-ahead log stores the records again, at offset 0, and hides the first copies."""
    with RivvenBroker() as broker:
        client = RivvenClient([broker.bootstrap])
        client.create_topic("t", 1)
        client.publish("t", 0, [(None, f"{n}".encode()) for n in range(300)])
        broker.kill()
        broker.start(keep_wal=True).wait_ready()
        careful = Fetcher([broker.bootstrap], max_messages=50)
        careful.assign([("t", 0, 0)])
        error = error_of(careful)
        assert isinstance(error, LogDamagedError)
        assert (error.topic, error.partition, error.offset) == ("t", 0, 299)
        assert careful.stats()["records_fetched"] == 0
        careful.close()
        fetcher = Fetcher([broker.bootstrap], max_messages=50, on_log_damage="continue")
        fetcher.assign([("t", 0, 0)])
        assert fetcher.poll(1000) != []
        assert fetcher.stats()["rewinds"] > 0, "several records with one offset"
        deadline = time.monotonic() + 15
        while not fetcher.stats()["stalls"] and time.monotonic() < deadline:
            assert fetcher.poll(200) == []
        stats = fetcher.stats()
        assert stats["stalls"] == 1
        assert stats["requests"] < 100, "it waits rather than spins"
        fetcher.close()


@pytest.mark.parametrize("on_log_damage", ["fail", "continue"])
def test_a_position_before_the_beginning_of_a_log(on_log_damage: str) -> None:
    """rivvend answers reads with nothing below its first segment, and below what was deleted up to the end."""
    options = ["--max-segment-size", "2000"]
    with RivvenBroker(options=options) as broker, RivvenWire("127.0.0.1", broker.port) as wire:
        client = RivvenClient([broker.bootstrap], retry_initial_ms=50)
        client.create_topic("t", 2)
        for partition in range(2):
            client.publish("t", partition, [(None, b"%0100d" % number) for number in range(100)])
        wire.delete_records("t", {0: 60, 1: 100})
        assert [client.offset_bounds("t", partition) for partition in range(2)] == [(60, 100), (100, 100)]

        def read(partition: int, count: int) -> list[int]:
            fetcher = Fetcher([broker.bootstrap], on_log_damage=on_log_damage)
            fetcher.assign([("t", partition, 20)])
            time.sleep(0 if count else 5)
            blocks = collect(fetcher, count) if count else fetcher.poll(1)
            stats = fetcher.stats()
            assert (stats["gaps"], stats["rewinds"], stats["stalls"]) == (0, 0, 0)
            fetcher.close()
            return [offset for block in blocks for offset in block.offsets()]

        assert read(0, 40) == list(range(60, 100))
        assert read(1, 0) == []
        # The watermark is forgotten, and the first segments are gone. A clean stop would wait for the clients.
        broker.kill()
        broker.restart()
        first, end = client.offset_bounds("t", 0)
        assert 20 < first <= 60, "several segments"
        assert len(client.fetch("t", 0, 20)) == 0
        assert read(0, end - first) == list(range(first, 100))
        client.publish("t", 1, [(None, b"x")])
        assert read(1, 1)[-1] == 100
        client.close()
