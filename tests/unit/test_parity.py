"""The parity page names only what exists, and leaves out nothing that the reference documents."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel
from rivven_kafka import (
    KafkaSink,
    KafkaSinkMetrics,
    KafkaSource,
    KafkaSourceMetrics,
)
from rivven_kafka.config import ConnectConfig, KafkaSinkConfig, KafkaSourceConfig, SecurityConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "parity.md").read_text()

# What the documentation of the Rust connector lists.
SOURCE_OPTIONS = [
    "brokers",
    "topic",
    "consumer_group",
    "start_offset",
    "max_poll_records",
    "max_poll_interval_ms",
    "session_timeout_ms",
    "heartbeat_interval_ms",
    "fetch_min_bytes",
    "fetch_max_bytes",
    "request_timeout_ms",
    "empty_poll_delay_ms",
    "isolation_level",
    "enable_auto_commit",
    "auto_commit_interval_ms",
    "include_headers",
    "include_key",
    "client_id",
    "security",
]
SINK_OPTIONS = [
    "brokers",
    "topic",
    "acks",
    "compression",
    "batch_size_bytes",
    "linger_ms",
    "request_timeout_ms",
    "retries",
    "retry_backoff_ms",
    "idempotent",
    "transactional_id",
    "key_field",
    "include_headers",
    "custom_headers",
    "client_id",
    "security",
]
SECURITY_OPTIONS = [
    "protocol",
    "sasl_mechanism",
    "sasl_username",
    "sasl_password",
    "ssl_ca_cert",
    "ssl_client_cert",
    "ssl_client_key",
    "oauth_token",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_region",
]
CONNECT_OPTIONS = [
    "version",
    "broker.bootstrap_servers",
    "broker.metadata_refresh_ms",
    "broker.connection_timeout_ms",
    "broker.request_timeout_ms",
    "broker.tls.enabled",
    "broker.tls.cert_path",
    "broker.tls.key_path",
    "broker.tls.ca_path",
    "broker.tls.insecure",
    "broker.tls.server_name",
    "sources.*.connector",
    "sources.*.topic",
    "sources.*.topic_config.partitions",
    "sources.*.topic_config.replication_factor",
    "sources.*.topic_config.auto_create",
    "sources.*.config",
    "sources.*.tables",
    "sources.*.enabled",
    "sources.*.rate_limit.events_per_second",
    "sources.*.rate_limit.max_in_flight",
    "sources.*.rate_limit.burst_size",
    "sources.*.schema_registry_url",
    "sources.*.transforms",
    "sources.*.dead_letter_topic",
    "sinks.*.connector",
    "sinks.*.topics",
    "sinks.*.consumer_group",
    "sinks.*.config",
    "sinks.*.enabled",
    "sinks.*.start_offset",
    "sinks.*.rate_limit.events_per_second",
    "sinks.*.rate_limit.burst_capacity",
    "sinks.*.schema_registry_url",
    "sinks.*.transforms",
    "sinks.*.offset_commit_interval",
    "sinks.*.dead_letter_topic",
    "settings.state_dir",
    "settings.topic.auto_create",
    "settings.topic.default_partitions",
    "settings.topic.default_replication_factor",
    "settings.topic.require_topic_exists",
    "settings.topic.validate_existing",
    "settings.retry.max_retries",
    "settings.retry.initial_backoff_ms",
    "settings.retry.max_backoff_ms",
    "settings.retry.backoff_multiplier",
    "settings.health.enabled",
    "settings.health.port",
    "settings.health.path",
    "settings.metrics.enabled",
    "settings.metrics.port",
    "settings.telemetry",
    "settings.log_level",
    "distributed.enabled",
    "distributed.node_id",
    "distributed.cluster_topic",
    "distributed.heartbeat_interval_ms",
    "distributed.heartbeat_timeout_ms",
    "distributed.rebalance_delay_ms",
    "distributed.failover",
]
SECURITY = [
    "PLAINTEXT",
    "SSL",
    "SASL_PLAINTEXT",
    "SASL_SSL",
    "PLAIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "OAUTHBEARER",
    "AWS_MSK_IAM",
]
SOURCE_METRICS = [
    "messages_consumed",
    "bytes_consumed",
    "polls",
    "empty_polls",
    "errors",
    "commits",
    "commit_failures",
    "rebalances",
    "min_batch_size",
    "max_batch_size",
    "avg_batch_size()",
    "rate(elapsed)",
    "empty_poll_rate()",
]
SINK_METRICS = [
    "messages_produced",
    "bytes_produced",
    "sends",
    "errors",
    "flushes",
    "retries",
    "min_batch_size",
    "max_batch_size",
    "avg_batch_size()",
    "rate(elapsed)",
    "success_rate()",
]
METHODS = [
    "KafkaSource.check()",
    "KafkaSource.discover()",
    "KafkaSource.read()",
    "KafkaSource.spec()",
    "KafkaSink.check()",
    "KafkaSink.write()",
    "KafkaSink.spec()",
    "record_batch()",
    "record_error()",
    "record_commit()",
    "record_flush()",
    "record_retry()",
    "snapshot()",
    "snapshot_and_reset()",
    "to_prometheus_format(prefix)",
    "to_json()",
    "from_json()",
]
TESTS = [
    "test_kafka_container_starts",
    "test_kafka_create_topic",
    "test_kafka_produce_consume",
    "test_kafka_source_check",
    "test_kafka_source_discover",
    "test_kafka_source_read",
    "test_kafka_source_offset_modes",
    "test_kafka_source_high_throughput",
    "test_kafka_source_multiple_partitions",
    "test_kafka_source_empty_topic",
    "test_kafka_source_invalid_broker",
    "test_kafka_multiple_consumer_groups",
    "test_kafka_sink_check",
    "test_kafka_sink_compression",
    "test_kafka_sink_custom_headers",
    "test_kafka_sink_idempotent",
    "test_kafka_batch_consumption",
]


def rows_of(heading):
    """The rows of the table under a heading, without those of the headings below: lists of cells."""
    [part] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(heading):
    return {name for row in rows_of(heading) for name in re.findall(r"`([^`]+)`", row[0])}


OPTIONS = {
    "Source": SOURCE_OPTIONS,
    "Sink": SINK_OPTIONS,
    "Security section": SECURITY_OPTIONS,
    "connect.yaml": CONNECT_OPTIONS,
}
METRICS = {"Metrics of the source": SOURCE_METRICS, "Metrics of the sink": SINK_METRICS}
REFERENCE = {**OPTIONS, **METRICS, "Security": SECURITY, "Methods": METHODS, "Tests": TESTS}
TABLES = ["Features", *REFERENCE, "Behaviours"]
ROWS = [pytest.param(row, id=f"{table}: {row[0]}") for table in TABLES for row in rows_of(table)]


@cache
def defined_tests(path):
    """The tests that a Python or Rust file defines."""
    text = (ROOT / path).read_text()
    if path.endswith(".rs"):
        return set(re.findall(r"#\[test\]\s+fn (\w+)\(", text))
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def assert_exists(node_id):
    path, _, name = node_id.partition("::")
    assert (ROOT / path).is_file(), node_id
    assert re.sub(r"\[.*\]$", "", name) in defined_tests(path), node_id


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_files_and_tests_that_exist(row):
    _, where, tests = row
    files = re.findall(r"`([^`]+)`", where)
    assert files
    assert [path for path in files if not (ROOT / path).is_file()] == []
    ids = tests.split("<br>")
    assert ids == [f"`{node_id}`" for node_id in re.findall(r"`([^`]+)`", tests)]
    for node_id in ids:
        assert_exists(node_id.strip("`"))


def test_every_other_test_that_is_mentioned_exists():
    mentioned = re.findall(r"`((?:tests|ext)/[^`]*::[^`]*)`", PAGE)
    assert len(mentioned) > len(ROWS)
    for node_id in mentioned:
        assert_exists(node_id)


def test_a_test_that_does_not_exist_would_be_noticed():
    for wrong in ("tests/unit/test_parity.py::test_nothing", "tests/unit/none.py::test_nothing"):
        with pytest.raises(AssertionError):
            assert_exists(wrong)


@pytest.mark.parametrize("table", REFERENCE)
def test_everything_of_the_reference_has_a_row(table):
    assert [name for name in REFERENCE[table] if name not in named(table)] == []


@pytest.mark.parametrize("table", OPTIONS)
def test_every_option_has_one_row(table):
    assert [re.match(r"`([^`]+)`", row[0])[1] for row in rows_of(table)] == OPTIONS[table]


def fields_at(model, path):
    """The option at a dotted path, through sections and named entries."""
    for step in path.split("."):
        if step == "*":
            continue
        assert step in model.model_fields, f"{path}: {step}"
        nested = _classes(model.model_fields[step].annotation)
        model = nested[0] if nested else None


def _classes(annotation):
    """The models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _classes(part)]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (KafkaSourceConfig, SOURCE_OPTIONS),
        (KafkaSinkConfig, SINK_OPTIONS),
        (SecurityConfig, SECURITY_OPTIONS),
        (ConnectConfig, CONNECT_OPTIONS),
    ],
)
def test_every_option_is_one_of_the_models(model, options):
    for path in options:
        fields_at(model, path)


@pytest.mark.parametrize(
    ("metrics", "names"), [(KafkaSourceMetrics(), SOURCE_METRICS), (KafkaSinkMetrics(), SINK_METRICS)]
)
def test_every_metric_is_one_of_the_snapshot(metrics, names):
    snapshot = metrics.snapshot()
    for name in names:
        assert hasattr(snapshot, name.partition("(")[0]), name


def test_every_method_is_there():
    classes = {"KafkaSource": KafkaSource, "KafkaSink": KafkaSink}
    counters = [KafkaSourceMetrics(), KafkaSinkMetrics()]
    counters += [each.snapshot() for each in counters]
    for method in METHODS:
        owner, _, name = method.partition("(")[0].rpartition(".")
        owners = [classes[owner]] if owner else counters
        assert any(callable(getattr(each, name, None)) for each in owners), method


def test_the_counts_are_right():
    counted = {
        "features": ["Features"],
        "options": OPTIONS,
        "security": ["Security"],
        "metrics": METRICS,
        "methods": ["Methods"],
        "behaviours": ["Behaviours"],
        "tests": ["Tests"],
    }
    expected = [sum(len(rows_of(table)) for table in tables) for tables in counted.values()]
    head = "| " + " | ".join(counted) + " |\n"
    row = PAGE.split(head)[1].splitlines()[1]
    assert [int(cell) for cell in row.strip("|").split("|")] == expected


def test_no_row_is_half_true():
    words = re.compile(r"partial|partly|planned|not yet|to do|todo", re.I)
    assert [row for param in ROWS for row in param.values if words.search(row[0])] == []
