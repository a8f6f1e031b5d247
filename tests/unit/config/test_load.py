"""Configuration files: both shapes, what they may contain, and how errors point into them."""

import textwrap
from datetime import UTC, datetime

import pytest
from rivven_kafka.config import Acks, Compression, StartOffset, load_connect_file, parse_connect
from rivven_kafka.errors import ConfigError

from tests.unit.config.documents import AWS, CONNECT, OAUTH, SASL, SINK, SOURCE


def test_the_documented_source(load):
    config = load(SOURCE)
    assert list(config.sources) == ["kafka-source"]
    assert config.sinks == {}
    assert config.broker.bootstrap_servers == ("127.0.0.1:9092",)
    entry = config.sources["kafka-source"]
    assert (entry.topic, entry.config.topic, entry.config.client_id) == (
        "kafka-events",
        "orders",
        "my-consumer",
    )
    assert entry.config.brokers == ("kafka1:9092", "kafka2:9092")


def test_the_documented_sink(load):
    config = load(SINK)
    entry = config.sinks["kafka-sink"]
    assert (entry.topics, entry.consumer_group) == (("events",), "kafka-producer")
    assert entry.start_offset is StartOffset.LATEST
    assert entry.config.compression is Compression.LZ4
    assert entry.config.acks is Acks.ALL
    assert entry.config.transactional_id == "rivven-producer-1"
    assert list(entry.config.custom_headers) == ["source", "environment"]


@pytest.mark.parametrize("security", [SASL, OAUTH, AWS])
def test_the_documented_security_sections(load, security):
    indented = textwrap.indent(security, "  ")
    config = load(SOURCE.replace("    protocol: PLAINTEXT\n", indented))
    assert config.sources["kafka-source"].config.security.protocol == "SASL_SSL"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)
    assert "hunter2" not in str(config.model_dump())
    assert "hunter2" not in config.model_dump_json()


def test_the_file_of_rivven_connect(load):
    config = load(CONNECT)
    assert config.broker.bootstrap_servers == ("localhost:9092", "rivven2:9092")
    assert config.broker.connection_timeout_ms == 5000
    assert config.broker.request_timeout_ms == 20000
    assert list(config.sources) == ["orders", "paused"]
    assert list(config.enabled_sources) == ["orders"]
    assert list(config.enabled_sinks) == ["replica", "since"]
    assert config.sources["orders"].topic_config.partitions == 6
    assert config.sinks["replica"].start_offset is StartOffset.EARLIEST
    assert config.sinks["since"].start_offset == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert config.settings.topic.default_partitions == 3


def test_the_defaults_of_the_sections(load):
    config = load("""
        version: 1.0
        broker: {bootstrap_servers: "a:1,b:2"}
        sinks:
          s: {connector: kafka, topics: [t], consumer_group: g, config: {brokers: "k:1", topic: t}}
        """)
    assert config.broker.connection_timeout_ms == 10000
    assert config.broker.request_timeout_ms == 30000
    assert config.broker.tls.enabled is False
    retry = config.settings.retry
    assert (retry.max_retries, retry.initial_backoff_ms, retry.max_backoff_ms) == (10, 100, 30000)
    assert retry.backoff_multiplier == 2.0
    topic = config.settings.topic
    assert (topic.auto_create, topic.default_partitions, topic.require_topic_exists) == (True, 1, True)
    assert config.sinks["s"].offset_commit_interval is None


def test_the_servers_and_the_log_level(load):
    config = load(
        CONNECT.replace("health: {enabled: false", "health: {enabled: true")
        .replace("metrics: {enabled: false, port: 9091", "metrics: {enabled: true, port: 8080")
        .replace("log_level: info", "log_level: warn")
    )
    health, metrics = config.settings.health, config.settings.metrics
    assert (health.enabled, health.host, health.port, health.path) == (True, "127.0.0.1", 8080, "/health")
    assert (metrics.enabled, metrics.host, metrics.port) == (True, "127.0.0.1", 8080)
    assert config.settings.log_level == "warn"


def test_every_problem_has_its_line(problems):
    found = problems("""\
        broker:
          bootstrap_servers: [nowhere]
        sources:
          orders:
            connector: kafka
            topic: orders
            config:
              brokers: k:1
              topic: orders
              sesion_timeout_ms: 1
              connections: ${CONNECTIONS}
              client_id: ${MISSING}
              security: {protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_username: u, sasl_password: 7}
        """, {"CONNECTIONS": "hunter2"})  # fmt: skip
    assert found == [
        "connect.yaml:2: broker.bootstrap_servers[0]: got 'nowhere': expected host:port, with a port from 1 to 65535",
        "connect.yaml:10: sources.orders.config.sesion_timeout_ms: unknown key; did you mean 'session_timeout_ms'?",
        "connect.yaml:11: sources.orders.config.connections: got the value of ${CONNECTIONS}: expected an integer from "
        "1 to 100",
        "connect.yaml:12: sources.orders.config.client_id: environment variable MISSING is not set and has no default; "
        "${MISSING:-...} gives one",
        "connect.yaml:13: sources.orders.config.security.sasl_password: got ***: expected a string (put it in quotes)",
    ]


def test_an_expanded_number_is_a_number(load):
    config = load(SOURCE.replace("max_poll_records: 500 ", "max_poll_records: ${N:-7} "))
    assert config.sources["kafka-source"].config.max_poll_records == 7


def test_a_secret_in_the_wrong_place_is_not_shown(problems):
    for key in ("protocol: ${KAFKA_PASSWORD}", "sasl_mechanism: ${KAFKA_PASSWORD}", "sasl_pasword: hunter2"):
        problems(SOURCE.replace("protocol: PLAINTEXT", key))
    problems(SOURCE.replace('"kafka1:9092,kafka2:9092"', "${KAFKA_PASSWORD}"))
    problems(SOURCE.replace('"kafka1:9092,kafka2:9092"', "user:hunter2@kafka1:9092"))
    problems(SOURCE.replace("\n    protocol: PLAINTEXT", " hunter2"))


def test_the_short_shape_takes_a_broker_and_a_start(load, problems):
    config = load(SINK + "broker: {bootstrap_servers: rivven1:9092}\nstart_offset: earliest\n")
    assert config.broker.bootstrap_servers == ("rivven1:9092",)
    assert config.sinks["kafka-sink"].start_offset is StartOffset.EARLIEST
    for kind in ("kafka", "kafka-sinks", "[a]"):
        assert problems(SINK.replace("type: kafka-sink", f"type: {kind}"))[0].startswith(
            "connect.yaml:2: type: got "
        )
    assert problems(SINK + "sources: {}\n") == ["connect.yaml:33: sources: unknown key"]
    assert problems(SINK + "connector: kafka\n") == ["connect.yaml:33: connector: unknown key beside type"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "got null: expected a mapping"),
        ("[1, 2]", "got a list: expected a mapping"),
        ("a: 1\nb: {x: 1, y: 2, x: 3}", "connect.yaml:2: key 'x' is given twice, first in line 2"),
        ("a: 1\n\na: 2", "connect.yaml:3: key 'a' is given twice, first in line 1"),
        ("a: [", "connect.yaml:1: not valid YAML, column 5: "),
        ("a: 1\n---\nb: 2", "connect.yaml:2: not valid YAML, column 1: "),
        ("a: !!python/object:os.system x", "connect.yaml:1: not valid YAML, column 4: "),
        ("a: \0", "not valid YAML (ReaderError)"),
        ("a: " + "9" * 5000, "not valid YAML (ValueError)"),
        ("[" * 5000, "not valid YAML"),
        ("? [a]\n: b", "connect.yaml:1: not valid YAML, column 3: found unhashable key"),
        ("a: &a [*a]", "nested too deep, or too many values"),
    ],
)
def test_what_is_not_a_configuration_file(problems, text, problem):
    assert problem in "\n".join(problems(text))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "*hunter2",
            "found undefined alias; a value that begins with a special character, such as * or !, has to",
        ),
        (
            "!hunter2",
            "could not determine a constructor for the tag; a value that begins with a special character",
        ),
        (
            "!hunter2'x",
            "could not determine a constructor for the tag; a value that begins with a special charac",
        ),
        (
            "!<hunter2%22%27>",
            "could not determine a constructor for the tag; a value that begins with a special",
        ),
        (
            "!hunter2!x",
            "found undefined tag handle; a value that begins with a special character, such as * or !",
        ),
        ("&hunter2 [&hunter2 a]", "second occurrence"),
        (
            "@hunter2",
            "found character '@' that cannot start any token; a value that begins with a special char",
        ),
        ("[a, hunter2: b: c", "expected ',' or ']', but got ':'"),
        ('"a" hunter2', "expected <block end>, but found '<scalar>'"),
        ('"\\hunter2"', "found unknown escape character; a value"),
        ("!!bool hunter2", "not valid YAML (KeyError)"),
        ("!!timestamp hunter2", "not valid YAML (AttributeError)"),
        ("!!int hunter2", "not valid YAML (ValueError)"),
        ("!!float hunter2", "not valid YAML (ValueError)"),
        ("!!binary hünter2", "failed to convert base64 data into ascii; a value"),
    ],
)
def test_a_value_that_is_not_yaml_is_not_shown(problems, value, reason):
    [problem] = problems(f"a: 1\npassword: {value}\n")
    assert reason in problem
    assert "unter2" not in problem


def test_yaml_means_what_it_means_to_rivven_connect(load):
    config = load(
        SOURCE.replace("my-consumer ", "no ").replace("max_poll_records: 500 ", "max_poll_records: 0012 ")
    )
    assert config.sources["kafka-source"].config.client_id == "no"
    assert config.sources["kafka-source"].config.max_poll_records == 12


def test_merge_keys_work(load):
    config = load("""
        broker: {bootstrap_servers: "a:1"}
        sources:
          one: &one {connector: kafka, topic: one, config: {brokers: "k:1", topic: t}}
          two: {<<: *one, topic: two}
        """)
    assert config.sources["two"].topic == "two"
    assert config.sources["two"].config == config.sources["one"].config


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml: cannot be read: No such file or directory"):
        load_connect_file(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="binary.yaml: expected UTF-8 text"):
        load_connect_file(tmp_path / "binary.yaml")


def test_the_environment_is_that_of_the_process_unless_given(tmp_path, monkeypatch):
    (tmp_path / "c.yaml").write_text(SOURCE.replace("topic: kafka-events", "topic: ${RIVVEN_TOPIC}"))
    monkeypatch.setenv("RIVVEN_TOPIC", "from-environment")
    assert load_connect_file(tmp_path / "c.yaml").sources["kafka-source"].topic == "from-environment"


def test_parsed_data_is_validated_without_expansion():
    with pytest.raises(ConfigError, match=r"^here: sources.a.topic: got '\$\{X\}': expected a Rivven topic"):
        parse_connect(
            {
                "broker": {"bootstrap_servers": ["a:1"]},
                "sources": {
                    "a": {"connector": "kafka", "topic": "${X}", "config": {"brokers": "a:1", "topic": "t"}}
                },
            },
            "here",
        )
