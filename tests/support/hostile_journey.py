"""A source whose Kafka lies to it on the way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.support import hostile
from tests.support.connector import Connector, source_file, wait_until
from tests.support.kafka_tap import ApiKey, KafkaExchange, TappedKafka
from tests.support.numbered import Arrivals, fill_kafka, numbered, rivven_ends, rivven_values
from tests.support.rivvend import RivvenBroker
from tests.support.tap import Action
from tests.support.topics import TopicWriter

GROWTH = 256 * hostile.MIB
"""By how much the resident set may grow (bytes), which docs/security.md promises."""

TIMEOUT_MS = 2_000
OPTIONS: dict[str, Any] = {
    "request_timeout_ms": TIMEOUT_MS,
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 500,
    "empty_poll_delay_ms": 20,
    "auto_commit_interval_ms": 200,
    "kafka_options": {"metadata_max_age_ms": 300, "fetch_max_wait_ms": 200},
}


class Journey:
    """A source on its way through the tap to rivvend, and how far it should be."""

    def __init__(
        self, tapped: TappedKafka, rivven: RivvenBroker, topic: str, directory: Path, **options: Any
    ) -> None:
        self.topic, self.written = topic, 0
        self._kafka, self._rivven = tapped, rivven
        fill_kafka(tapped.bootstrap, topic, 1, 0)
        options = OPTIONS | options
        config = source_file(tapped.tap.address, rivven.bootstrap, topic, topic, f"g-{topic}", **options)
        config["broker"]["request_timeout_ms"] = TIMEOUT_MS
        self.connector = Connector(directory, config)

    def write(self, count: int = 20) -> None:
        """Writes the next records."""
        with TopicWriter(self._kafka.bootstrap, self.topic, 1) as writer:
            writer.write(0, numbered(0, range(self.written, self.written + count)))
        self.written += count

    def arrive(self) -> None:
        """Waits until as many have arrived as were written."""
        wait_until(
            lambda: rivven_ends(self._rivven, self.topic, 1) >= [self.written], 30, self.connector.log_tail
        )

    def endure(
        self, api: ApiKey, lie: Action[KafkaExchange], said: str, times: int = 1, until_said: bool = False
    ) -> str:
        """Goes through a lie, told so many times, or until it is found out; returns what was logged of it."""
        assert self.connector.running
        before = len(self.connector.log())

        def log() -> str:
            return self.connector.log()[before:]

        with hostile.Peak(self.connector) as peak:
            with self._kafka.tap.fault(api, lie, None if until_said else times) as fault:
                self.write()
                wait_until(lambda: len(fault.hits) >= times, 10, self.connector.log_tail)
                begin = time.monotonic()
                wait_until(lambda: said in log(), 25, self.connector.log_tail)
            self.write()
            self.arrive()
        print(
            f"{peak.before >> 20} MiB before, {peak.growth >> 20} MiB more, {time.monotonic() - begin:.1f} s"
        )
        assert self.connector.running
        assert peak.growth < GROWTH
        return log()

    def check(self) -> None:
        """Everything is there; what was on its way may be there twice."""
        Arrivals.of(rivven_values(self._rivven, self.topic, 1), 1, self.written).check(self.written)
