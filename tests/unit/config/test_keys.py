"""Every documented key: its default, its range, and the types it refuses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import rivven_kafka
from pydantic import SecretStr
from rivven_kafka.config import (
    Acks,
    BrokerConfig,
    Compression,
    DeliveryGuarantee,
    IsolationLevel,
    KafkaSinkConfig,
    KafkaSourceConfig,
    OnError,
    OnLogDamage,
    OnTombstone,
    Ordering,
    Partitioning,
    SecurityConfig,
    SecurityProtocol,
    StartOffset,
    ValueFormat,
)
from rivven_kafka.config.oauth import OAuthConfig
from rivven_kafka.errors import ConfigError

REQUIRED = {"brokers": "kafka1:9092", "topic": "orders"}
MODELS = {"source": KafkaSourceConfig, "sink": KafkaSinkConfig}
INT32 = 2**31 - 1
INT64 = 2**63 - 1
MIB = 1024 * 1024

SOURCE_DEFAULTS = {
    "topics": (),
    "topics_regex": None,
    "topics_exclude": (),
    "kafka_options": {},
    "consumer_group": "rivven-connect",
    "start_offset": StartOffset.EARLIEST,
    "max_poll_records": 500,
    "max_poll_interval_ms": 300000,
    "session_timeout_ms": 30000,
    "heartbeat_interval_ms": 3000,
    "fetch_min_bytes": 1,
    "fetch_max_bytes": 52428800,
    "max_partition_fetch_bytes": MIB,
    "request_timeout_ms": 30000,
    "empty_poll_delay_ms": 100,
    "isolation_level": IsolationLevel.READ_UNCOMMITTED,
    "check_crcs": True,
    "enable_auto_commit": True,
    "auto_commit_interval_ms": 5000,
    "include_headers": True,
    "include_key": True,
    "client_id": None,
    "security": SecurityConfig(),
    "value_format": ValueFormat.EVENT,
    "partitioning": Partitioning.PRESERVE,
    "ordering": Ordering.PARTITION,
    "delivery_guarantee": DeliveryGuarantee.AT_LEAST_ONCE,
    "on_log_damage": OnLogDamage.FAIL,
    "on_tombstone": OnTombstone.FAIL,
    "on_error": OnError.FAIL,
    "connections": 64,
    "max_batch_records": 200,
    "max_request_size": MIB,
    "max_in_flight_bytes": 64 * MIB,
    "shutdown_timeout_ms": 30000,
    "stall_timeout_ms": None,
}
SINK_DEFAULTS = {
    "kafka_options": {},
    "acks": Acks.ALL,
    "compression": Compression.NONE,
    "batch_size_bytes": 16384,
    "linger_ms": 5,
    "request_timeout_ms": 30000,
    "retries": 3,
    "retry_backoff_ms": 100,
    "delivery_timeout_ms": 120000,
    "max_request_size": None,
    "idempotent": None,
    "transactional_id": None,
    "transaction_max_records": 100_000,
    "transaction_interval_ms": 100,
    "key_field": None,
    "on_missing_key_field": "fallback",
    "include_headers": True,
    "custom_headers": {},
    "client_id": None,
    "security": SecurityConfig(),
    "value_format": ValueFormat.RAW,
    "partitioning": None,
    "on_error": OnError.FAIL,
    "on_log_damage": OnLogDamage.FAIL,
    "connections": 16,
    "commit_interval_ms": 100,
    "session_timeout_ms": 10000,
    "heartbeat_interval_ms": 500,
    "max_in_flight_bytes": 64 * MIB,
    "shutdown_timeout_ms": 30000,
    "stall_timeout_ms": None,
}
SECURITY_DEFAULTS = {
    "protocol": SecurityProtocol.PLAINTEXT,
    "sasl_mechanism": None,
    "sasl_username": None,
    "sasl_password": None,
    "oauth_token": None,
    "oauth": OAuthConfig(),
    "aws_access_key_id": None,
    "aws_secret_access_key": None,
    "aws_session_token": None,
    "aws_profile": None,
    "aws_role_arn": None,
    "aws_role_session_name": None,
    "aws_region": None,
    "ssl_ca_cert": None,
    "ssl_client_cert": None,
    "ssl_client_key": None,
    "ssl_key_password": None,
    "ssl_check_hostname": True,
}

# (part, key, smallest, largest), beside the defaults of the other keys
RANGES = [
    ("source", "max_poll_records", 1, INT32),
    ("source", "max_poll_interval_ms", 1, INT32),
    ("source", "session_timeout_ms", 3001, INT32),
    ("source", "heartbeat_interval_ms", 1, 29999),
    ("source", "fetch_min_bytes", 0, 52428800),
    ("source", "fetch_max_bytes", 1, INT32),
    ("source", "max_partition_fetch_bytes", 1, INT32),
    ("source", "request_timeout_ms", 1, INT32),
    ("source", "empty_poll_delay_ms", 0, INT32),
    ("source", "auto_commit_interval_ms", 1, INT32),
    ("source", "connections", 1, 100),
    ("source", "max_batch_records", 1, 10000),
    ("source", "max_request_size", 1024, 10485760),
    ("source", "max_in_flight_bytes", MIB, INT64),
    ("source", "shutdown_timeout_ms", 0, INT32),
    ("source", "stall_timeout_ms", 0, INT32),
    ("sink", "batch_size_bytes", 1, 64 * MIB),
    ("sink", "linger_ms", 0, 90000),
    ("sink", "request_timeout_ms", 1, 119995),
    ("sink", "retries", 0, INT32),
    ("sink", "retry_backoff_ms", 0, INT32),
    ("sink", "delivery_timeout_ms", 30005, INT32),
    ("sink", "max_request_size", 16384, INT32),
    ("sink", "transaction_max_records", 1, INT32),
    ("sink", "transaction_interval_ms", 1, 30000),
    ("sink", "connections", 1, 100),
    ("sink", "commit_interval_ms", 1, INT32),
    ("sink", "session_timeout_ms", 1000, INT32),
    ("sink", "heartbeat_interval_ms", 10, 9999),
    ("sink", "max_in_flight_bytes", MIB, INT64),
    ("sink", "shutdown_timeout_ms", 0, INT32),
    ("sink", "stall_timeout_ms", 0, INT32),
]
INTEGER_KEYS = [(part, key) for part, key, _, _ in RANGES]
BOOLEAN_KEYS = [
    ("source", "check_crcs"),
    ("source", "enable_auto_commit"),
    ("source", "include_headers"),
    ("source", "include_key"),
    ("sink", "idempotent"),
    ("sink", "include_headers"),
]
CHOICES = [
    ("source", "start_offset", ["earliest", "latest"]),
    ("source", "isolation_level", ["read_uncommitted", "read_committed"]),
    ("source", "value_format", ["event", "raw"]),
    ("source", "partitioning", ["preserve", "key"]),
    ("source", "ordering", ["partition", "key"]),
    ("source", "on_error", ["fail", "skip", "dead_letter"]),
    ("sink", "acks", ["none", "leader", "all"]),
    ("sink", "compression", ["none", "gzip", "snappy", "lz4", "zstd"]),
    ("sink", "value_format", ["raw", "event"]),
    ("sink", "partitioning", ["preserve", "key"]),
    ("sink", "on_error", ["fail", "skip", "dead_letter"]),
    ("sink", "on_log_damage", ["fail", "continue"]),
]


def build(part, **options):
    return MODELS[part].build({**REQUIRED, **options})


@pytest.mark.parametrize(
    ("model", "options", "defaults"),
    [
        (KafkaSourceConfig, REQUIRED, SOURCE_DEFAULTS),
        (KafkaSinkConfig, REQUIRED, SINK_DEFAULTS),
        (SecurityConfig, {}, SECURITY_DEFAULTS),
    ],
)
def test_every_key_has_the_documented_default(model, options, defaults):
    config = model.build(options)
    assert {key: getattr(config, key) for key in defaults} == defaults
    assert set(model.model_fields) == set(defaults) | set(options)


@pytest.mark.parametrize("model", [KafkaSourceConfig, KafkaSinkConfig, SecurityConfig, BrokerConfig])
def test_every_key_is_described_with_its_unit(model):
    for key, field in model.model_fields.items():
        assert field.description, key
        if key.endswith("_ms"):
            assert "(ms)" in field.description, key
        if "bytes" in key or key.endswith("_size"):
            assert "(bytes)" in field.description, key


@pytest.mark.parametrize(("part", "key", "low", "high"), RANGES)
def test_integers_are_taken_up_to_their_bounds_and_no_further(part, key, low, high):
    assert getattr(build(part, **{key: low}), key) == low
    with pytest.raises(ConfigError, match=rf"{key}.*: expected |expected .*{key}"):
        build(part, **{key: low - 1})
    assert getattr(build(part, **{key: high}), key) == high
    with pytest.raises(ConfigError, match=rf"{key}.*: expected |expected .*{key}"):
        build(part, **{key: high + 1})


@pytest.mark.parametrize(("part", "key"), INTEGER_KEYS)
@pytest.mark.parametrize("value", [True, 5.0, 5.5, "5.0", "five", "", "1_0", " 5", [], {}, b"5"])
def test_integers_refuse_everything_else(part, key, value):
    with pytest.raises(ConfigError, match=rf"^{key}: got .*: expected an integer"):
        build(part, **{key: value})


def test_integers_may_be_strings_of_digits():
    assert build("source", max_poll_records="250").max_poll_records == 250


@pytest.mark.parametrize(("part", "key"), BOOLEAN_KEYS)
def test_booleans_take_true_and_false_only(part, key):
    assert getattr(build(part, **{key: "true"}), key) is True
    assert getattr(build(part, **{key: False}), key) is False
    # Null is as good as nothing where the default depends on other options.
    absent = [] if key == "idempotent" else [None]
    for value in (0, 1, "yes", "on", "1", [], *absent):
        with pytest.raises(ConfigError, match=rf"^{key}: got .*: expected true or false$"):
            build(part, **{key: value})


@pytest.mark.parametrize(("part", "key", "words"), CHOICES)
def test_choices_take_their_words_only(part, key, words):
    for word in words:
        assert getattr(build(part, **{key: word}), key) == word
    for value in ("none of them", 7, True, []):
        with pytest.raises(ConfigError, match=rf"^{key}: got .*: expected .*'{words[0]}'"):
            build(part, **{key: value})


@pytest.mark.parametrize(
    ("given", "meant"),
    [(0, "none"), (1, "leader"), (-1, "all"), ("0", "none"), ("1", "leader"), ("-1", "all"), ("all", "all")],
)
def test_acks_takes_the_numbers_of_kafka(given, meant):
    assert build("sink", acks=given).acks == meant


@pytest.mark.parametrize("value", [2, "2", True, 1.0, None])
def test_acks_refuses_other_numbers(value):
    with pytest.raises(ConfigError, match="^acks: got "):
        build("sink", acks=value)


@pytest.mark.parametrize("part", MODELS)
@pytest.mark.parametrize(
    ("brokers", "parsed"),
    [
        ("kafka1:9092,kafka2:9092", ("kafka1:9092", "kafka2:9092")),
        (" a:1 , b:65535 ", ("a:1", "b:65535")),
        (f"{63 * 'a'}.b.:1", (f"{63 * 'a'}.b.:1",)),
        (["a:1", "10.0.0.1:2"], ("a:1", "10.0.0.1:2")),
        ("[::1]:9092", ("[::1]:9092",)),
    ],
)
def test_brokers_are_a_list_or_a_string_with_commas(part, brokers, parsed):
    assert build(part, brokers=brokers).brokers == parsed


@pytest.mark.parametrize("part", MODELS)
@pytest.mark.parametrize(
    "brokers",
    [
        "",
        " ",
        ",",
        [],
        [""],
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:x",
        "a b:1",
        "::1:9092",
        "[::z]:1",
        "a:1,",
        "a..b:1",
        ".a:1",
        f"{64 * 'a'}.b:1",
        None,
        5,
    ],
)
def test_brokers_are_checked(part, brokers):
    with pytest.raises(ConfigError, match=r"^brokers(\[\d\])?: got .*: expected "):
        build(part, brokers=brokers)


@pytest.mark.parametrize("part", MODELS)
@pytest.mark.parametrize("topic", ["", ".", "..", "a b", "a/b", "a" * 250, "é", "a\n", 5])
def test_kafka_topics_are_checked(part, topic):
    with pytest.raises(ConfigError, match="^topic: got .*: expected "):
        build(part, topic=topic)


@pytest.mark.parametrize("part", MODELS)
def test_brokers_and_topic_are_required(part):
    with pytest.raises(ConfigError) as raised:
        MODELS[part]()
    # The rules about several options are checked when each is right by itself.
    assert str(raised.value).splitlines()[0] == "brokers: missing, and it has no default"
    with pytest.raises(ConfigError, match="^topic: missing"):
        MODELS[part](brokers="a:1")


@pytest.mark.parametrize(
    ("part", "typo", "meant"),
    [
        ("source", "groep", "group.id"),
        ("source", "nonsense", None),
        ("source", "sesion_timeout_ms", "session_timeout_ms"),
        ("source", "Topics", "topics"),
        ("sink", "batch_size", "batch_size_bytes"),
        ("sink", "compresion", "compression"),
    ],
)
def test_unknown_keys_are_errors_with_the_nearest_match(part, typo, meant):
    with pytest.raises(ConfigError) as raised:
        build(part, **{typo: "x"})
    suggestion = f"; did you mean {meant!r}?" if meant else ""
    assert str(raised.value) == f"{typo}: unknown key{suggestion}"


def test_all_problems_are_listed():
    with pytest.raises(ConfigError) as raised:
        KafkaSourceConfig(
            topic="a/b", connections=0, include_key="no", nonsense=1, security={"protocol": "TLS"}
        )
    keys = {line.partition(":")[0] for line in str(raised.value).splitlines()}
    assert keys == {"brokers", "topic", "connections", "include_key", "nonsense", "security.protocol"}


def test_custom_headers_keep_their_order_and_hold_strings():
    headers = {"zone": "b", "app": "a"}
    assert list(build("sink", custom_headers=headers).custom_headers.items()) == list(headers.items())
    with pytest.raises(
        ConfigError, match=r"^custom_headers.app: got an integer: expected a string \(put it in"
    ):
        build("sink", custom_headers={"app": 1})
    with pytest.raises(ConfigError, match="^custom_headers"):
        build("sink", custom_headers={"": "x"})


def test_models_are_immutable_and_survive_a_round_trip():
    for part, model in MODELS.items():
        config = build(part, client_id="me")
        with pytest.raises(ValueError, match="frozen"):
            config.topic = "other"
        assert model.build(config.model_dump()) == config


def test_the_schema_holds_ranges_defaults_and_descriptions():
    connections = KafkaSourceConfig.model_json_schema()["properties"]["connections"]
    assert (connections["minimum"], connections["maximum"], connections["default"]) == (1, 100, 64)
    assert "connections" in connections["description"]


def test_secrets_are_secret_types():
    secret = re.compile("password|token|access_key")
    for key, field in SecurityConfig.model_fields.items():
        assert bool(secret.search(key)) == (SecretStr.__name__ in str(field.annotation)), key


def test_reading_the_configuration_loads_neither_kafka_nor_native_code():
    code = (
        "import sys, rivven_kafka.config; "
        "print([m for m in sys.modules if m.split('.')[0] == 'kafka' or m.startswith('rivven_kafka._')])"
    )
    package_root = str(Path(rivven_kafka.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": package_root},
    )
    assert done.stdout == "[]\n"
