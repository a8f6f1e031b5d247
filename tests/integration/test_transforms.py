"""Transforms on the way to a real rivvend: what is stored, what is dropped, and what is counted."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rivven_kafka._native import Publisher, RecordBlock, RivvenClient, SinkEncoder, block_from_rows
from rivven_kafka.errors import ConfigError, EventFormatError

from tests.integration.rivven_blocks import finish, read_all
from tests.support import RivvenBroker

pytestmark = pytest.mark.integration

TopicName = Callable[[], str]
NOW = 1_700_000_000_000


@pytest.fixture
def client(rivven: RivvenBroker) -> Iterator[RivvenClient]:
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


def step(kind: str, **config: Any) -> dict[str, Any]:
    return {"type": kind, "config": config}


def block_of(*values: bytes | None) -> RecordBlock:
    return block_from_rows("orders", 0, [(NOW, b"k%d" % n, value, []) for n, value in enumerate(values)])


@pytest.fixture
def publish(client: RivvenClient, rivven: RivvenBroker, topic_name: TopicName) -> Iterator[Any]:
    """Publishes a block through steps; gives the target topic and the closed publisher."""
    opened = []

    def publish(block: RecordBlock, *steps: dict[str, Any], **options: Any) -> tuple[str, Publisher]:
        target = topic_name()
        client.create_topic(target, 1)
        publisher = Publisher([rivven.bootstrap], transforms=json.dumps(steps), **options)
        opened.append(publisher)
        publisher.add_route("orders", target, 1)
        publisher.submit(block)
        finish(publisher)
        return target, publisher

    yield publish
    for publisher in opened:
        publisher.close()


def test_events_are_transformed_before_they_are_stored(client: RivvenClient, publish: Any) -> None:
    block = block_of(
        b'{"id": 1.50, "card": "4111", "region": "EU"}',
        b'{"id": 2, "region": "US"}',
        None,
        b'{"id":12345678901234567890123,"region":"EU"}',
    )
    target, publisher = publish(
        block,
        step("filter", field="data.region", equals="EU"),
        step("remove_field", field="data.card"),
        step("remove_field", field="metadata.kafka_timestamp"),
        step("add_field", field="metadata.env", value={"name": "prod"}),
        step("rename_field", **{"from": "data.id", "to": "number"}),
    )
    assert publisher.take_positions() == [("orders", 0, 4)]
    stats = publisher.stats()
    assert (stats["records_published"], stats["records_skipped"], stats["records_bad"]) == (2, 2, 0)
    stored = read_all(client, target, 0)
    assert [key for key, _ in stored] == [b"k0", b"k3"]
    assert b'"data":{"number": 1.50, "region": "EU"},"metadata":{"position":"orders:0:0",' in stored[0][1]
    assert b'"data":{"number":12345678901234567890123,"region":"EU"},' in stored[1][1]
    metadata = json.loads(stored[1][1])["metadata"]
    assert metadata == {
        "position": "orders:0:3",
        "kafka_partition": 0,
        "kafka_key": "k3",
        "kafka_offset": 3,
        "env": {"name": "prod"},
    }


def test_what_was_stored_is_restored_without_what_was_removed(client: RivvenClient, publish: Any) -> None:
    target, _ = publish(block_of(b' {"a": 1, "b": 2.50}\n', b"text"), step("remove_field", field="data.a"))
    encoder = SinkEncoder(1, value_format="event", transforms=json.dumps([step("remove_field", field="x")]))
    encoder.append(client.fetch(target, 0, 0))
    [batch] = encoder.take_ready(0)
    raw = batch.build(-1, -1, -1, False)
    assert b' {"b": 2.50}\n' in raw
    assert b"text" in raw


def test_raw_values_are_transformed_and_tombstones_go_by_their_rule(
    client: RivvenClient, publish: Any
) -> None:
    rename = step("rename_field", **{"from": "data.a", "to": "b"})
    block = block_of(b' {"a": 2.50} ', None, b"", b"[1]")
    target, publisher = publish(block, rename, value_format="raw", on_tombstone="empty")
    assert [value for _, value in read_all(client, target, 0)] == [b' {"b": 2.50} ', b"", b"", b"[1]"]
    only = step("filter", field="data.b", equals="2.50")
    target, publisher = publish(block, rename, only, value_format="raw", on_tombstone="fail")
    assert [value for _, value in read_all(client, target, 0)] == [b' {"b": 2.50} ']
    assert publisher.stats()["records_skipped"] == 3
    assert publisher.take_positions() == [("orders", 0, 4)]


def test_a_record_that_cannot_be_transformed_is_a_bad_record(client: RivvenClient, publish: Any) -> None:
    add = step("add_field", field="data.a", value=1)
    block = block_of(b'{"b":2}', b"text", None, b"[]")
    for value_format, first in (("event", "data is a string"), ("raw", "the value is not JSON")):
        options = {"value_format": value_format, "on_tombstone": "empty"}
        target, publisher = publish(block, add, on_bad="skip", **options)
        bad = publisher.take_bad()
        assert [(record.topic, record.partition, record.offset) for record in bad] == [
            ("orders", 0, 1),
            ("orders", 0, 3),
        ]
        assert bad[0].reason.startswith(f"add_field data.a: {first}")
        assert bad[1].reason == "add_field data.a: data is a list, expected an object"
        stored = [value for _, value in read_all(client, target, 0)]
        assert b'{"b":2,"a":1}' in stored[0]
        assert stored[1] == b"" if value_format == "raw" else b'"data":null' in stored[1]
        with pytest.raises(EventFormatError, match="add_field data.a") as raised:
            publish(block, add, **options)
        assert (raised.value.topic, raised.value.partition, raised.value.offset) == ("orders", 0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transforms": "["}, "transforms: not a list of steps"),
        (
            {"transforms": json.dumps([step("remove_field", field="env")]), "value_format": "raw"},
            "inside data",
        ),
    ],
)
def test_wrong_steps_are_refused_before_anything_is_sent(
    rivven: RivvenBroker, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Publisher([rivven.bootstrap], **options)  # type: ignore[arg-type]
