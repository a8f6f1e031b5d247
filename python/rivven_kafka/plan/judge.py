"""What follows from what was seen of a Kafka topic: pure judgement, nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator

from rivven_kafka.config import (
    IsolationLevel,
    OnError,
    OnTombstone,
    Ordering,
    Partitioning,
    SourceEntry,
    StartOffset,
    ValueFormat,
)
from rivven_kafka.kafka.inventory import TopicFacts
from rivven_kafka.plan.model import Finding, Severity
from rivven_kafka.plan.sample import TopicSample

_USE_EVENT = "value_format: event"

_WITHOUT_MEANING = frozenset(
    {"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)
"""Options that belong to a move of replicas that is under way."""


def judge_records(entry: SourceEntry, sample: TopicSample, topic: str) -> Iterator[Finding]:
    """What would become of the records that were seen."""
    yield from _unpublished(entry, sample, topic)
    yield from _altered(entry, sample, topic)
    yield from _tombstones(entry, sample, topic)
    yield from _kept(entry, sample, topic)
    if sample.unreadable is not None:
        text = f"cannot be read: {sample.unreadable}"
        yield Finding("unreadable", Severity.BLOCKS, text, topic)
    if not sample.complete and sample.unreadable is None:
        text = f"{_percent(sample.share)} of the offsets were looked at: what is rare may have been missed"
        remedy = "plan --full"
        if sample.scanned + sample.unsettled >= sample.offsets:
            remedy = "plan again once the open transaction has ended"
        yield Finding("sampled", Severity.INFO, text, topic, sample.count("records"), remedy)


def judge_topic(entry: SourceEntry, facts: TopicFacts, sample: TopicSample) -> Iterator[Finding]:
    """What follows from the topic as a whole."""
    name = facts.name
    without = [str(number) for number, each in enumerate(facts.partitions) if not each.leader]
    if without:
        text = f"partitions without a leader cannot be read: {', '.join(without)}"
        yield Finding("no_leader", Severity.BLOCKS, text, name, remedy="start the brokers that have them")
    behind = sum(each.in_sync < each.replicas for each in facts.partitions)
    if behind:
        text = f"{behind} partitions lack replicas that are in sync: a broker that fails may lose records"
        yield Finding("under_replicated", Severity.WARNING, text, name)
    yield from _positions(entry, facts, sample)
    yield from _transactions(entry, facts, sample)
    yield from _settings(facts)
    if facts.groups:
        shown = ", ".join(facts.groups[:5]) + (", ..." if len(facts.groups) > 5 else "")
        count = len(facts.groups)
        text = (
            f"{count} consumer group{'' if count == 1 else 's'} with offsets here ({shown}): positions are "
            f"not carried over"
        )
        yield Finding("groups", Severity.INFO, text, name)


def judge_source(entry: SourceEntry) -> Iterator[Finding]:
    """What follows from the options alone."""
    config = entry.config
    if config.delivery_guarantee == "at_least_once":
        text = "a crash sends the last records again"
        yield Finding("delivery", Severity.WARNING, text, remedy="delivery_guarantee: exactly_once")
    if config.ordering is Ordering.KEY:
        text = "the records of each key stay in order; among each other, and without a key, they do not"
        yield Finding("order", Severity.INFO, text, remedy="ordering: partition")
    if config.partitioning is Partitioning.KEY:
        text = "keys choose the Rivven partition: the numbers of Kafka's partitions are not kept"
        yield Finding("partitioning", Severity.INFO, text, remedy="partitioning: preserve")
    if not config.include_key and config.value_format is ValueFormat.EVENT:
        text = "events do not show the key; it is the key of the Rivven record all the same"
        yield Finding("include_key", Severity.INFO, text)


def _unpublished(entry: SourceEntry, sample: TopicSample, topic: str) -> Iterator[Finding]:
    """Records that Rivven would not get."""
    stops = entry.on_error is OnError.FAIL
    severity = Severity.BLOCKS if stops else Severity.LOSSY
    fate = {
        OnError.FAIL: "the source stops there",
        OnError.SKIP: "they are skipped",
        OnError.DEAD_LETTER: f"they go to the dead letter topic {entry.dead_letter_topic!r}",
    }[entry.on_error]
    if count := sample.count("too_large"):
        text = (
            f"{count} of the records seen are too large for Rivven: {_example(sample, 'too_large')}; {fate}"
        )
        yield Finding("too_large", severity, text, topic, count, _for_size(entry))
    if count := sample.count("bad"):
        text = f"{count} of the records seen cannot be converted: {_example(sample, 'bad')}; {fate}"
        yield Finding("bad", severity, text, topic, count, "other transforms")
    if count := sample.count("echoes"):
        text = f"{count} of the records seen come from this place in Rivven: loop protection leaves them out"
        yield Finding("echoes", Severity.EXACT, text, topic, count)
    tombstones = sample.count("tombstones") if _skips_tombstones(entry) else 0
    if count := max(0, sample.count("left_out") - sample.count("echoes") - tombstones):
        text = f"{count} of the records seen are left out by a filter of the transforms"
        yield Finding("filtered", Severity.LOSSY, text, topic, count, "no filter")


def _for_size(entry: SourceEntry) -> str | None:
    event = entry.config.value_format is ValueFormat.EVENT
    return "value_format: raw, where records take less, or other records" if event else None


def _altered(entry: SourceEntry, sample: TopicSample, topic: str) -> Iterator[Finding]:
    """Records that Rivven would get as something else."""
    raw = entry.config.value_format is ValueFormat.RAW
    tombstones = sample.count("tombstones") if raw and not _skips_tombstones(entry) else 0
    if count := max(0, sample.count("changed_values") - tombstones):
        text = f"the transforms change {count} of the values seen"
        yield Finding("values", Severity.LOSSY, text, topic, count, "no transforms")
    if count := sample.count("lost_headers"):
        text = f"{count} of the records seen have headers, which raw values cannot carry"
        remedy = _USE_EVENT
        if not raw:
            text = f"{count} of the records seen have headers, which the events would not hold"
            remedy = "include_headers: true" if not entry.config.include_headers else "no transforms"
        yield Finding("headers", Severity.LOSSY, text, topic, count, remedy)
    if count := sample.count("lost_timestamps"):
        text = "Rivven gives raw values the time at which it gets them: Kafka's timestamps are lost"
        if not raw:
            text = f"the transforms take the timestamp out of {count} of the events seen"
        yield Finding(
            "timestamps", Severity.LOSSY, text, topic, count, _USE_EVENT if raw else "no transforms"
        )


def _skips_tombstones(entry: SourceEntry) -> bool:
    raw = entry.config.value_format is ValueFormat.RAW
    return raw and entry.config.on_tombstone is OnTombstone.SKIP


def _tombstones(entry: SourceEntry, sample: TopicSample, topic: str) -> Iterator[Finding]:
    count = sample.count("tombstones")
    if not count:
        return
    text = f"{count} of the records seen have no value (tombstones)"
    if entry.config.value_format is ValueFormat.EVENT:
        yield Finding("tombstones", Severity.EXACT, f"{text}: the events say so", topic, count)
        return
    severity, fate = {
        OnTombstone.FAIL: (Severity.BLOCKS, "the source stops there"),
        OnTombstone.SKIP: (Severity.LOSSY, "they are skipped"),
        OnTombstone.EMPTY: (Severity.LOSSY, "they become empty values"),
        OnTombstone.DEAD_LETTER: (Severity.LOSSY, "they go to the dead letter topic"),
    }[entry.config.on_tombstone]
    remedy = _USE_EVENT + (", or on_tombstone" if severity is Severity.BLOCKS else "")
    yield Finding("tombstones", severity, f"{text}: {fate}", topic, count, remedy)


def _kept(entry: SourceEntry, sample: TopicSample, topic: str) -> Iterator[Finding]:
    """What is unusual, and survives."""
    event = entry.config.value_format is ValueFormat.EVENT
    if event and (count := sample.count("binary_values")):
        text = f"{count} of the values seen are not UTF-8: events hold them in base64, a third larger"
        yield Finding("binary", Severity.EXACT, text, topic, count)
    if count := sample.count("over_request"):
        text = (
            f"{count} of the records seen take more than max_request_size "
            f"({entry.config.max_request_size} bytes): each goes in a request of its own"
        )
        yield Finding("large", Severity.EXACT, text, topic, count)
    if event and (count := sample.count("append_time")):
        text = f"{count} of the records seen have the broker's timestamp: events say so"
        yield Finding("append_time", Severity.EXACT, text, topic, count)
    if sample.old_format:
        text = f"{sample.old_format} of the records seen are in a format before Kafka 0.11, and are read"
        yield Finding("old_format", Severity.EXACT, text, topic, sample.old_format)
    if entry.config.partitioning is Partitioning.KEY and (count := sample.count("without_key")):
        text = f"{count} of the records seen have no key: the number of their Kafka partition decides"
        yield Finding("no_key", Severity.INFO, text, topic, count)


def _positions(entry: SourceEntry, facts: TopicFacts, sample: TopicSample) -> Iterator[Finding]:
    """Where the source begins."""
    starts = {number: each.start for number, each in enumerate(facts.partitions) if each.leader}
    ends = {number: each.end for number, each in enumerate(facts.partitions) if each.leader}
    if not facts.positions_known:
        text = "Kafka does not tell what the group has committed: where the source begins is not known"
        remedy = "plan again with all brokers there, and with the right to use the group"
        yield Finding("positions_unknown", Severity.WARNING, text, facts.name, remedy=remedy)
        return
    lost = sum(max(0, start - facts.committed[n]) for n, start in starts.items() if n in facts.committed)
    if lost:
        text = f"Kafka has deleted up to {lost} records that the group has not read yet"
        yield Finding("expired", Severity.LOSSY, text, facts.name, lost)
    done = sum(max(0, facts.committed[n] - start) for n, start in starts.items() if n in facts.committed)
    if done:
        text = f"the group has committed offsets: up to {done} records count as copied"
        yield Finding("position", Severity.INFO, text, facts.name, done)
    if entry.config.start_offset is StartOffset.LATEST:
        new = [n for n in starts if n not in facts.committed]
        left_out = sum(ends[n] - starts[n] for n in new)
        if left_out:
            text = f"start_offset is latest: up to {left_out} records of Kafka are not copied"
            yield Finding(
                "start", Severity.LOSSY, text, facts.name, left_out, "start_offset: earliest, before it runs"
            )


def _transactions(entry: SourceEntry, facts: TopicFacts, sample: TopicSample) -> Iterator[Finding]:
    committed_only = entry.config.isolation_level is IsolationLevel.READ_COMMITTED
    remedy = "isolation_level: read_committed"
    if sample.aborted and committed_only:
        text = (
            f"{sample.aborted} of the records passed were taken back (aborted transactions), and are left out"
        )
        yield Finding("aborted", Severity.EXACT, text, facts.name, sample.aborted)
    elif sample.aborted:
        text = f"{sample.aborted} of the records seen were taken back (aborted transactions): they are copied"
        yield Finding("aborted", Severity.LOSSY, text, facts.name, sample.aborted, remedy)
    unsettled = sum(each.end - each.stable_end for each in facts.partitions)
    if unsettled:
        fate = "the source waits for its end" if committed_only else "its records are copied at once"
        severity = Severity.INFO if committed_only else Severity.WARNING
        text = f"up to {unsettled} records lie behind the beginning of an open transaction: {fate}"
        yield Finding(
            "open_transaction", severity, text, facts.name, unsettled, None if committed_only else remedy
        )
    gaps = sample.gaps - (sample.aborted if committed_only else 0)
    if facts.compacted:
        text = "the topic is compacted: what Kafka has left is copied"
        text += f"; {gaps} of the offsets passed hold no record" if gaps > 0 else ""
        yield Finding("compacted", Severity.EXACT, text, facts.name)
    elif gaps > 0:
        text = f"{gaps} of the offsets passed hold the ends of transactions: Rivven's offsets are others"
        yield Finding("transactions", Severity.EXACT, text, facts.name)


def _settings(facts: TopicFacts) -> Iterator[Finding]:
    """Options of the topic. Rivven topics are made with a number of partitions and nothing else."""
    if facts.configs is None:
        text = "the user may not see the options of the topic (DESCRIBE_CONFIGS)"
        yield Finding("configs_unknown", Severity.INFO, text, facts.name)
    given = [
        f"{name}={config.value}"
        for name, config in sorted((facts.configs or {}).items())
        if not config.default and config.value and name not in _WITHOUT_MEANING
    ]
    if given:
        text = f"the Rivven topic would have none of these options: {', '.join(given)}"
        yield Finding("configs", Severity.INFO, text, facts.name)
    if (replicas := max((each.replicas for each in facts.partitions), default=0)) > 1:
        text = f"{replicas} replicas: rivvend cannot be asked for any"
        yield Finding("replicas", Severity.INFO, text, facts.name)


def _example(sample: TopicSample, name: str) -> str:
    examples = sample.examples.get(name)
    if not examples:
        return "no example"
    topic, partition, offset, text = examples[0]
    return f"at {topic}:{partition}:{offset}, {text}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
