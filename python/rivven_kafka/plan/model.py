"""What a plan says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """What a finding means for the copy, the worst last."""

    EXACT = "exact"
    """Unusual, and survives."""
    INFO = "info"
    """Worth knowing; Rivven holds everything all the same."""
    WARNING = "warning"
    """Rivven can hold everything, and it may go wrong."""
    LOSSY = "lossy"
    """Rivven will hold less than Kafka, or something else."""
    BLOCKS = "blocks"
    """The source will not start, or stop on the way."""


FATAL = (Severity.LOSSY, Severity.BLOCKS)
"""Those that keep a copy from being exact."""

CODES = (
    "aborted",
    "append_time",
    "bad",
    "binary",
    "check",
    "collision",
    "committed",
    "compacted",
    "configs",
    "configs_unknown",
    "delivery",
    "echoes",
    "expired",
    "failed",
    "filtered",
    "foreign",
    "groups",
    "guarantee",
    "headers",
    "holds_records",
    "include_key",
    "keeps_up",
    "large",
    "missing",
    "name",
    "new_topic",
    "no_key",
    "no_leader",
    "old_format",
    "open_transaction",
    "order",
    "partitioning",
    "partitions",
    "position",
    "positions_unknown",
    "probe",
    "replicas",
    "retention",
    "sampled",
    "start",
    "timestamps",
    "tombstones",
    "too_large",
    "transactions",
    "under_replicated",
    "unreadable",
    "values",
)
"""The codes of all findings."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        code: Its name, for programs and for `--accept`.
        severity: What it means for the copy.
        message: What it is, in words.
        topic: The Kafka topic; None for the source as a whole.
        records: How many records of Kafka it concerns, as far as they were looked at; None where that means
            nothing.
        remedy: What would change it, in words; None if nothing would, or nothing needs to.
        accepted: Whether the user wants it so: it does not count against the copy.
    """

    code: str
    severity: Severity
    message: str
    topic: str | None = None
    records: int | None = None
    remedy: str | None = None
    accepted: bool = False

    @property
    def fatal(self) -> bool:
        """Whether it keeps the copy from being exact."""
        return self.severity in FATAL and not self.accepted


@dataclass
class TopicPlan:
    """One Kafka topic, and where it goes.

    Attributes:
        topic: Its name.
        partitions: Its number of partitions.
        replication_factor: Replicas of its first partition.
        destination: The Rivven topic.
        destination_partitions: Partitions that the Rivven topic has or would get; None if it would not be
            made.
        destination_exists: Whether it is there already; None if Rivven could not be asked.
        destination_records: What it holds by now.
        offsets: Offsets between the first record and the end: the most records that there can be.
        records: How many records there are.
        records_exact: Whether that was counted, not estimated.
        to_copy: How many of them are before the source, by its committed offsets and `start_offset`.
        size_bytes: On the disks of the leaders; None if the user may not see it.
        records_per_second: Written in the last hour and in the last day, by the records' timestamps.
        bytes_per_second: The same in bytes of keys, values and headers; None where no record was seen.
        configs: Options of the topic that somebody has set; None if the user may not see them.
        groups: Consumer groups with offsets in it, beside the source's own; None if the user may not see
            them.
        sampled: Records that were looked at.
        sampled_share: The share of the offsets that was looked at, from 0 to 1.
        record_bytes: Average size of a record in Kafka (bytes); None where none was seen.
        published_bytes: Average size of key and value in Rivven (bytes); None where none would be published.
        content: What was counted in the sample, see docs/plan.md.
    """

    topic: str
    partitions: int
    replication_factor: int
    destination: str
    destination_partitions: int | None = None
    destination_exists: bool | None = None
    destination_records: int = 0
    offsets: int = 0
    records: int = 0
    records_exact: bool = True
    to_copy: int = 0
    size_bytes: int | None = None
    records_per_second: tuple[float, float] = (0.0, 0.0)
    bytes_per_second: tuple[float, float] | None = None
    configs: dict[str, str | None] | None = None
    groups: list[str] | None = None
    sampled: int = 0
    sampled_share: float = 1.0
    record_bytes: float | None = None
    published_bytes: float | None = None
    content: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """How long the copy would take.

    Attributes:
        records: Records to copy.
        rivven_bytes: What they take in Rivven, keys and values.
        measured: Whether the rate comes from `--probe-write`, not from what rivvend is known to take.
        connections: Connections that would write at the same time.
        records_per_second: The least and the most that is expected.
        seconds: The shortest and the longest time that is expected.
        bound_by: What limits the rate.
        incoming_per_second: Records written to Kafka, the busier of the last hour and the last day.
        keeps_up: Whether the slower rate is above that; None while nothing comes.
        kafka_records_per_second: Measured reading from Kafka; None if there was too little to measure.
        rivven_round_trip_ms: Median time of an answer of Rivven (ms); None if it does not answer.
    """

    records: int
    rivven_bytes: int
    measured: bool
    connections: int
    records_per_second: tuple[float, float]
    seconds: tuple[float, float]
    bound_by: str
    incoming_per_second: float
    keeps_up: bool | None
    kafka_records_per_second: float | None
    rivven_round_trip_ms: float | None


@dataclass
class SourcePlan:
    """The plan of one source.

    Attributes:
        source: Its name.
        value_format: `event` or `raw`.
        topics: By name.
        findings: What was found, the worst first.
        estimate: None where nothing can be copied.
    """

    source: str
    value_format: str
    topics: list[TopicPlan] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    estimate: Estimate | None = None

    @property
    def exact(self) -> bool:
        """Whether Rivven can hold everything as it is, as far as that was looked at."""
        return not any(finding.fatal for finding in self.findings)

    @property
    def certain(self) -> bool:
        """Whether all records were looked at, and it is known where the source begins."""
        unknown = any(finding.code == "positions_unknown" for finding in self.findings)
        return not unknown and all(topic.sampled_share == 1 for topic in self.topics)

    def reasons(self) -> Iterator[Finding]:
        """What keeps the copy from being exact."""
        return (finding for finding in self.findings if finding.fatal)

    def to_dict(self) -> dict[str, Any]:
        """The plan in the types of JSON."""
        found = asdict(self)
        reasons = list(dict.fromkeys(finding.code for finding in self.reasons()))
        remedies = list(dict.fromkeys(finding.remedy for finding in self.reasons() if finding.remedy))
        verdict = {"exact": self.exact, "certain": self.certain, "reasons": reasons, "remedies": remedies}
        return {"source": found.pop("source"), "verdict": verdict, **found}


def sort_findings(findings: list[Finding]) -> list[Finding]:
    """The worst first; those of the source before those of topics."""
    order = list(Severity)
    return sorted(findings, key=lambda each: (-order.index(each.severity), each.topic or "", each.code))
