"""`kafka_options`: options of kafka-python that the connector has no name of its own for.

Every option of kafka-python 3.0 is either passed through or managed by the connector, which a test checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from rivven_kafka.config.model import BrokenRule
from rivven_kafka.config.problems import kind_of, show
from rivven_kafka.config.suggest import suggestion
from rivven_kafka.config.values import INTEGER, MAX_INT32, Text

_CONNECTION: Mapping[str, type] = {
    "bootstrap_timeout_ms": int,
    "client_dns_lookup": str,
    "connections_max_idle_ms": int,
    "max_in_flight_requests_per_connection": int,
    "metadata_max_age_ms": int,
    "receive_buffer_bytes": int,
    "receive_message_max_bytes": int,
    "reconnect_backoff_max_ms": int,
    "reconnect_backoff_ms": int,
    "send_buffer_bytes": int,
    "socks5_proxy": str,
    "proxy_url": str,
    "ssl_ciphers": str,
}

CONSUMER: Mapping[str, type] = {
    **_CONNECTION,
    "client_rack": str,
    "enable_incremental_fetch_sessions": bool,
    "fetch_max_wait_ms": int,
    "group_instance_id": str,
    "retry_backoff_ms": int,
}
"""What a source passes through, and the type of its value."""

PRODUCER: Mapping[str, type] = {**_CONNECTION, "max_block_ms": int, "transaction_timeout_ms": int}
"""What a sink passes through, and the type of its value."""

_OURS = {
    "acks": "acks",
    "auto_commit_interval_ms": "auto_commit_interval_ms",
    "auto_offset_reset": "start_offset",
    "batch_size": "batch_size_bytes",
    "bootstrap_servers": "brokers",
    "check_crcs": "check_crcs",
    "client_id": "client_id",
    "compression_type": "compression",
    "delivery_timeout_ms": "delivery_timeout_ms",
    "enable_auto_commit": "enable_auto_commit",
    "enable_idempotence": "idempotent",
    "fetch_max_bytes": "fetch_max_bytes",
    "fetch_min_bytes": "fetch_min_bytes",
    "group_id": "consumer_group",
    "heartbeat_interval_ms": "heartbeat_interval_ms",
    "isolation_level": "isolation_level",
    "linger_ms": "linger_ms",
    "max_partition_fetch_bytes": "max_partition_fetch_bytes",
    "max_poll_interval_ms": "max_poll_interval_ms",
    "max_poll_records": "max_poll_records",
    "max_request_size": "max_request_size",
    "request_timeout_ms": "request_timeout_ms",
    "retries": "retries",
    "sasl_mechanism": "security.sasl_mechanism",
    "sasl_oauth_token_provider": "security.oauth_token",
    "sasl_plain_password": "security.sasl_password",
    "sasl_plain_username": "security.sasl_username",
    "security_protocol": "security.protocol",
    "session_timeout_ms": "session_timeout_ms",
    "ssl_cafile": "security.ssl_ca_cert",
    "ssl_certfile": "security.ssl_client_cert",
    "ssl_check_hostname": "security.ssl_check_hostname",
    "ssl_keyfile": "security.ssl_client_key",
    "ssl_password": "security.ssl_key_password",
    "transactional_id": "transactional_id",
}
"""Options of kafka-python that the connector has an option of its own for."""

_PRODUCER_OURS = {**_OURS, "retry_backoff_ms": "retry_backoff_ms"}

_MANAGED = frozenset(
    {
        "allow_auto_create_topics",
        "api_version",
        "consumer_timeout_ms",
        "default_offset_commit_callback",
        "exclude_internal_topics",
        "kafka_client",
        "key_deserializer",
        "key_serializer",
        "metric_group_prefix",
        "metric_reporters",
        "metrics_enabled",
        "metrics_num_samples",
        "metrics_sample_window_ms",
        "partition_assignment_strategy",
        "partitioner",
        "sasl_kerberos_domain_name",
        "sasl_kerberos_name",
        "sasl_kerberos_service_name",
        "selector",
        "socket_options",
        "ssl_context",
        "ssl_crlfile",
        "value_deserializer",
        "value_serializer",
    }
)
"""Options that the connector needs at the value it has chosen, or that a file cannot express."""


PROXIES = ("proxy_url", "socks5_proxy")
"""Options whose value is a URL that may hold a password."""

PROXY_SCHEMES = ("http", "socks5", "socks5h")
"""What kafka-python can talk to a proxy."""


_MAX_DIGITS = 20
_TYPES = {int: "integer", str: "string", bool: "boolean"}


def _read(options: dict[str, object]) -> dict[str, object]:
    return {spelling: _value(plain_name(spelling), value) for spelling, value in options.items()}


def _value(name: str, value: object) -> object:
    """Hide what may hold a password, and read numbers and booleans that came as strings."""
    if not isinstance(value, str):
        return value
    kind = CONSUMER.get(name) or PRODUCER.get(name)
    if name in PROXIES:
        return SecretStr(value)
    if kind is int and len(value) <= _MAX_DIGITS and INTEGER.fullmatch(value):
        return int(value)
    if kind is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


KafkaOptions = Annotated[dict[Text, object], AfterValidator(_read)]
"""Options of kafka-python by name; what may hold a password is never shown."""


def plain_name(spelling: str) -> str:
    """kafka-python's name of an option in Kafka's spelling: `fetch.max.wait.ms` is `fetch_max_wait_ms`."""
    return spelling.replace(".", "_")


def _is_proxy(url: str) -> bool:
    """Whether a URL names a proxy. Without a port, kafka-python would connect to port 0."""
    try:
        parts = urlsplit(url)
        return parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        return False


def _dotted(name: str) -> str:
    """Kafka's spelling of an option of kafka-python."""
    return name.replace("_", ".")


def options_schema(passed: Mapping[str, type]) -> dict[str, Any]:
    """What the JSON Schema of `kafka_options` says beyond that they are a mapping.

    Args:
        passed: `CONSUMER` or `PRODUCER`.
    """
    properties: dict[str, dict[str, Any]] = {}
    for name, kind in passed.items():
        described: dict[str, Any] = {"type": _TYPES[kind]}
        if kind is int:
            described["maximum"] = MAX_INT32
        if name in PROXIES:
            described["writeOnly"] = True
        properties |= dict.fromkeys((name, _dotted(name)), described)
    return {"properties": properties, "additionalProperties": False}


def broken_rules(options: Mapping[str, object], passed: Mapping[str, type]) -> Iterator[BrokenRule]:
    """Find what may not be passed through.

    Args:
        options: The `kafka_options` of a source or sink.
        passed: `CONSUMER` or `PRODUCER`.
    """
    ours = _OURS if passed is CONSUMER else _PRODUCER_OURS
    seen: dict[str, str] = {}
    for spelling, value in options.items():
        name = plain_name(spelling)
        path = ("kafka_options", spelling)
        if name in seen:
            yield path, f"given twice: {seen[name]} is the same option"
        seen[name] = spelling
        if name in passed and spelling not in (name, _dotted(name)):
            yield path, f"not an option of kafka-python: expected {name} or {_dotted(name)}"
        elif name in passed:
            kind = passed[name]
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
                if not _is_proxy(value):
                    *others, last = PROXY_SCHEMES
                    yield path, f"got ***: expected scheme://host:port, scheme {', '.join(others)} or {last}"
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                words = {int: "an integer", str: "a string", bool: "true or false"}[kind]
                yield path, f"got {kind_of(value)}: expected {words}"
            elif kind is int and isinstance(value, int) and value > MAX_INT32:
                yield path, f"got {show(value)}: expected an integer of at most {MAX_INT32}"
        elif name in ours:
            yield path, f"managed by the connector: give {ours[name]} instead"
        elif name in _MANAGED:
            yield path, "managed by the connector: it cannot be changed"
        elif name in CONSUMER or name in PRODUCER:
            yield path, "an option of Kafka's " + ("consumers" if name in CONSUMER else "producers") + " only"
        else:
            yield path, f"not an option of kafka-python{suggestion(name, passed)}"
