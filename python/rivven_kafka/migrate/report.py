"""What a migration is to copy, how far it has come, and how it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

FORMAT = 1
"""Of the JSON; a file of another one is not continued."""


class Outcome(StrEnum):
    """Where a migration stands."""

    RUNNING = "running"
    """It is at work; or its process was killed, when there is none."""
    INTERRUPTED = "interrupted"
    """It was told to stop, and can go on."""
    COPIED = "copied"
    """Everything up to the snapshot is in Rivven; it was not verified."""
    VERIFIED = "verified"
    """And both sides are the same."""
    INCOMPLETE = "incomplete"
    """Everything was copied but what Kafka had deleted before it was read."""
    DIFFERENT = "different"
    """Everything was copied, and both sides are not the same."""
    FAILED = "failed"
    """It has ended with an error, and can go on."""

    @property
    def is_copied(self) -> bool:
        """Whether everything up to the snapshot is in Rivven, as far as it will ever be."""
        return self in (Outcome.COPIED, Outcome.VERIFIED, Outcome.INCOMPLETE, Outcome.DIFFERENT)


@dataclass
class PartitionCopy:
    """One Kafka partition.

    Attributes:
        partition: Its number.
        start: Where the migration began: what the group had committed, or the first record.
        end: The end of the log at the snapshot: the offset behind the last record to copy.
        position: Everything before it is in Rivven, as far as is known.
        records: Records that all processes have brought to Rivven; a killed one leaves some uncounted.
        size_bytes: Their size in Kafka (bytes).
        log_start: Where the log began at the snapshot.
        committed: What the group had committed at the snapshot; None if nothing.
        lost: Offsets before the end that Kafka had deleted before they were read.
        lost_until: The offset behind the last of them.
    """

    partition: int
    start: int
    end: int
    position: int
    records: int = 0
    size_bytes: int = 0
    log_start: int = 0
    committed: int | None = None
    lost: int = 0
    lost_until: int = 0

    @property
    def total(self) -> int:
        """Offsets to copy; where a log was compacted they are more than records."""
        return max(self.end - self.start, 0)

    @property
    def done(self) -> int:
        """Offsets that were copied."""
        return max(min(self.position, self.end) - self.start - self.lost, 0)

    def lose(self, first: int, until: int) -> bool:
        """Notes that Kafka did not hold the offsets from `first` to before `until` any more.

        Returns:
            Whether that is news; logs lose their beginnings only, so what was noted lies before the rest.
        """
        first, until = max(first, self.start, self.lost_until), min(until, self.end)
        if first >= until:
            return False
        self.lost += until - first
        self.lost_until = until
        return True


@dataclass
class TopicCopy:
    """One Kafka topic.

    Attributes:
        topic: Its name.
        topic_id: Kafka's id of it; None where the cluster has none.
        destination: The Rivven topic.
        replicas: Kafka's replicas of each partition.
        configs: What is set for the topic in Kafka, and cannot be set in Rivven.
        partitions: Its partitions.
    """

    topic: str
    topic_id: str | None
    destination: str
    replicas: int
    configs: dict[str, str]
    partitions: list[PartitionCopy]

    @property
    def total(self) -> int:
        """Offsets to copy."""
        return sum(each.total for each in self.partitions)

    @property
    def done(self) -> int:
        """Offsets that were copied."""
        return sum(each.done for each in self.partitions)

    @property
    def before(self) -> int:
        """Offsets that Kafka held at the snapshot, and the group had committed."""
        return sum(max(each.start - each.log_start, 0) for each in self.partitions)

    @property
    def lost(self) -> int:
        """Offsets that Kafka had deleted before they were read."""
        return sum(each.lost for each in self.partitions)

    @property
    def records(self) -> int:
        """Records that were brought to Rivven."""
        return sum(each.records for each in self.partitions)

    @property
    def size_bytes(self) -> int:
        """Their size in Kafka (bytes)."""
        return sum(each.size_bytes for each in self.partitions)


@dataclass
class Report:
    """The migration of one source.

    Attributes:
        source: Name of the source.
        kafka_cluster: Kafka's id of its cluster; None where there is none.
        kafka: Addresses of Kafka.
        rivven: Addresses of Rivven.
        group: The Kafka consumer group that holds the progress.
        options: The options that decide what arrives in Rivven.
        snapshot: When the ends were read (RFC 3339).
        topics: What is to be copied.
        outcome: Where it stands.
        error: Why it has failed, None if it has not.
        processes: How many processes have worked on it.
        copy_seconds: Time spent on copying, by all processes (s).
        verify_seconds: Time that the last verification took (s), None without one.
        updated: When this was written (RFC 3339).
        finished: When everything was copied (RFC 3339), None before.
        caught_up: Everything that Kafka held at this moment was in Rivven when the live link caught up last
            (RFC 3339), None without one.
        verification: What the comparison of both sides has found, None without one.
        notes: What a reader should know.
    """

    source: str
    kafka_cluster: str | None
    kafka: list[str]
    rivven: list[str]
    group: str
    options: dict[str, str]
    snapshot: str
    topics: list[TopicCopy]
    outcome: Outcome = Outcome.RUNNING
    error: str | None = None
    processes: int = 0
    copy_seconds: float = 0.0
    verify_seconds: float | None = None
    updated: str | None = None
    finished: str | None = None
    caught_up: str | None = None
    verification: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def partitions(self) -> Iterator[tuple[TopicCopy, PartitionCopy]]:
        """All partitions, each with its topic."""
        for topic in self.topics:
            for partition in topic.partitions:
                yield topic, partition

    @property
    def ends(self) -> dict[tuple[str, int], int]:
        """The snapshot: the end of each partition, by Kafka topic and partition."""
        return {(topic.topic, each.partition): each.end for topic, each in self.partitions()}

    @property
    def total(self) -> int:
        """Offsets to copy."""
        return sum(topic.total for topic in self.topics)

    @property
    def done(self) -> int:
        """Offsets that were copied."""
        return sum(topic.done for topic in self.topics)

    @property
    def lost(self) -> int:
        """Offsets that Kafka had deleted before they were read."""
        return sum(topic.lost for topic in self.topics)

    @property
    def losses(self) -> list[str]:
        """The same in words, for each topic that has any."""
        return [
            f"Kafka has deleted {topic.lost} of {topic.total} offsets of topic {topic.topic} before they "
            f"were copied"
            for topic in self.topics
            if topic.lost
        ]

    @property
    def records(self) -> int:
        """Records that were brought to Rivven."""
        return sum(topic.records for topic in self.topics)

    @property
    def size_bytes(self) -> int:
        """Their size in Kafka (bytes)."""
        return sum(topic.size_bytes for topic in self.topics)

    def reach(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Notes how far partitions have come."""
        for topic, each in self.partitions():
            each.position = max(each.position, positions.get((topic.topic, each.partition), 0))

    def settle(self, outcome: Outcome, error: str | None = None) -> None:
        """Notes where it stands now; what lacks a part is not copied, nor verified, but incomplete."""
        if self.lost and outcome in (Outcome.COPIED, Outcome.VERIFIED):
            outcome = Outcome.INCOMPLETE
        self.outcome, self.error = outcome, error
        if outcome.is_copied:
            self.reach(self.ends)
            self.finished = self.finished or now()

    def to_dict(self, version: str) -> dict[str, Any]:
        """As it is stored and printed.

        Args:
            version: That of rivven-kafka.
        """
        return {"format": FORMAT, "version": version, **asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """What `to_dict` has made.

        Raises:
            ValueError: It was made by something else.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT}")
        values = {name: value for name, value in data.items() if name not in ("format", "version")}
        try:
            values["topics"] = [
                TopicCopy(**{**topic, "partitions": [PartitionCopy(**each) for each in topic["partitions"]]})
                for topic in data["topics"]
            ]
            values["outcome"] = Outcome(data["outcome"])
            return cls(**values)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not of its form: {error}") from error


def now() -> str:
    """This moment (RFC 3339, UTC)."""
    return moment(datetime.now(UTC))


def moment(at: datetime) -> str:
    """A moment of UTC (RFC 3339)."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
