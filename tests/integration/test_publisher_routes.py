"""Several source topics through one publisher: where their records go, in which order, over how many connections."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from rivven_kafka._native import Publisher, RecordBlock, RivvenClient, block_from_rows
from rivven_kafka.errors import (
    ConfigError,
    ConnectError,
    DeliveryError,
    InvalidRequestError,
    UnknownTopicError,
)

from tests.integration.rivven_blocks import KeyValue, finish, numbered, per_key, read_all
from tests.support import RivvenBroker

pytestmark = pytest.mark.integration

CONNECTIONS = 5


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    with closing(RivvenClient([rivven.bootstrap])) as client:
        yield client


def open_publisher(broker: RivvenBroker, **options: str) -> Publisher:
    return Publisher([broker.bootstrap], value_format="raw", connections=CONNECTIONS, **options)


def blocks(topic: str, partition: int, records: Sequence[KeyValue], size: int = 40) -> list[RecordBlock]:
    """The records as blocks of one source partition, one after the other."""
    whole = block_from_rows(topic, partition, [(1, key, value, []) for key, value in records])
    return [whole.slice(start, start + size) for start in range(0, len(records), size)]


def submit_in_turn(publisher: Publisher, *partitions: list[RecordBlock]) -> None:
    """Submits the first block of each, then the second of each, and so on."""
    for index in range(max(map(len, partitions))):
        for parts in partitions:
            if index < len(parts):
                publisher.submit(parts[index])


def test_two_topics_share_the_connections():
    # It takes the connections of the publisher and two more, and closes any others.
    with (
        RivvenBroker(options=["--max-connections-per-ip", str(CONNECTIONS + 2)]) as broker,
        closing(RivvenClient([broker.bootstrap])) as client,
    ):
        client.create_topic("to-wide", 4)
        client.create_topic("to-narrow", 3)
        publisher = open_publisher(broker)
        publisher.add_route("wide", "to-wide", 4)
        publisher.add_route("narrow", "to-narrow", 3)
        wide = [numbered(300, 7, p) for p in range(4)]
        narrow = [numbered(210, 5, 10 + p) for p in range(3)]
        submit_in_turn(
            publisher,
            *(blocks("wide", p, records) for p, records in enumerate(wide)),
            *(blocks("narrow", p, records) for p, records in enumerate(narrow)),
        )
        finish(publisher)
        assert publisher.stats()["connected"] == CONNECTIONS, "of seven lanes"
        with closing(RivvenClient([broker.bootstrap])) as last:
            last.ping()
            with (
                closing(RivvenClient([broker.bootstrap], max_retries=0)) as one_too_many,
                pytest.raises(ConnectError),
            ):
                one_too_many.ping()
        expected = [("narrow", p, 210) for p in range(3)] + [("wide", p, 300) for p in range(4)]
        assert sorted(publisher.take_positions()) == expected
        assert publisher.close()
        assert [read_all(client, "to-wide", p) for p in range(4)] == wide
        assert [read_all(client, "to-narrow", p) for p in range(3)] == narrow


def test_topics_may_flow_into_one(rivven, client, topic_name):
    target = topic_name()
    client.create_topic(target, 2)
    publisher = open_publisher(rivven)
    sources = {
        "a": [numbered(250, 3, p) for p in range(2)],
        "b": [numbered(250, 3, 10 + p) for p in range(2)],
    }
    for name in sources:
        publisher.add_route(name, target, 2)
    parts = [blocks(name, p, sources[name][p]) for name in sources for p in range(2)]
    submit_in_turn(publisher, *parts)
    finish(publisher)
    assert publisher.stats()["connected"] == 2, "one lane for each partition, whatever the source"
    assert publisher.close()
    for p in range(2):
        stored = read_all(client, target, p)
        for first, name in ((p, "a"), (10 + p, "b")):
            assert [record for record in stored if record[1].startswith(b"%d-" % first)] == sources[name][p]
        assert len(stored) == 500


def test_a_key_of_two_topics_stays_on_one_lane(rivven, client, topic_name):
    target = topic_name()
    client.create_topic(target, 2)
    publisher = open_publisher(rivven, partitioning="key")
    publisher.add_route("a", target, 2, lanes_per_partition=2)
    publisher.add_route("b", target, 2, lanes_per_partition=9)
    records = numbered(600, 30)
    # Each key is now in one topic, now in the other; the order of submission is kept all the same.
    for start in range(0, 600, 30):
        name = "ab"[start // 30 % 2]
        publisher.submit(block_from_rows(name, 0, [(1, k, v, []) for k, v in records[start : start + 30]]))
    finish(publisher)
    assert publisher.stats()["connected"] == 4
    assert publisher.close()
    stored = [per_key(read_all(client, target, p)) for p in range(2)]
    assert all(stored)
    assert {**stored[0], **stored[1]} == per_key(records)


def test_a_route_is_added_while_others_run(rivven, client, topic_name):
    first, second = topic_name(), topic_name()
    client.create_topic(first, 2)
    client.create_topic(second, 4)
    publisher = open_publisher(rivven)
    publisher.add_route("first", first, 2)
    before = [numbered(400, 9, p) for p in range(2)]
    after = [numbered(100, 9, p) for p in range(4)]
    submit_in_turn(publisher, *(blocks("first", p, before[p][:200]) for p in range(2)))
    with pytest.raises(InvalidRequestError, match="second") as caught:
        publisher.submit(blocks("second", 1, after[1])[0])
    assert (caught.value.topic, caught.value.partition) == ("second", 1)
    publisher.add_route("second", second, 4)
    rest = [block_from_rows("first", p, [(1, k, v, []) for k, v in before[p][200:]]) for p in range(2)]
    submit_in_turn(
        publisher, *([block] for block in rest), *(blocks("second", p, after[p]) for p in range(4))
    )
    finish(publisher)
    assert publisher.stats()["connected"] == CONNECTIONS
    assert publisher.close()
    assert [read_all(client, first, p) for p in range(2)] == before
    assert [read_all(client, second, p) for p in range(4)] == after


def test_a_route_may_get_more_partitions(rivven, client, topic_name):
    target = topic_name()
    client.create_topic(target, 3)
    publisher = open_publisher(rivven)
    publisher.add_route("s", target, 1)
    with pytest.raises(InvalidRequestError, match="preserved"):
        publisher.submit(blocks("s", 2, numbered(10, 1))[0])
    publisher.add_route("s", target, 3)
    publisher.submit(blocks("s", 2, numbered(10, 1))[0])
    finish(publisher)
    assert publisher.close()
    assert read_all(client, target, 2) == numbered(10, 1)


def test_routes_that_cannot_be_are_refused(rivven, client, topic_name):
    target, other = topic_name(), topic_name()
    client.create_topic(target, 2)
    client.create_topic(other, 2)
    publisher = open_publisher(rivven)
    with pytest.raises(UnknownTopicError, match="nowhere"):
        publisher.add_route("s", "nowhere", 1)
    with pytest.raises(InvalidRequestError, match="has 2 partitions, 3 are wanted"):
        publisher.add_route("s", target, 3)
    publisher.add_route("s", target, 2, lanes_per_partition=2)
    with pytest.raises(ConfigError, match=f'"s" goes to "{target}" already'):
        publisher.add_route("s", other, 2)
    with pytest.raises(ConfigError, match="lanes_per_partition: got 1"):
        publisher.add_route("t", target, 2)
    assert publisher.close()
    with pytest.raises(DeliveryError, match="closed"):
        publisher.add_route("t", other, 2)
