"""Checks of the connectors of a file: the Rivven side, and whether both sides fit together."""

import socket
from contextlib import closing

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import parse_connect
from rivven_kafka.errors import ConfigError, UnknownTopicError
from rivven_kafka.pipeline.destination import prepare_topic
from rivven_kafka.pipeline.entry_check import check_sink_entry, check_source_entry

from tests.support.connector import sink_file, source_file
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def client(rivven):
    with closing(RivvenClient([rivven.bootstrap])) as client:
        yield client


@pytest.fixture
def source(kafka, rivven, topic_name):
    """A function that checks a source of a Kafka topic with three partitions."""
    kafka_topic = topic_name()
    create_topic(kafka.bootstrap, kafka_topic, 3)

    def check(rivven_topic, *, settings=None, topic_config=None, rivven=rivven.bootstrap, **options):
        config = source_file(kafka.bootstrap, "", kafka_topic, rivven_topic, "g", **options)
        config["broker"]["bootstrap_servers"] = [rivven] if isinstance(rivven, str) else rivven
        config["broker"]["connection_timeout_ms"] = config["broker"]["request_timeout_ms"] = 3000
        config["settings"] = settings or {}
        config["sources"]["in"]["topic_config"] = topic_config or {}
        check.config = parse_connect(config)
        entry = check.config.sources["in"]
        result = check_source_entry("in", entry, check.config.broker, check.config.settings)
        return {check.name: check for check in result.checks}

    check.topic = kafka_topic
    return check


@pytest.fixture
def sink(kafka, rivven, topic_name):
    """A function that checks a sink into a Kafka topic with three partitions."""
    kafka_topic = topic_name()
    create_topic(kafka.bootstrap, kafka_topic, 3)

    def check(*rivven_topics, filled_by=(), settings=None, **options):
        config = sink_file(kafka.bootstrap, rivven.bootstrap, "t", kafka_topic, "g", **options)
        config["sinks"]["out"]["topics"] = list(rivven_topics)
        config["settings"] = settings or {}
        config = parse_connect(config)
        entry = config.sinks["out"]
        result = check_sink_entry("out", entry, config.broker, config.settings, filled_by=filled_by)
        return {check.name: check for check in result.checks}

    check.topic = kafka_topic
    return check


def test_a_topic_that_will_be_created(source, client, topic_name):
    name = topic_name()
    checks = source(name)
    assert all(check.ok for check in checks.values())
    assert checks["rivven_topic"].detail == f"Rivven topic {name!r} will be created with 3 partitions"
    assert client.partition_count(name) is None
    checks = source(name, topic_config={"partitions": 5})
    assert checks["rivven_topic"].detail == f"Rivven topic {name!r} will be created with 5 partitions"
    checks = source(name, partitioning="key", settings={"topic": {"default_partitions": 1}})
    assert checks["rivven_topic"].detail == f"Rivven topic {name!r} will be created with 1 partition"


def test_a_topic_that_exists(source, client, topic_name):
    name = topic_name()
    client.create_topic(name, 4)
    assert source(name)["rivven_topic"].detail == f"Rivven topic {name!r} has 4 partitions"


def said_by_run(source, client):
    """What the connector itself says when it starts."""
    entry = source.config.sources["in"]
    with pytest.raises((ConfigError, UnknownTopicError)) as caught:
        prepare_topic(client, entry, source.config.settings.topic, entry.topic, {entry.config.topic: 3})
    return caught.value.args[0]


@pytest.mark.symptom('"partitioning: got preserve, but Rivven topic ... has ..."')
def test_a_topic_with_too_few_partitions(source, client, topic_name):
    name = topic_name()
    client.create_topic(name, 2)
    checks = source(name)
    assert checks["topic"].ok
    assert checks["rivven_topic"].status == "failed"
    assert checks["rivven_topic"].detail == said_by_run(source, client)
    assert source(name, partitioning="key")["rivven_topic"].ok
    # The same before it is created.
    checks = source(topic_name(), topic_config={"partitions": 2})
    assert checks["rivven_topic"].status == "failed"


@pytest.mark.parametrize(
    "options",
    [{"settings": {"topic": {"auto_create": False}}}, {"topic_config": {"auto_create": False}}],
)
def test_a_topic_that_nobody_creates(source, client, topic_name, options):
    checks = source(topic_name(), **options)
    assert checks["rivven_topic"].status == "failed"
    assert checks["rivven_topic"].detail == said_by_run(source, client)


def test_both_sides_are_tried(source, topic_name, client):
    name = topic_name()
    checks = source(name, brokers=NOWHERE, rivven="127.0.0.1:2")
    assert [name for name, check in checks.items() if check.status == "failed"] == ["connectivity", "rivven"]
    assert "127.0.0.1:2" in checks["rivven"].detail
    assert checks["rivven_topic"].detail == "not tried, because rivven failed"
    # What Kafka would have told is missing, and the check says so.
    checks = source(name, brokers=NOWHERE)
    assert checks["rivven"].ok
    assert "as many partitions as the Kafka topic, which is not known" in checks["rivven_topic"].detail
    client.create_topic(name, 1)
    checks = source(name, brokers=NOWHERE)
    assert checks["rivven_topic"].ok
    assert "not compared with Kafka" in checks["rivven_topic"].detail


def test_a_rivven_that_never_answers(source, topic_name):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        checks = source(topic_name(), rivven=address)
    assert checks["rivven"].status == "failed"
    assert address in checks["rivven"].detail
    # The default is 30 s.
    assert checks["rivven"].duration_ms < 15_000
    assert checks["authorization"].ok


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_each_server_of_rivven_is_tried(source, rivven, topic_name, order):
    checks = source(topic_name(), rivven=[NOWHERE, rivven.bootstrap][order])
    assert checks["rivven"].ok
    assert checks["rivven"].detail.startswith(f"reached {rivven.bootstrap}; not reached: ")
    assert NOWHERE in checks["rivven"].detail
    assert checks["rivven_topic"].ok
    checks = source(topic_name(), rivven=[NOWHERE, "127.0.0.1:2"])
    assert checks["rivven"].status == "failed"
    assert all(server in checks["rivven"].detail for server in (NOWHERE, "127.0.0.1:2"))


def source_entry(rivven_topic, **config):
    document = source_file(NOWHERE, NOWHERE, "a", rivven_topic, "g")
    options = document["sources"]["in"]["config"]
    if config:
        del options["topic"]
    options |= config
    return parse_connect(document).sources["in"]


@pytest.mark.parametrize(
    ("destination", "config", "filled", "others"),
    [
        ("copy", {}, ["copy"], ["a", "copy2"]),
        ("copy-{topic}", {}, ["copy-a"], ["copy-b", "copy-"]),
        ("copy", {"topics_regex": "shop-.*"}, ["copy"], ["shop-1"]),
        (
            "to-{topic}-copy",
            {"topics_regex": "shop-[0-9]+"},
            ["to-shop-1-copy", "to-shop-22-copy"],
            ["to-shop-x-copy", "to-copy", "to--copy", "shop-1", "to-shop-1", "xx-shop-1-copy", "c"],
        ),
        ("{topic}.{topic}", {"topics_regex": "s.*"}, ["s1.s1"], ["s1.s2", "s1", "s1.s1.s1", "t.t"]),
    ],
)
def test_topics_that_a_source_will_create(sink, topic_name, destination, config, filled, others):
    run = topic_name()
    entry = source_entry(f"{destination}{run}", **config)
    checks = sink(*(f"{name}{run}" for name in filled), filled_by=[entry])
    assert checks["rivven_topic"].ok
    assert checks["rivven_topic"].detail.count("will be created by a source") == len(filled)
    checks = sink(*(f"{name}{run}" for name in others), filled_by=[entry])
    assert checks["rivven_topic"].detail.count("does not exist") == len(others)


def test_topics_of_a_sink(sink, client, topic_name):
    there, missing = topic_name(), topic_name()
    client.create_topic(there, 3)
    checks = sink(there)
    assert all(check.ok for check in checks.values())
    assert checks["rivven_topic"].detail == f"Rivven topic {there!r} has 3 partitions"
    checks = sink(there, missing)
    assert checks["rivven_topic"].status == "failed"
    assert checks["rivven_topic"].detail == f"Rivven topic {missing!r} does not exist"
    checks = sink(there, missing, filled_by=[source_entry(missing)])
    assert checks["rivven_topic"].ok
    assert f"{missing!r} will be created by a source" in checks["rivven_topic"].detail
    checks = sink(missing, settings={"topic": {"require_topic_exists": False}})
    assert checks["rivven_topic"].ok
    assert "the sink will wait for it" in checks["rivven_topic"].detail


def test_more_rivven_partitions_than_kafka_has(sink, client, topic_name):
    name = topic_name()
    client.create_topic(name, 4)
    checks = sink(name)
    assert checks["rivven_topic"].status == "failed"
    assert checks["rivven_topic"].detail == (
        f"partitioning: got preserve, but Kafka topic {sink.topic!r} has 3 partitions and Rivven topic "
        f"{name!r} has 4; expected at least as many, or partitioning: key"
    )
    assert sink(name, partitioning="key")["rivven_topic"].ok
    assert sink(name, key_field="id")["rivven_topic"].ok
