"""Making kafka-python's clients so that nothing is left of one that cannot connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka.errors import KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from rivven_kafka.kafka.login import explain
from rivven_kafka.kafka.net_client import net_client, refusals

_EXPLAIN_MS = 5_000
"""Longest wait for the reason after the time to connect is over."""


def connected(client_class: Any, options: Mapping[str, Any]) -> Any:
    """Makes a client of kafka-python.

    Its constructor starts an I/O thread before it connects, and leaves thread and sockets behind when it
    raises: one set per attempt, for as long as Kafka is away.

    Args:
        client_class: `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient`.
        options: Its options.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    made: list[KafkaNetClient] = []

    def client(**config: Any) -> KafkaNetClient:
        made.append(net_client(config))
        return made[-1]

    try:
        with refusals(options):
            return client_class(**{**options, "kafka_client": client})
    except BaseException as error:
        for each in made:
            each.close()
        reason = None
        if isinstance(error, KafkaTimeoutError):
            # It tells no reason, and tries in vain even with a wrong password.
            reason = explain(options, min(_EXPLAIN_MS, options["request_timeout_ms"]))
        if reason is None:
            raise
        raise reason from error
