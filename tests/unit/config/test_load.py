"""Configuration files: both shapes, what they may contain, and how errors point into them."""

import textwrap
from datetime import UTC, datetime

import pytest
from rivven_kafka.config import Acks, Compression, StartOffset, load_connect_file, parse_connect
from rivven_kafka.errors import ConfigError

SOURCE = """
type: kafka-source
topic: kafka-events             # Rivven topic (destination for consumed messages)
config:
  brokers: "kafka1:9092,kafka2:9092"
  topic: orders                 # Kafka topic (external source to consume from)
  consumer_group: rivven-migration  # default: "rivven-connect"
  start_offset: earliest        # earliest (default), latest

  # Consumer tuning
  max_poll_records: 500           # default: 500
  max_poll_interval_ms: 300000    # default: 300000
  session_timeout_ms: 30000       # default: 30000
  heartbeat_interval_ms: 3000     # default: 3000
  fetch_min_bytes: 1              # default: 1
  fetch_max_bytes: 52428800       # default: 50 MB
  request_timeout_ms: 30000       # default: 30000
  empty_poll_delay_ms: 100        # default: 100

  # Transactional reads
  isolation_level: read_uncommitted  # read_uncommitted (default), read_committed

  # Consumer offsets
  enable_auto_commit: true        # default: true
  auto_commit_interval_ms: 5000   # default: 5000

  # Data options
  include_headers: true           # include Kafka headers in event metadata
  include_key: true               # include message key in event metadata
  client_id: my-consumer          # optional client ID

  # Security (optional)
  security:
    protocol: PLAINTEXT
"""
SINK = """
type: kafka-sink
topics: [events]                # Rivven topics to consume from
consumer_group: kafka-producer
config:
  brokers: "kafka1:9092"
  topic: orders-replica         # Kafka topic (external destination)

  # Producer settings
  acks: all                     # none, leader, all (default: all)
  compression: lz4              # none, gzip, snappy, lz4, zstd (default: none)
  batch_size_bytes: 16384       # default: 16384 (16 KB)
  linger_ms: 5                  # default: 5
  request_timeout_ms: 30000     # default: 30000
  retries: 3                    # default: 3
  retry_backoff_ms: 100         # default: 100

  # Exactly-once (optional)
  idempotent: true
  transactional_id: rivven-producer-1

  # Message options
  key_field: order_id           # extract key from event JSON data
  include_headers: true         # include Rivven metadata as Kafka headers
  custom_headers:               # static headers added to every message
    source: rivven
    environment: production
  client_id: my-producer        # optional client ID

  # Security (optional)
  security:
    protocol: PLAINTEXT
"""
SASL = """
  protocol: SASL_SSL
  sasl_mechanism: PLAIN
  sasl_username: user
  sasl_password: ${KAFKA_PASSWORD}
  ssl_ca_cert: /etc/ssl/ca.pem
  ssl_client_cert: /etc/ssl/client.pem
  ssl_client_key: /etc/ssl/client-key.pem
"""
OAUTH = """
  protocol: SASL_SSL
  sasl_mechanism: OAUTHBEARER
  oauth_token: ${OAUTH_TOKEN}
"""
AWS = """
  protocol: SASL_SSL
  sasl_mechanism: AWS_MSK_IAM
  aws_access_key_id: ${AWS_ACCESS_KEY_ID}
  aws_secret_access_key: ${AWS_SECRET_ACCESS_KEY}
  aws_region: us-east-1
"""
ENV = {
    "KAFKA_PASSWORD": "hunter2",
    "OAUTH_TOKEN": "hunter2",
    "AWS_ACCESS_KEY_ID": "AKIA1",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
}
CONNECT = """
version: "1.0"
broker:
  bootstrap_servers: [localhost:9092, "rivven2:9092"]
  metadata_refresh_ms: 300000
  connection_timeout_ms: 5000
  request_timeout_ms: 20000
  tls: {enabled: false, cert_path: c.pem, key_path: k.pem, ca_path: ca.pem, insecure: false, server_name: localhost}
sources:
  orders:
    connector: kafka
    topic: kafka.orders
    topic_config: {partitions: 6, replication_factor: 1, auto_create: true}
    config: {brokers: [kafka1:9092], topic: orders}
    tables: []
    enabled: true
    rate_limit: {events_per_second: 0, max_in_flight: 0, burst_size: 0}
    schema_registry_url: ""
    transforms: []
  paused:
    connector: kafka-source
    topic: kafka.paused
    config: {brokers: kafka1:9092, topic: paused}
    enabled: false
sinks:
  replica:
    connector: kafka
    topics: [kafka.orders]
    consumer_group: replica
    config: {brokers: kafka1:9092, topic: orders-replica}
    start_offset: earliest
    rate_limit: {events_per_second: 0}
    transforms: []
    offset_commit_interval: 100
  since:
    connector: kafka-sink
    topics: [kafka.orders]
    consumer_group: since
    config: {brokers: kafka1:9092, topic: orders-since}
    start_offset: {timestamp: 2026-01-31T12:00:00Z}
settings:
  state_dir: ./data/connect-state
  topic:
    auto_create: true
    default_partitions: 3
    default_replication_factor: 1
    require_topic_exists: true
    validate_existing: false
  retry: {max_retries: 10, initial_backoff_ms: 100, max_backoff_ms: 30000, backoff_multiplier: 2.0}
  health: {enabled: false, port: 8080, path: /health}
  metrics: {enabled: false, port: 9091}
  telemetry: {enabled: false, service_name: rivven-connect, sample_ratio: 1.0}
  log_level: info
distributed:
  enabled: false
  node_id: node-1
  cluster_topic: _connect_status
  heartbeat_interval_ms: 1000
  heartbeat_timeout_ms: 10000
  rebalance_delay_ms: 3000
  failover: {heartbeat_interval_ms: 1000, failure_timeout_ms: 10000}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load_text(text, env=ENV):
        (tmp_path / "connect.yaml").write_text(textwrap.dedent(text))
        return load_connect_file("connect.yaml", env)

    return load_text


@pytest.fixture
def problems(load):
    def load_text(text, env=ENV):
        with pytest.raises(ConfigError) as raised:
            load(text, env)
        assert "hunter2" not in str(raised.value)
        return str(raised.value).splitlines()

    return load_text


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


def test_the_documented_sink_but_for_its_transactions(load, problems):
    assert problems(SINK) == [
        "connect.yaml:20: config.transactional_id: transactions are not available in this version; remove the key, "
        "idempotent: true prevents the duplicates of retries"
    ]
    config = load(SINK.replace("  transactional_id: rivven-producer-1\n", ""))
    entry = config.sinks["kafka-sink"]
    assert (entry.topics, entry.consumer_group) == (("events",), "kafka-producer")
    assert entry.start_offset is StartOffset.LATEST
    assert entry.config.compression is Compression.LZ4
    assert entry.config.acks is Acks.ALL
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
    assert config.notices() == ["sources.orders.topic_config.replication_factor: accepted for compatibility, but it "
                                "has no effect"]  # fmt: skip


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
    assert config.sinks["s"].offset_commit_interval == 100
    assert config.notices() == []


def test_keys_without_effect_are_named(load):
    config = load(
        CONNECT.replace("log_level: info", "log_level: debug").replace("interval: 100", "interval: 7")
    )
    named = [notice.partition(":")[0] for notice in config.notices()]
    assert named == [
        "settings.log_level",
        "sources.orders.topic_config.replication_factor",
        "sinks.replica.offset_commit_interval",
    ]


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("tls: {enabled: false", "tls: {enabled: true", "broker.tls.enabled: TLS to Rivven is not supported"),
        ("tables: []", "tables: [{table: t}]", "sources.orders.tables: not supported"),
        ("max_in_flight: 0", "max_in_flight: 9", "sources.orders.rate_limit.max_in_flight: rate limits are not"),
        ("rate_limit: {events_per_second: 0}", "rate_limit: {events_per_second: 5}",
         "sinks.replica.rate_limit.events_per_second: rate limits are not supported"),
        ('schema_registry_url: ""', "schema_registry_url: http://x", "sources.orders.schema_registry_url: not supp"),
        ("transforms: []\n  paused", "transforms: [{type: filter}]\n  paused", "sources.orders.transforms: not supp"),
        ("enabled: false\nsinks", "dead_letter_topic: dlq\nsinks", "sources.paused.dead_letter_topic: not supported"),
        ("validate_existing: false", "validate_existing: true", "settings.topic.validate_existing: not supported"),
        ("health: {enabled: false", "health: {enabled: true", "settings.health.enabled: the health endpoint is not"),
        ("metrics: {enabled: false", "metrics: {enabled: true", "settings.metrics.enabled: the metrics endpoint"),
        ("telemetry: {enabled: false", "telemetry: {enabled: true", "settings.telemetry.enabled: telemetry is not"),
        ("distributed:\n  enabled: false", "distributed:\n  enabled: true", "distributed.enabled: distributed mode"),
        ("connector: kafka-source", "connector: kafka-sink", "sources.paused.connector: got 'kafka-sink': expected"),
        ("topics: [kafka.orders]", "topics: [cdc.*]", "sinks.replica.topics[0]: got 'cdc.*': expected the name of"),
        ("topics: [kafka.orders]", "topics: [a, b, a]", "sinks.replica.topics: named more than once: a"),
        ("topics: [kafka.orders]", "topics: []", "sinks.replica.topics: got nothing: expected at least one entry"),
        ("start_offset: earliest", "start_offset: first", "sinks.replica.start_offset: got 'first': expected earl"),
        ("31T12:00:00Z", "31T12:00:00", "sinks.since.start_offset: got a mapping: expected earliest, latest or"),
        ("topic: kafka.orders", "topic: _schemas", "sources.orders.topic: got '_schemas': expected a Rivven topic"),
        ("partitions: 6", "partitions: 1001", "sources.orders.topic_config.partitions: got 1001: expected an integ"),
        ("max_backoff_ms: 30000", "max_backoff_ms: 1", "settings.retry.max_backoff_ms: got 1: expected at least"),
        ('version: "1.0"', 'version: "2.0"', "version: got '2.0': expected '1.0'"),
        ("settings:", "setings:", "setings: unknown key; did you mean 'settings'?"),
        ("[localhost:9092, \"rivven2:9092\"]", "", "broker.bootstrap_servers: got null: expected a list"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_contain(problems, before, after, problem):
    assert before in CONNECT
    found = problems(CONNECT.replace(before, after))
    assert any(f": {problem}" in line for line in found), found


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
    sink = SINK.replace("  transactional_id: rivven-producer-1\n", "")
    config = load(sink + "broker: {bootstrap_servers: rivven1:9092}\nstart_offset: earliest\n")
    assert config.broker.bootstrap_servers == ("rivven1:9092",)
    assert config.sinks["kafka-sink"].start_offset is StartOffset.EARLIEST
    for kind in ("kafka", "kafka-sinks", "[a]"):
        assert problems(sink.replace("type: kafka-sink", f"type: {kind}"))[0].startswith(
            "connect.yaml:2: type: got "
        )
    assert problems(sink + "sources: {}\n") == ["connect.yaml:32: sources: unknown key"]
    assert problems(sink + "connector: kafka\n") == ["connect.yaml:32: connector: unknown key beside type"]


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
