"""What a file of rivven-connect may not ask for: each is an error that says so."""

import pytest

from tests.unit.config.documents import CONNECT


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("tls: {enabled: false, cert_path: c.pem", "tls: {enabled: true", "broker.tls.cert_path: missing: key_path requires"),
        ("tls: {enabled: false, cert_path: c.pem, key_path: k.pem", "tls: {enabled: true, cert_path: c.pem",
         "broker.tls.key_path: missing: cert_path requires it"),
        ("server_name: localhost", "server_name: 'localhost:1'", "broker.tls.server_name: got 'localhost:1': expected a host"),
        ("tls: {", "auth: {username: u}\n  tls: {", "broker.auth.password: missing"),
        ("tls: {", "auth: {username: u, password: ''}\n  tls: {", "broker.auth.password: got ***"),
        ("tls: {", "auth: {username: u, password: p, mechanism: PLAIN}\n  tls: {",
         "broker.auth.mechanism: got 'PLAIN': expected 'SCRAM-SHA-256'"),
        ("tables: []", "tables: [{table: t}]", "sources.orders.tables: not supported"),
        ("rate_limit: {events_per_second: 0}", "rate_limit: {burst_capacity: 5}",
         "sinks.replica.rate_limit.burst_capacity: not used without events_per_second"),
        ("replication_factor: 1,", "replication_factor: 3,", "sources.orders.topic_config.replication_factor: got 3: "
         "not supported by Rivven: expected 1"),
        ('schema_registry_url: ""', "schema_registry_url: http://x", "sources.orders.schema_registry_url: not supp"),
        ("offset_commit_interval: 100", "schema_registry_url: http://x", "sinks.replica.schema_registry_url: not supp"),
        ("transforms: []\n  paused", "transforms: [{type: filtr}]\n  paused", "sources.orders.transforms[0].type: got 'filtr'"),
        ("health: {enabled: false, port: 8080", "health: {port: 0", "settings.health.port: got 0: expected an integer f"),
        ("path: /health", "path: health", "settings.health.path: got 'health': expected a path: '/', then letters"),
        ("path: /health", "path: /he%a", "settings.health.path: got '/he%a': expected a path: '/', then letters"),
        ("path: /health", "path: /ready", "settings.health.path: got '/ready': expected another path than /events, /live, "),
        ("health: {enabled: false, port: 8080, path: /health}\n  metrics: {enabled: false, port: 9091}",
         "health: {enabled: true, port: 9091}\n  metrics: {enabled: true, port: 9091, host: 0.0.0.0}",
         "settings.metrics.host: expected the same host as settings.health.host, as both have port 9091"),
        ("state_dir: ./data/connect-state", "state_dir: /var", "settings.state_dir: not supported: nothing is kept o"),
        ("default_replication_factor: 1", "default_replication_factor: 3",
         "settings.topic.default_replication_factor: got 3: expected 1, Rivven cannot"),
        ("log_level: info", "log_level: trace", "settings.log_level: got 'trace': expected 'debug', 'info', 'warn', 'wa"),
        ("telemetry: {enabled: false", "telemetry: {enabled: true", "settings.telemetry.enabled: telemetry is not"),
        ("log_level: info", "otlp: {endpoint: 'ftp://collector'}", "settings.otlp.endpoint: got 'ftp://collector': expected a URL"),
        ("log_level: info", "otlp: {endpoint: 'http://u:secret@c'}", "settings.otlp.endpoint: got ***: expected a URL without"),
        ("log_level: info", "otlp: {endpoint: 'http://c/?key=secret'}", "settings.otlp.endpoint: got ***: expected a URL without a query"),
        ("log_level: info", 'otlp: {endpoint: "http://c", headers: {k: "secret\\n"}}', "settings.otlp.headers.k: got ***: expected printable"),
        ("log_level: info", "otlp: {endpoint: 'http://c', headers: {k: ' secret'}}", "settings.otlp.headers.k: got ***: expected printable"),
        ("log_level: info", "otlp: {endpoint: 'http://c', interval_ms: 5}", "settings.otlp.interval_ms: got 5: expected an"),
        ("distributed:\n  enabled: false", "distributed:\n  enabled: true", "distributed.enabled: distributed mode"),
        ("connector: kafka-source", "connector: kafka-sink", "sources.paused.connector: got 'kafka-sink': expected"),
        ("topics: [kafka.orders]", "topics: [cdc.*]", "sinks.replica.topics[0]: got 'cdc.*': expected the name of"),
        ("topics: [kafka.orders]", "topics: [a, b, a]", "sinks.replica.topics[2]: the same as topics[0]: expected each one once"),
        ("topics: [kafka.orders]", "topics: []", "sinks.replica.topics: got nothing: expected at least one entry"),
        ("start_offset: earliest", "start_offset: first", "sinks.replica.start_offset: got 'first': expected earl"),
        ("31T12:00:00Z", "31T12:00:00", "sinks.since.start_offset: got a mapping: expected earliest, latest, {time"),
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
