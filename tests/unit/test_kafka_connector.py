"""Subjects of the documented Rust connector's unit tests that no other file here has.

Configuration parsing is in `config/`, metrics with their Prometheus and JSON forms in `native/test_metrics.py`,
headers in `native/test_sink_encoder.py`, security rules in `config/test_rules.py`.
"""

import jsonschema
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.net.sasl import get_sasl_mechanism
from rivven_kafka import KafkaSink, KafkaSource
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig, SaslMechanism, SecurityProtocol
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka import admin_options
from rivven_kafka.sink import producer_options
from rivven_kafka.source import consumer_options

from .native.encoding import NOW, encode, event, records, values_block

REQUIRED = {"brokers": "kafka1:9092,kafka2:9092", "topic": "orders"}
PASSWORD = {"sasl_username": "user", "sasl_password": "hunter2"}
CREDENTIALS = {
    "PLAIN": PASSWORD,
    "SCRAM-SHA-256": PASSWORD,
    "SCRAM-SHA-512": PASSWORD,
    "OAUTHBEARER": {"oauth_token": "hunter2"},
    "AWS_MSK_IAM": {
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": "hunter2",
        "aws_region": "us-east-1",
    },
}


def consumer(**options):
    return consumer_options(KafkaSourceConfig(**REQUIRED, **options), "me")


def producer(**options):
    return producer_options(KafkaSinkConfig(**REQUIRED, **options), "me")


def admin(**options):
    return admin_options(KafkaSinkConfig(**REQUIRED, **options), "me")


CLIENTS = [(KafkaConsumer, consumer), (KafkaProducer, producer), (KafkaAdminClient, admin)]


# Conversions


@pytest.mark.parametrize(
    ("option", "value", "theirs"),
    [
        ("consumer_group", "g", {"group_id": "g"}),
        ("start_offset", "earliest", {"auto_offset_reset": "earliest"}),
        ("start_offset", "latest", {"auto_offset_reset": "latest"}),
        ("isolation_level", "read_uncommitted", {"isolation_level": "read_uncommitted"}),
        ("isolation_level", "read_committed", {"isolation_level": "read_committed"}),
        ("max_poll_records", 7, {"max_poll_records": 7}),
        ("max_poll_interval_ms", 70_000, {"max_poll_interval_ms": 70_000}),
        ("session_timeout_ms", 7_000, {"session_timeout_ms": 7_000}),
        ("heartbeat_interval_ms", 70, {"heartbeat_interval_ms": 70}),
        ("fetch_min_bytes", 7, {"fetch_min_bytes": 7}),
        ("fetch_max_bytes", 7_000, {"fetch_max_bytes": 7_000}),
        ("request_timeout_ms", 7_000, {"request_timeout_ms": 7_000}),
        ("client_id", "c", {"client_id": "c"}),
    ],
)
def test_source_options_mean_the_same_to_kafka_python(option, value, theirs):
    assert theirs.items() <= consumer(**{option: value}).items()


@pytest.mark.parametrize(
    ("option", "value", "theirs"),
    [
        ("acks", "none", {"acks": 0}),
        ("acks", "leader", {"acks": 1}),
        ("acks", "all", {"acks": -1}),
        ("idempotent", True, {"enable_idempotence": True}),
        ("idempotent", False, {"enable_idempotence": False}),
        ("retries", 7, {"retries": 7}),
        ("retry_backoff_ms", 70, {"retry_backoff_ms": 70}),
        ("request_timeout_ms", 7_000, {"request_timeout_ms": 7_000}),
        ("client_id", "c", {"client_id": "c"}),
    ],
)
def test_sink_options_mean_the_same_to_kafka_python(option, value, theirs):
    assert theirs.items() <= producer(**{option: value}).items()


@pytest.mark.parametrize(("client", "options"), CLIENTS)
def test_kafka_python_knows_every_option_it_gets(client, options):
    made = options()
    # Where the connection comes from; a misspelt option would be refused by the client, but only when it runs.
    assert set(made) <= {*client.DEFAULT_CONFIG, "bootstrap_servers"}
    assert list(made["bootstrap_servers"]) == ["kafka1:9092", "kafka2:9092"]
    assert made["client_id"] == "me", "the connector's name, where none is given"


@pytest.mark.parametrize(
    ("option", "words", "values"),
    [
        ("protocol", SecurityProtocol, ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        ("sasl_mechanism", SaslMechanism, list(CREDENTIALS)),
    ],
)
def test_words_of_the_security_section(option, words, values):
    assert [str(word) for word in words] == values
    assert [words(value).value for value in values] == values
    for wrong in ("tls", values[0].lower(), "", 7):
        with pytest.raises(ConfigError, match=rf"security\.{option}: got .*: expected .*'{values[0]}'"):
            KafkaSourceConfig(**REQUIRED, security={option: wrong})


# Security


@pytest.mark.parametrize(("client", "options"), CLIENTS)
@pytest.mark.parametrize("mechanism", CREDENTIALS)
def test_every_client_can_log_in_with_every_mechanism(client, options, mechanism):
    security = {"protocol": "SASL_SSL", "sasl_mechanism": mechanism, **CREDENTIALS[mechanism]}
    made = options(security=security)
    assert (made["security_protocol"], made["sasl_mechanism"]) == ("SASL_SSL", mechanism)
    assert set(made) <= {*client.DEFAULT_CONFIG, "bootstrap_servers"}
    # kafka-python's mechanism checks that it has what it needs, and forms its first message.
    login = get_sasl_mechanism(mechanism)(host="broker.example", **made)
    first = login.auth_bytes()
    assert first
    named = {"OAUTHBEARER": b"hunter2", "AWS_MSK_IAM": b"AKIDEXAMPLE"}.get(mechanism, b"user")
    assert named in first
    # Only these two hand the secret itself to the broker, which is why they want TLS.
    assert (b"hunter2" in first) is (mechanism in ("PLAIN", "OAUTHBEARER"))


@pytest.mark.parametrize("options", [consumer, producer, admin])
def test_iam_credentials_never_travel_without_tls(options):
    security = {"sasl_mechanism": "AWS_MSK_IAM", **CREDENTIALS["AWS_MSK_IAM"]}
    with pytest.raises(ConfigError, match="AWS_MSK_IAM requires SASL_SSL") as caught:
        options(security={"protocol": "SASL_PLAINTEXT", **security})
    assert "hunter2" not in str(caught.value)
    assert options(security={"protocol": "SASL_SSL", **security})["security_protocol"] == "SASL_SSL"


# Headers


@pytest.mark.parametrize("count", [0, 1, 59, 60, 61, 62, 63, 64, 65, 8_191, 8_192])
def test_any_number_of_headers_has_room(count):
    """Their number is written before them, in one byte up to 63 and in two up to 8191."""
    own = [(f"h{number}", b"%d" % number) for number in range(count)]
    custom = [("a", "1"), ("b", "2")]
    encoder = SinkEncoder(1, custom_headers=custom, batch_size_bytes=1 << 20)
    [record] = encode(encoder, block_from_rows("events", 0, [(NOW, b"k", b"v", own)]))[0]
    assert record.headers[: count + 2] == [*own, ("a", b"1"), ("b", b"2")]
    assert [name for name, _ in record.headers[count + 2 :]] == [
        *("rivven_stream", "rivven_event_type", "rivven_position"),
    ]


@pytest.mark.parametrize("value_format", ["raw", "event"])
def test_headers_count_towards_the_size_of_a_batch(value_format):
    custom = [(f"custom-{number}", "x" * 50) for number in range(10)]
    encoder = SinkEncoder(1, custom_headers=custom, batch_size_bytes=4_000, value_format=value_format)
    encoder.append(values_block([event('{"id": 1}')] * 100))
    batches = encoder.take_ready(0)
    assert sum(len(records(batch)) for batch in batches) == 100
    assert len(batches) > 10
    assert all(batch.size_bytes <= 4_000 for batch in batches)


# Specification

DOCUMENTED_SOURCE = {
    **REQUIRED,
    "consumer_group": "rivven-migration",
    "start_offset": "earliest",
    "max_poll_records": 500,
    "max_poll_interval_ms": 300000,
    "session_timeout_ms": 30000,
    "heartbeat_interval_ms": 3000,
    "fetch_min_bytes": 1,
    "fetch_max_bytes": 52428800,
    "request_timeout_ms": 30000,
    "empty_poll_delay_ms": 100,
    "isolation_level": "read_uncommitted",
    "enable_auto_commit": True,
    "auto_commit_interval_ms": 5000,
    "include_headers": True,
    "include_key": True,
    "client_id": "my-consumer",
    "security": {"protocol": "PLAINTEXT"},
}
DOCUMENTED_SINK = {
    **REQUIRED,
    "acks": "all",
    "compression": "lz4",
    "batch_size_bytes": 16384,
    "linger_ms": 5,
    "request_timeout_ms": 30000,
    "retries": 3,
    "retry_backoff_ms": 100,
    "idempotent": True,
    "transactional_id": "rivven-producer-1",
    "key_field": "order_id",
    "include_headers": True,
    "custom_headers": {"source": "rivven", "environment": "production"},
    "client_id": "my-producer",
    "security": {"protocol": "PLAINTEXT"},
}
SPECS = [(KafkaSource, DOCUMENTED_SOURCE), (KafkaSink, DOCUMENTED_SINK)]


@pytest.mark.parametrize(("connector", "documented"), SPECS)
def test_the_specification_is_a_schema_of_the_documented_options(connector, documented):
    spec = connector.spec()
    jsonschema.Draft202012Validator.check_schema(spec)
    valid = jsonschema.Draft202012Validator(spec)
    assert set(documented) <= set(spec["properties"])
    assert valid.is_valid(documented)
    assert valid.is_valid(REQUIRED)
    for name in documented:
        assert spec["properties"][name]["description"]


@pytest.mark.parametrize(("connector", "documented"), SPECS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": 1},
        {"request_timeout_ms": 0},
        {"request_timeout_ms": "soon"},
        {"include_headers": "perhaps"},
        {"security": {"protocol": "TLS"}},
        {"security": {"sasl_mechanism": "KERBEROS"}},
        {"client_id": []},
    ],
)
def test_the_specification_refuses_what_the_connector_refuses(connector, documented, wrong):
    # The schema knows nothing of transactions being available or not.
    options = {name: value for name, value in documented.items() if name != "transactional_id"} | wrong
    assert not jsonschema.Draft202012Validator(connector.spec()).is_valid(options)
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        connector(**options)


@pytest.mark.parametrize("connector", [KafkaSource, KafkaSink])
def test_the_specification_marks_secrets(connector):
    security = connector.spec()["$defs"]["SecurityConfig"]["properties"]
    secret = {"sasl_password", "oauth_token", "aws_access_key_id", "aws_secret_access_key"}
    for name in secret:
        assert '"writeOnly": true' in str(security[name]).replace("'", '"').replace("True", "true"), name
    assert "writeOnly" not in str(security["sasl_username"])
