"""`discover`: what a catalog says about the topics of a real Kafka, and what it costs."""

import json
from collections import Counter
from contextlib import closing

import jsonschema
import pytest
from kafka import KafkaAdminClient
from kafka.net.connection import KafkaConnection
from kafka.protocol.admin import DescribeConfigsRequest
from kafka.protocol.metadata import MetadataRequest
from rivven_kafka import Catalog, KafkaSource, Stream

from tests.support import KafkaBroker
from tests.support.connector import wait_until
from tests.support.topics import Row, create_topic, fill

pytestmark = pytest.mark.integration

TOPICS = 1000


@pytest.fixture
def requests(monkeypatch):
    """Every request that kafka-python puts on the wire."""
    sent = []
    send = KafkaConnection._send_request

    def counted(self, request, *args, **options):
        sent.append(request)
        return send(self, request, *args, **options)

    monkeypatch.setattr(KafkaConnection, "_send_request", counted)
    return sent


def source(kafka, topic="t", **options):
    return KafkaSource(brokers=kafka.bootstrap, topic=topic, **options)


def test_streams_say_what_there_is(kafka, topic_name):
    plain, compacted = topic_name(), topic_name()
    create_topic(kafka.bootstrap, plain, 3)
    create_topic(
        kafka.bootstrap,
        compacted,
        1,
        **{
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": "5000",
            "message.timestamp.type": "LogAppendTime",
        },
    )
    catalog = source(kafka).discover()
    assert [stream.name for stream in catalog] == sorted(stream.name for stream in catalog)
    stream = catalog.stream(plain)
    assert (stream.name, stream.namespace) == (plain, "kafka")
    assert stream.supported_sync_modes == ("full_refresh", "incremental")
    assert stream.default_cursor_field == ("offset",)
    assert stream.source_defined_primary_key == (("topic",), ("partition",), ("offset",))
    assert (stream.metadata["partition_count"], stream.metadata["replication_factor"]) == (3, 1)
    # The important ones are always there; the cluster sets this retention.
    configs = stream.metadata["configs"]
    assert configs["cleanup.policy"] == "delete"
    assert configs["compression.type"] == "producer"
    assert configs["max.message.bytes"] == "1048588"
    assert configs["message.timestamp.type"] == "CreateTime"
    assert configs["retention.ms"] == "-1"
    assert "min.compaction.lag.ms" not in configs
    configs = catalog.stream(compacted).metadata["configs"]
    assert configs["cleanup.policy"] == "compact"
    assert configs["message.timestamp.type"] == "LogAppendTime"
    # Others are there when they are set.
    assert configs["min.compaction.lag.ms"] == "5000"
    with pytest.raises(KeyError):
        catalog.stream("no-such-topic")


def test_internal_topics_are_hidden(kafka, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    create_topic(kafka.bootstrap, f"__{name}", 1)
    fill(kafka.bootstrap, name, {0: [Row(1, None, b"v", [])]})
    # A member of a group makes Kafka create its own topic of offsets.
    with source(kafka, name).read() as events:
        next(events)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        assert {"__consumer_offsets", f"__{name}"} <= set(admin.list_topics())
    names = [stream.name for stream in source(kafka).discover()]
    assert name in names
    assert not any(name.startswith("__") for name in names)


def test_a_catalog_survives_json(kafka, topic_name):
    create_topic(kafka.bootstrap, topic_name(), 2)
    catalog = source(kafka).discover()
    assert len(catalog) == len(list(catalog)) > 0
    assert Catalog.from_dict(json.loads(json.dumps(catalog.to_dict()))) == catalog
    assert catalog.to_dict()["streams"][0]["json_schema"]["type"] == "object"


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"k", b'{"a": [1, null]}', [("h", b"1"), ("h", b"2")]),
        (None, b"text", []),
        (b"\xff", b"\xff\x00", [("h", None), ("g", b"\xff")]),
        (b"", None, []),
        (b"k", b" null", []),
    ],
)
def test_the_schema_fits_the_events(kafka, topic_name, key, value, headers):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1, **{"message.timestamp.type": "LogAppendTime"})
    fill(kafka.bootstrap, name, {0: [Row(1, key, value, headers)]})
    schema = source(kafka).discover(configs=False).stream(name).json_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    with source(kafka, name, consumer_group=name).read() as events:
        event = next(events).to_dict()
    jsonschema.validate(event, schema)
    assert set(event) == set(schema["properties"])
    assert set(event["metadata"]) <= set(schema["properties"]["metadata"]["properties"])


def asked(requests):
    """How often all topics, some topics and configs were asked for."""
    return Counter(
        {
            "all topics": sum(isinstance(each, MetadataRequest) and each.topics is None for each in requests),
            "some topics": sum(isinstance(each, MetadataRequest) and bool(each.topics) for each in requests),
            "configs": sum(isinstance(each, DescribeConfigsRequest) for each in requests),
        }
    )


def test_a_thousand_topics_cost_two_requests(requests):
    with KafkaBroker() as broker:
        names = [f"topic-{number:04}" for number in range(TOPICS)]
        with closing(
            KafkaAdminClient(bootstrap_servers=broker.bootstrap, request_timeout_ms=120_000)
        ) as admin:
            spec = {"num_partitions": 1, "replication_factor": 1}
            admin.create_topics({**dict.fromkeys(names, spec)}, timeout_ms=120_000)
            wait_until(lambda: len(admin.list_topics()) == TOPICS, 60)
        requests.clear()
        catalog = source(broker).discover()
        assert asked(requests) == {"all topics": 1, "some topics": 0, "configs": 1}
        assert [stream.name for stream in catalog] == names
        assert all(stream.metadata["configs"]["cleanup.policy"] == "delete" for stream in catalog)
        requests.clear()
        bare = source(broker).discover(configs=False)
        assert asked(requests) == {"all topics": 1, "some topics": 0, "configs": 0}
        assert [stream.name for stream in bare] == names
        assert "configs" not in bare.stream(names[0]).metadata
        # A check of one topic does not ask for the others.
        requests.clear()
        assert source(broker, names[-1]).check().ok
        assert asked(requests) == {"all topics": 0, "some topics": 1, "configs": 0}


def test_a_stream_stands_alone():
    first, second = Stream("a"), Stream("b")
    first.json_schema["properties"]["data"]["type"] = "object"
    assert "type" not in second.json_schema["properties"]["data"]
