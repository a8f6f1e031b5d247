"""Making kafka-python's clients so that nothing is left of one that cannot connect."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kafka.errors import KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from rivven_kafka.kafka.login import explain
from rivven_kafka.kafka.net_client import NotAtOnceError, net_client, refusals
from rivven_kafka.kafka.usable import require_usable

_TIMEOUT_MS = 30_000
"""kafka-python's time for a request, and for the first connection."""

_EXPLAIN_MS = 5_000
"""Longest wait for the reason after the time to connect is over."""

_EXPLAIN_AT_ONCE_MS = 2_000
"""Longest wait for the reason after the first attempts have failed."""


def connected(client_class: Any, options: Mapping[str, Any]) -> Any:
    """Makes a client of kafka-python.

    Its constructor starts an I/O thread before it connects, and leaves thread and sockets behind when it
    raises: one set per attempt, for as long as Kafka is away. It also tries until the time is over, whatever
    the reason. Here, when every address refuses us for good, as with a wrong password, that is the end; a
    broker that is away is tried again.

    Args:
        client_class: `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient`.
        options: Its options.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials, or we not theirs.
    """
    timeout_ms: float = options.get("request_timeout_ms", _TIMEOUT_MS)
    left_ms: float = options.get("bootstrap_timeout_ms", timeout_ms)
    begin = time.monotonic()
    _require_token(options)
    try:
        return _made(client_class, options, at_once=True)
    except NotAtOnceError as error:
        reason = explain(options, int(min(_EXPLAIN_AT_ONCE_MS, timeout_ms)), for_good=True)
        if reason is not None:
            raise reason from error
        left_ms -= (time.monotonic() - begin) * 1000
    try:
        return _made(client_class, {**options, "bootstrap_timeout_ms": max(left_ms, 1)}, at_once=False)
    except KafkaTimeoutError as error:
        # It tells no reason.
        reason = explain(options, int(min(_EXPLAIN_MS, timeout_ms)))
        if reason is None:
            raise
        raise reason from error


def _made(client_class: Any, options: Mapping[str, Any], *, at_once: bool) -> Any:
    made: list[KafkaNetClient] = []

    def client(**config: Any) -> KafkaNetClient:
        made.append(net_client(config))
        made[-1]._manager.at_once = at_once
        return made[-1]

    try:
        with refusals(options):
            found = client_class(**{**options, "kafka_client": client})
    except BaseException:
        for each in made:
            each.close()
        raise
    for each in made:
        each._manager.at_once = False
    return found


def _require_token(options: Mapping[str, Any]) -> None:
    """Has a bearer token fetched before the first connection, and not by the thread that serves them all."""
    provider = options.get("sasl_oauth_token_provider")
    fetch = getattr(provider, "token", None)
    if fetch is not None:
        # Before anything is asked; without a token `net_client` sees to it.
        require_usable(options)
        fetch()
