"""Making kafka-python's clients so that nothing is left of one that cannot connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka.net.compat import KafkaNetClient


def connected(client_class: Any, options: Mapping[str, Any]) -> Any:
    """Makes a client of kafka-python.

    Its constructor starts an I/O thread before it connects, and leaves thread and sockets behind when it
    raises: one set per attempt, for as long as Kafka is away.

    Args:
        client_class: `KafkaConsumer` or `KafkaAdminClient`.
        options: Its options.
    """
    made: list[KafkaNetClient] = []

    def client(**config: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**config))
        return made[-1]

    try:
        return client_class(**{**options, "kafka_client": client})
    except BaseException:
        for each in made:
            each.close()
        raise
