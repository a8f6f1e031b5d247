"""Whether the side that is written to answers, also while there is nothing to write."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BatchProducer

_EVERY_S = 2.0
_JOIN_S = 1.0
_LONGEST_WAIT_MS = 5_000
FRESH_S = 6.0
"""How long a side counts as one that answers after it has."""


class RivvenPulse:
    """Asks Rivven for a sign of life every two seconds, in a thread of its own.

    Args:
        arguments: How to reach Rivven, see `client_arguments`.
        name: Name of the connector.
    """

    def __init__(self, arguments: Mapping[str, Any], name: str) -> None:
        most_ms = min(arguments["request_timeout_ms"], _LONGEST_WAIT_MS)
        connect_ms = min(arguments["connect_timeout_ms"], _LONGEST_WAIT_MS)
        # Each question is an attempt of its own.
        self._client = RivvenClient(
            **{
                **arguments,
                "max_retries": len(arguments["servers"]) - 1,
                "request_timeout_ms": most_ms,
                "connect_timeout_ms": connect_ms,
            }
        )
        self._ended = threading.Event()
        self._answered_at = time.monotonic()
        self._thread = threading.Thread(target=self._listen, name=f"{name}-pulse", daemon=True)
        self._thread.start()

    @property
    def silent_s(self) -> float:
        """How long there has been no answer (s)."""
        return time.monotonic() - self._answered_at

    def close(self) -> None:
        """Ends the thread and its connection."""
        self._ended.set()
        self._client.close()
        self._thread.join(_JOIN_S)

    def _listen(self) -> None:
        while not self._ended.wait(_EVERY_S):
            try:
                self._client.ping()
            except RivvenKafkaError:
                continue
            self._answered_at = time.monotonic()


class KafkaPulse:
    """Asks Kafka for metadata every two seconds, without waiting for the answer.

    Args:
        producer: Whose connections are used.
    """

    def __init__(self, producer: BatchProducer) -> None:
        self._producer = producer
        self._answered_at = time.monotonic()
        self._next = 0.0
        self._asked: Any = None

    @property
    def silent_s(self) -> float:
        """How long there has been no answer (s)."""
        return time.monotonic() - self._answered_at

    def ask(self) -> None:
        """Notes the answer to the last question, and asks the next when it is time; to be called often."""
        now = time.monotonic()
        if self._asked is not None and self._asked.is_done:
            if self._asked.succeeded():
                self._answered_at = now
            self._asked = None
        if self._asked is None and now >= self._next:
            self._next = now + _EVERY_S
            self._asked = self._producer.ask_metadata()
