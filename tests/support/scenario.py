"""A flow of numbered records through connectors while faults fall, and the verdict on it."""

from __future__ import annotations

import contextlib
import re
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import psutil
from rivven_kafka.config import KafkaSourceConfig

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.kafka_broker import KafkaBroker
from tests.support.numbered import kafka_values, rivven_values
from tests.support.observer import KafkaObserver, Observer, RivvenObserver
from tests.support.rivvend import RivvenBroker
from tests.support.topics import create_topic
from tests.support.verdicts import Differences, Fault, Verdict
from tests.support.writers import KafkaWriter, RivvenWriter, Writer

PADDING = 100
BACKLOG = 4_000
# What a connector may have read and not delivered, and what of it is on the wire.
IN_FLIGHT = 2_000
ON_THE_WIRE = 200
SINK_RATE = 2_000
COMMIT_INTERVAL_S = 0.1
# A commit starts when the loop comes round to it, and takes its way to a broker and back on a busy machine.
COMMIT_DELAY_S = 0.9
FULL = 0.8
_STEADY_S = 2.0
_ALIKE = 1.25
_START_S = 60.0
_RECOVERY_S = 30.0
# Longer than every pause between attempts, and than the sessions of members that are gone.
_QUIET_S = 45.0
_SETTLE_S = 20.0

_SOURCES_ONCE = "delivery_guarantee" in KafkaSourceConfig.model_fields

COMBINATIONS = [
    ("source", "at_least_once"),
    *([("source", "exactly_once")] if _SOURCES_ONCE else []),
    ("sink", "at_least_once"),
    ("sink", "exactly_once"),
]
"""Directions and the guarantees that they offer."""


class Flow:
    """One topic, its copy, a writer before and an observer behind the connectors in between.

    As a context manager it ends what runs.

    Args:
        direction: `source` (Kafka to Rivven) or `sink`.
        guarantee: `at_least_once` or `exactly_once`.
        kafka: Where writer, observer and connectors find Kafka.
        rivven: The same for Rivven.
        tmp_path: For configurations and logs.
        seed: What the instants of the faults are drawn from, by `chance`.
        name: Name of the scenario, for the table and for the names of its topics.
        count: Records to move at least; the writer goes on while faults fall.
        partitions: Partitions of both topics.
        value_format: Of the connectors; None is the default of the direction.
        kafka_address: Where the connectors find Kafka, if elsewhere.
        rivven_address: Where the connectors find Rivven, if elsewhere.
        patience_s: How long a steady rate, and the full rate after a fault, are waited for. No verdict needs them:
            they tell how long a recovery took.
    """

    def __init__(
        self,
        direction: str,
        guarantee: str,
        kafka: KafkaBroker,
        rivven: RivvenBroker,
        tmp_path: Path,
        seed: int,
        *,
        name: str,
        count: int = 30_000,
        partitions: int = 8,
        value_format: str | None = None,
        kafka_address: str | None = None,
        rivven_address: str | None = None,
        patience_s: float = _RECOVERY_S,
    ) -> None:
        self.direction, self.guarantee = direction, guarantee
        self.kafka, self.rivven = kafka, rivven
        self.seed, self.name, self.count, self.partitions = seed, name, count, partitions
        # One scenario repeated alone has to draw the same instants as among all others.
        self.chance = Random(f"{seed} {name} {direction} {guarantee} {value_format}")
        unique = re.sub(r"[^A-Za-z0-9]+", "-", name)[:80].strip("-") + f"-{uuid.uuid4().hex[:8]}"
        self.origin, self.copy, self.group = f"{unique}-origin", f"{unique}-copy", f"{unique}-group"
        self.connectors: list[Connector] = []
        self.faults: list[Fault] = []
        self.verdict: Verdict | None = None
        self._directory = tmp_path
        self._value_format = value_format
        self._kafka_address = kafka_address or kafka.bootstrap
        self._rivven_address = rivven_address or rivven.bootstrap
        self._patience_s = patience_s
        self._begin = 0.0
        self.rss = 0
        """Largest resident set of a connector so far (bytes)."""
        self.observer: Observer
        self.writer: Writer
        if self.is_source:
            self.observer = RivvenObserver(rivven.port, self.copy, partitions, self._weigh)
            self.writer = KafkaWriter(
                kafka.bootstrap, self.origin, partitions, PADDING, BACKLOG, self._arrived
            )
        else:
            create_topic(kafka.bootstrap, self.copy, partitions)
            self.observer = KafkaObserver(
                kafka.bootstrap, self.copy, partitions, self._isolation, self._weigh
            )
            self.writer = RivvenWriter(
                rivven.bootstrap, self.origin, partitions, PADDING, BACKLOG, self._arrived
            )

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, *_: object) -> None:
        for connector in self.connectors:
            if connector.running:
                connector.kill()
        self.observer.stop()
        self.writer.abandon()

    @property
    def is_source(self) -> bool:
        """Whether Kafka is the origin."""
        return self.direction == "source"

    @property
    def exactly_once(self) -> bool:
        """Whether nothing may be doubled."""
        return self.guarantee == "exactly_once"

    @property
    def label(self) -> str:
        """The guarantee, and the format if it is not the default."""
        return ", ".join(filter(None, (self.guarantee, self._value_format)))

    @property
    def _isolation(self) -> str:
        # Sources read what was committed, too.
        return "read_committed" if self.exactly_once or self.is_source else "read_uncommitted"

    @property
    def session_s(self) -> float:
        """How long the group waits for a member that died (s)."""
        if not self.is_source:
            return 1.5
        # Kafka refuses less than its own limit, 6 s unless the test says otherwise.
        shortest = int(self.kafka.properties.get("group.min.session.timeout.ms", 6_000))
        return max(2_000, shortest) / 1000

    def connector(
        self,
        name: str = "only",
        env: Mapping[str, str] | None = None,
        broker: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> Connector:
        """A connector of this flow, not started; several of them share the partitions.

        Args:
            name: Distinguishes them.
            env: Environment variables besides our own.
            broker: Options of the section on Rivven.
            config: Options that take the place of those chosen here.
        """
        options = {**(self._source_options() if self.is_source else self._sink_options(name)), **config}
        make = source_file if self.is_source else sink_file
        document = make(
            self._kafka_address, self._rivven_address, self.origin, self.copy, self.group, **options
        )
        document["broker"].update(broker or {})
        if self.is_source:
            document["sources"]["in"]["rate_limit"] = {"max_in_flight": IN_FLIGHT}
        else:
            document["sinks"]["out"]["rate_limit"] = {"events_per_second": SINK_RATE}
        made = Connector(self._directory, document, name, env=env)
        self.connectors.append(made)
        return made

    def _source_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "auto_commit_interval_ms": int(COMMIT_INTERVAL_S * 1000),
            "empty_poll_delay_ms": 20,
            "max_batch_records": 25,
            "session_timeout_ms": int(self.session_s * 1000),
            "heartbeat_interval_ms": 300,
        }
        if self.exactly_once:
            options["delivery_guarantee"] = "exactly_once"
        return options | self._format()

    def _sink_options(self, name: str) -> dict[str, Any]:
        options: dict[str, Any] = {
            "batch_size_bytes": 2_000,
            "commit_interval_ms": int(COMMIT_INTERVAL_S * 1000),
            "session_timeout_ms": int(self.session_s * 1000),
            "heartbeat_interval_ms": 100,
        }
        if self.exactly_once:
            options |= {"transactional_id": f"{name}-{self.copy}", "transaction_interval_ms": 50}
        return options | self._format()

    def _format(self) -> dict[str, Any]:
        return {} if self._value_format is None else {"value_format": self._value_format}

    def start(self, *connectors: Connector) -> None:
        """Starts writer, observer and connectors, and waits until records move at a steady rate."""
        self.writer.start()
        self.observer.start()
        self._begin = time.monotonic()
        for connector in connectors:
            connector.start()
        wait_until(
            lambda: all("INFO assigned" in connector.log() for connector in connectors), _START_S, self.logs
        )
        self.advance(1)
        self.watch(_STEADY_S)
        with contextlib.suppress(AssertionError):
            wait_until(self._steady, self._patience_s)

    def _steady(self) -> bool:
        """Whether the rates of the last two seconds are alike."""
        now, half = self.observer.timeline.last, _STEADY_S / 2
        earlier, later = (self.observer.timeline.rate(now - s, now - s + half) for s in (_STEADY_S, half))
        return 0 < later <= _ALIKE * earlier and earlier <= _ALIKE * later

    def progress(self) -> int:
        """Records at the destination, doubled ones too."""
        return self.observer.arrivals

    def _arrived(self) -> int:
        return self.observer.distinct

    def advance(self, by: int, timeout: float = _START_S) -> None:
        """Waits until `by` more records have arrived."""
        target = self.progress() + by
        wait_until(lambda: self.progress() >= target, timeout, self.logs)

    def watch(self, seconds: float) -> None:
        """Lets the records move for a time: time is what is waited for."""
        time.sleep(seconds)
        assert self.progress() >= 0

    def recover(self, timeout: float | None = None) -> bool:
        """Waits for the full rate after the last fault; False if it was not reached in time."""
        last = self.faults[-1]
        with contextlib.suppress(AssertionError):
            timeout = self._patience_s if timeout is None else timeout
            wait_until(lambda: self._recovery(last, time.monotonic()) is not None, timeout)
        return self._recovery(last, time.monotonic()) is not None

    def logs(self) -> str:
        """The ends of the logs of all connectors."""
        return "\n\n".join(connector.log_tail() for connector in self.connectors)

    @contextlib.contextmanager
    def fault(self, kind: str, held: int = ON_THE_WIRE) -> Iterator[Fault]:
        """A fault, from its begin to its end.

        Args:
            kind: What is done.
            held: Records that may be delivered twice besides those that are delivered and not committed.
        """
        begin = time.monotonic()
        fault = Fault(kind, begin, begin, held, self._rate_before(begin))
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.end = time.monotonic()

    def _rate_before(self, begin: float) -> float:
        """The rate that has to be reached again.

        It is measured when nothing has disturbed it for two seconds, and else that before the last fault:
        in quick succession each would be lower than the one before.
        """
        if self.faults:
            last = self.faults[-1]
            recovered_after = self._recovery(last, begin)
            if recovered_after is None or last.end + recovered_after > begin - _STEADY_S:
                return last.before
        return self.observer.timeline.rate(begin - _STEADY_S, begin)

    def _recovery(self, fault: Fault, until: float) -> float | None:
        """Seconds from the end of `fault` to the first whole second at the full rate, None if not reached."""
        return self.observer.timeline.time_to(FULL * fault.before, fault.end, until)

    def _weigh(self) -> None:
        """Looks at the memory of the connectors that run now."""
        for connector in list(self.connectors):
            with contextlib.suppress(psutil.Error, AssertionError):
                self.rss = max(self.rss, int(psutil.Process(connector.pid).memory_info().rss))

    def finish(self, *connectors: Connector) -> Verdict:
        """Waits for the full rate and for the last record, stops the connectors in order, and compares.

        Args:
            connectors: Those that run, and have to end in order.
        """
        troubles = []
        if self.faults:
            self.recover()
        self.writer.finish(self.count)
        expected = self.writer.written
        if not self._wait_for(expected):
            troubles.append(f"nothing came for {_QUIET_S:.0f} s, {self.observer.distinct} of {expected} did")
        end = time.monotonic()
        # One that was fenced, and is told to stop before its next run, ends with the error of the last.
        settle = time.monotonic() + _SETTLE_S
        while any(each.running and each.starts_again for each in connectors) and time.monotonic() < settle:
            time.sleep(0.05)
        stopped = [connector for connector in connectors if connector.running]
        # All at once: else the last ones take over from the first while they are told to stop.
        for connector in stopped:
            connector.send(signal.SIGTERM)
        for connector in connectors:
            how = "stopped" if connector in stopped else "ended"
            code = connector.wait()
            # Who is back after a kill may be fenced once more, by those who take over what it held before: the
            # error is true, it would go on by itself, and no guarantee speaks of it.
            fenced = code == 1 and connector in stopped and connector.was_fenced
            if not fenced and (code != 0 or connector not in stopped):
                troubles.append(f"a connector {how} with exit code {code}\n{connector.log_tail()}")
        duration = time.monotonic() - self._begin
        for fault, following in zip(self.faults, [*self.faults[1:], None], strict=True):
            fault.recovered_after = self._recovery(fault, following.begin if following else end)
        self.observer.stop()
        self.verdict = self._judge(duration, troubles)
        return self.verdict

    def _wait_for(self, expected: int) -> bool:
        """Whether all records arrive; gives up when none has for a long time."""
        count, since = -1, time.monotonic()
        while self.observer.distinct < expected:
            if self.progress() != count:
                count, since = self.progress(), time.monotonic()
            if time.monotonic() - since > _QUIET_S:
                return False
            time.sleep(0.05)
        return True

    def _judge(self, duration: float, troubles: list[str]) -> Verdict:
        from_kafka = kafka_values(
            self.kafka.bootstrap, self.origin if self.is_source else self.copy, self._isolation
        )
        from_rivven = rivven_values(
            self.rivven, self.copy if self.is_source else self.origin, self.partitions
        )
        origin, copy = (from_kafka, from_rivven) if self.is_source else (from_rivven, from_kafka)
        return Verdict(
            scenario=self.name,
            direction=self.direction,
            guarantee=self.label,
            seed=self.seed,
            records=sum(map(len, origin.values())),
            differences=Differences.between(origin, copy),
            allowed=0 if self.exactly_once else self._most_doubled(),
            faults=self.faults,
            rss=self.rss,
            duration=duration,
            troubles=troubles,
        )

    def _most_doubled(self) -> int:
        """What may be delivered and not committed, and what may be on its way, at every fault."""
        timeline = self.observer.timeline
        seconds = range(int(timeline.last - self._begin))
        fastest = max((timeline.rate(self._begin + s, self._begin + s + 1) for s in seconds), default=0.0)
        uncommitted = int(fastest * (COMMIT_INTERVAL_S + COMMIT_DELAY_S))
        return sum(fault.held + uncommitted for fault in self.faults)
