"""Numbered records that a test writes step by step, where a writer in the background would stand in the way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

from kafka import KafkaAdminClient
from rivven_kafka._native import Publisher, RivvenClient, block_from_rows

from tests.support.connector import Connector, wait_until
from tests.support.numbered import kafka_values, numbered, rivven_ends, rivven_values
from tests.support.rivven_wire import RivvenWire
from tests.support.scenario import Flow
from tests.support.topics import TopicWriter, end_offsets
from tests.support.verdicts import Differences, Verdict

_LAST_MS = 120_000


class Manual:
    """The topics of a flow, filled by hand.

    Attributes:
        expected: What has to arrive, by partition.

    Args:
        flow: Makes the connector and watches the copy; its writer stays idle.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.expected: dict[int, list[int]] = {number: [] for number in range(flow.partitions)}
        self._begin = time.monotonic()
        flow.observer.start()

    @property
    def admin(self) -> closing[KafkaAdminClient]:
        """An administrator of Kafka."""
        return closing(KafkaAdminClient(bootstrap_servers=self.flow.kafka.bootstrap))

    @property
    def wire(self) -> RivvenWire:
        """A connection to Rivven."""
        return RivvenWire("127.0.0.1", self.flow.rivven.port)

    def write(
        self, sequences: range, partitions: Iterable[int] | None = None, keys: int | None = None
    ) -> None:
        """Adds records to some partitions of the origin, all by default; they are stored when it returns.

        With so many different `keys` in turn and a millisecond between records, or without keys and in no time.
        """
        numbers = sorted(self.expected if partitions is None else partitions)
        rows = {number: numbered(number, sequences, 100) for number in numbers}
        if keys is not None:
            for number, old in rows.items():
                rows[number] = [
                    (row[0] + sequence, b"%d" % (sequence % keys), *row[2:])
                    for row, sequence in zip(old, sequences, strict=True)
                ]
        for number in numbers:
            self.expected.setdefault(number, []).extend(sequences)
        if self.flow.is_source:
            with TopicWriter(self.flow.kafka.bootstrap, self.flow.origin, len(self.expected)) as writer:
                for number in numbers:
                    writer.write(number, rows[number])
            return
        publisher = Publisher([self.flow.rivven.bootstrap], value_format="raw")
        publisher.add_route("numbers", self.flow.origin, len(self.expected))
        for number in numbers:
            publisher.submit(block_from_rows("numbers", number, rows[number]))
        assert publisher.close(_LAST_MS), publisher.error()

    def values(self) -> dict[int, list[bytes]]:
        """What the copy holds now, by partition."""
        if self.flow.is_source:
            with closing(RivvenClient([self.flow.rivven.bootstrap])) as client:
                count = client.partition_count(self.flow.copy)
            return rivven_values(self.flow.rivven, self.flow.copy, count or 0)
        return kafka_values(self.flow.kafka.bootstrap, self.flow.copy, "read_committed")

    def differences(self) -> Differences:
        """How the copy differs from what is expected."""
        origin = {
            number: [b"#%d:%d#" % (number, sequence) for sequence in sequences]
            for number, sequences in self.expected.items()
        }
        return Differences.between(origin, self.values())

    def wait_complete(self, timeout: float = 120.0) -> None:
        """Waits until nothing is missing in the copy."""
        flow, expected = self.flow, sum(map(len, self.expected.values()))

        def complete() -> bool:
            # Not by reading the records again and again: that would use up rivvend's quota.
            if flow.is_source:
                there = sum(rivven_ends(flow.rivven, flow.copy, len(self.expected)))
            else:
                there = sum(end_offsets(flow.kafka.bootstrap, flow.copy).values())
            return there >= expected and not self.differences().lost

        wait_until(complete, timeout, self.flow.logs)

    def finish(self, connector: Connector, allowed: int = 0) -> None:
        """Waits for the rest, stops the connector in order, and checks that nothing is missing or too much."""
        self.wait_complete()
        troubles = [] if connector.running else ["the connector has ended"]
        if connector.running and (code := connector.stop()) != 0:
            troubles.append(f"the connector stopped with exit code {code}")
        flow = self.flow
        flow.observer.stop()
        flow.verdict = Verdict(
            scenario=flow.name,
            direction=flow.direction,
            guarantee=flow.label,
            seed=flow.seed,
            records=sum(map(len, self.expected.values())),
            differences=self.differences(),
            allowed=0 if flow.exactly_once else allowed,
            faults=flow.faults,
            rss=flow.rss,
            duration=time.monotonic() - self._begin,
            troubles=troubles,
        )
        flow.verdict.check()
