"""Whether the side that is written to answers, also while there is nothing to write."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rivven_kafka._native import RivvenClient
from rivven_kafka.kafka import BatchProducer

log = logging.getLogger(__name__)

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
        delivered: What Rivven has acknowledged before.
    """

    def __init__(self, arguments: Mapping[str, Any], name: str, delivered: int = 0) -> None:
        self._delivered = delivered
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

    def note(self, delivered: int) -> None:
        """What Rivven has acknowledged so far, on other connections: more than before is a sign of life."""
        if delivered > self._delivered:
            self._answered_at = time.monotonic()
        self._delivered = delivered

    def close(self) -> None:
        """Ends the thread and its connection."""
        self._ended.set()
        self._client.close()
        self._thread.join(_JOIN_S)

    def _listen(self) -> None:
        while not self._ended.wait(_EVERY_S):
            try:
                self._client.ping()
            except Exception:  # of whatever kind, it is no sign of life; and the next question may get one
                log.debug("no sign of life of Rivven", exc_info=True)
                continue
            self._answered_at = time.monotonic()


class KafkaPulse:
    """Asks Kafka for metadata every two seconds, without waiting for the answer.

    Args:
        producer: Whose connections are used.
        clock: Seconds, monotonic.
    """

    def __init__(self, producer: BatchProducer, clock: Callable[[], float] = time.monotonic) -> None:
        self._producer = producer
        self._clock = clock
        self._answered_at = self._called_at = clock()
        self._waits_since: float | None = None
        self._next = 0.0
        self._asked: Any = None

    @property
    def silent_s(self) -> float:
        """How long there has been no answer (s), whether someone asked or not."""
        return self._clock() - self._answered_at

    @property
    def ignores_s(self) -> float:
        """How long it has not answered while it was asked (s); what kept the asker itself does not count."""
        return 0.0 if self._waits_since is None else self._called_at - self._waits_since

    def ask(self) -> None:
        """Notes the answer to the last question, and asks the next when it is time; to be called often."""
        now = self._clock()
        away_s, self._called_at = now - self._called_at, now
        if self._waits_since is not None and away_s > _EVERY_S:
            self._waits_since += away_s
        if self._asked is not None and self._asked.is_done:
            if self._asked.succeeded():
                self._answered_at, self._waits_since = now, None
            self._asked = None
        if self._asked is None and now >= self._next:
            self._next = now + _EVERY_S
            if self._waits_since is None:
                self._waits_since = now
            self._asked = self._producer.ask_metadata()
