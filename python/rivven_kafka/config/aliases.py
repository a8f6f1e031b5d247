"""Kafka's own spellings of options, accepted beside ours: `bootstrap.servers` for `brokers`, and so on.

The spellings are those of the Java clients, and of librdkafka where Java has none (`sasl.username`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rivven_kafka.config.problems import KeyPath

_CREDENTIALS = {
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "ssl.ca.location": "ssl_ca_cert",
    "ssl.certificate.location": "ssl_client_cert",
    "ssl.key.location": "ssl_client_key",
    "ssl.key.password": "ssl_key_password",
}

_OAUTH_OPTIONS = {
    "sasl.oauthbearer.token.endpoint.url": "token_endpoint_url",
    "sasl.oauthbearer.client.credentials.client.id": "client_id",
    "sasl.oauthbearer.client.id": "client_id",
    "sasl.oauthbearer.client.credentials.client.secret": "client_secret",
    "sasl.oauthbearer.client.secret": "client_secret",
    "sasl.oauthbearer.scope": "scope",
}

OAUTH: Mapping[str, KeyPath] = {spelling: (option,) for spelling, option in _OAUTH_OPTIONS.items()}

SECURITY: Mapping[str, KeyPath] = {
    "security.protocol": ("protocol",),
    **{spelling: (option,) for spelling, option in _CREDENTIALS.items()},
    **{spelling: ("oauth", *path) for spelling, path in OAUTH.items()},
}

_CONNECTION: Mapping[str, KeyPath] = {
    "bootstrap.servers": ("brokers",),
    "client.id": ("client_id",),
    "request.timeout.ms": ("request_timeout_ms",),
    **{spelling: ("security", *path) for spelling, path in SECURITY.items()},
}

SOURCE: Mapping[str, KeyPath] = {
    **_CONNECTION,
    "group.id": ("consumer_group",),
    "auto.offset.reset": ("start_offset",),
    "max.poll.records": ("max_poll_records",),
    "max.poll.interval.ms": ("max_poll_interval_ms",),
    "session.timeout.ms": ("session_timeout_ms",),
    "heartbeat.interval.ms": ("heartbeat_interval_ms",),
    "fetch.min.bytes": ("fetch_min_bytes",),
    "fetch.max.bytes": ("fetch_max_bytes",),
    "max.partition.fetch.bytes": ("max_partition_fetch_bytes",),
    "isolation.level": ("isolation_level",),
    "check.crcs": ("check_crcs",),
    "enable.auto.commit": ("enable_auto_commit",),
    "auto.commit.interval.ms": ("auto_commit_interval_ms",),
}

SINK: Mapping[str, KeyPath] = {
    **_CONNECTION,
    "compression.type": ("compression",),
    "batch.size": ("batch_size_bytes",),
    "linger.ms": ("linger_ms",),
    "retry.backoff.ms": ("retry_backoff_ms",),
    "delivery.timeout.ms": ("delivery_timeout_ms",),
    "max.request.size": ("max_request_size",),
    "enable.idempotence": ("idempotent",),
    "transactional.id": ("transactional_id",),
}

NOT_TAKEN: Mapping[str, str] = {
    "sasl.jaas.config": "not read: give security.sasl_username and security.sasl_password",
    "ssl.truststore.location": "Java key stores are not read: give security.ssl_ca_cert, a PEM file",
    "ssl.truststore.password": "Java key stores are not read: give security.ssl_ca_cert, a PEM file",
    "ssl.keystore.location": "Java key stores are not read: give security.ssl_client_cert and "
    "security.ssl_client_key, PEM files",
    "ssl.keystore.password": "Java key stores are not read: give security.ssl_client_cert and "
    "security.ssl_client_key, PEM files",
    "ssl.endpoint.identification.algorithm": "give security.ssl_check_hostname: true or false",
    "key.deserializer": "not used: keys are copied as bytes",
    "value.deserializer": "not used: value_format decides what becomes of values",
    "key.serializer": "not used: keys are copied as bytes",
    "value.serializer": "not used: value_format decides what becomes of values",
}
"""Kafka's options that have no counterpart under their name, and what takes their place."""


_NO_SECTION = (type(None), bool, int, float, str, list, tuple)


def rewrite(data: Mapping[object, object], aliases: Mapping[str, KeyPath]) -> dict[object, object]:
    """Move the values of Kafka's spellings to the options they mean.

    A spelling whose option is given too is left where it is, to be reported. One whose section is given, but
    is no section, is left out: that alone is reported.
    """
    result = dict(data)
    for spelling, path in aliases.items():
        if spelling not in result:
            continue
        *sections, option = path
        if any(section in result and isinstance(result[section], _NO_SECTION) for section in sections):
            del result[spelling]
            continue
        if _given(result, path):
            continue
        inner = result
        for section in sections:
            below = inner.get(section)
            inner[section] = dict(below) if isinstance(below, Mapping) else {}
            inner = inner[section]  # type: ignore[assignment]
        inner[option] = result.pop(spelling)
    return result


def _given(data: Mapping[object, object], path: KeyPath) -> bool:
    """Whether there is a value at `path`, or something on the way that is not a section."""
    node: object = data
    for step in path:
        if not isinstance(node, Mapping):
            return True
        if step not in node:
            return False
        node = node[step]
    return True


def spellings(data: object, aliases: Mapping[str, KeyPath], path: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    """The spellings in `data` that stand for the beginning of `path`, and those beginnings."""
    if isinstance(data, Mapping):
        for spelling, target in aliases.items():
            if spelling in data and path[: len(target)] == target and not _given(data, target):
                yield spelling, target
