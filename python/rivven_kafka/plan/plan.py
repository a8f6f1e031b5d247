"""The plan of one source: what is asked of both brokers, in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from rivven_kafka._native import RivvenClient, Survey
from rivven_kafka.checks import CheckStatus
from rivven_kafka.config import (
    BrokerConfig,
    DeliveryGuarantee,
    OnTombstone,
    Settings,
    SourceEntry,
    StartOffset,
    ValueFormat,
    transforms_json,
)
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BlockConsumer, admin_options
from rivven_kafka.kafka.inventory import TopicFacts, take_inventory
from rivven_kafka.pipeline.destination import by_destination
from rivven_kafka.pipeline.entry_check import check_source_entry, fills
from rivven_kafka.pipeline.loop_protection import source_protection
from rivven_kafka.plan.destination import Destination, judge_destination, look_at
from rivven_kafka.plan.estimate import Load, Measured, estimate
from rivven_kafka.plan.guarantee import judge_guarantee
from rivven_kafka.plan.judge import judge_records, judge_source, judge_topic
from rivven_kafka.plan.model import Finding, Severity, SourcePlan, TopicPlan, sort_findings
from rivven_kafka.plan.probe import published_per_second, round_trip_ms
from rivven_kafka.plan.sample import Sample, SampleOptions, TopicSample, take_sample
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.source import consumer_options, find_topics

_HOUR_S, _DAY_S = 3_600, 86_400

_NO_KAFKA = ("config:", "connectivity:", "authentication:")
"""How findings begin that leave nothing to look at."""


def plan_source(
    name: str,
    entry: SourceEntry,
    broker: BrokerConfig,
    settings: Settings,
    *,
    others: Mapping[str, SourceEntry] | None = None,
    sample: SampleOptions | None = None,
    probe_write: bool = False,
    accept: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> SourcePlan:
    """Finds out what a source would do. Writes nothing anywhere, unless it is asked to.

    A broker that cannot be reached, or refuses, is a finding.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        others: The other sources of the file.
        sample: How much of Kafka is looked at.
        probe_write: Whether to publish a few thousand records to a Rivven topic of its own, to measure the
            rate; that topic is deleted, but its files stay.
        accept: Codes of findings that are wanted so.
        progress: Told what is being done.
    """
    plan = _Planning(name, entry, broker, settings, others or {}, progress)
    return plan.run(sample or SampleOptions(), probe_write=probe_write, accept=accept)


class _Planning:
    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        broker: BrokerConfig,
        settings: Settings,
        others: Mapping[str, SourceEntry],
        progress: Callable[[str], None],
    ) -> None:
        self._name = name
        self._entry = entry
        self._broker = broker
        self._settings = settings
        self._others = others
        self._progress = progress
        self._plan = SourcePlan(name, str(entry.config.value_format))
        self._client: RivvenClient | None = None
        self._protection: dict[str, Any] = {}

    def run(self, options: SampleOptions, *, probe_write: bool, accept: Collection[str]) -> SourcePlan:
        findings = self._check()
        try:
            if not any(finding.message.startswith(_NO_KAFKA) for finding in findings):
                findings += [*judge_source(self._entry), *self._look(options, probe_write=probe_write)]
        except RivvenKafkaError as error:
            # Most often one of the checks has failed, and says so better.
            if not any(finding.severity is Severity.BLOCKS for finding in findings):
                findings.append(Finding("failed", Severity.BLOCKS, str(error)))
        finally:
            if self._client is not None:
                self._client.close()
        self._plan.findings = sort_findings(
            [replace(finding, accepted=finding.code in accept) for finding in findings]
        )
        return self._plan

    def _check(self) -> list[Finding]:
        self._progress("checking both brokers")
        result = check_source_entry(self._name, self._entry, self._broker, self._settings)
        return [
            Finding(
                "check", Severity.BLOCKS, f"{check.name}: {check.detail}", remedy="see `rivven-kafka check`"
            )
            for check in result.checks
            if check.status is CheckStatus.FAILED and check.name != "rivven_topic"
        ]

    def _look(self, options: SampleOptions, *, probe_write: bool) -> list[Finding]:
        config = self._entry.config
        admin = admin_options(config, self._name)
        self._progress("taking the inventory of Kafka")
        self._protection = source_protection(self._name, self._entry, self._broker)
        facts = take_inventory(admin, self._topics(), config.consumer_group, int(time.time() * 1000))
        counts = {name: len(topic.partitions) for name, topic in facts.items()}
        ids = {name: topic.topic_id for name, topic in facts.items()}
        destinations = self._destinations(counts, ids)
        surveys = {name: self._survey(topic) for name, topic in facts.items()}
        sample = take_sample(
            facts,
            surveys,
            consumer_options(config, self._name),
            options,
            timeout_s=config.request_timeout_ms / 1000,
            max_batch_bytes=config.max_batch_bytes,
            progress=self._progress,
        )
        findings: list[Finding] = []
        for destination in destinations.values():
            findings += judge_destination(self._entry, destination, facts)
        for name, topic in facts.items():
            findings += judge_topic(self._entry, topic, sample.topics[name])
            findings += judge_records(self._entry, sample.topics[name], name)
            found = destinations[self._entry.destination(name)]
            findings += judge_guarantee(self._entry, topic, found)
            self._plan.topics.append(describe(self._entry, topic, sample.topics[name], found))
        return findings + self._estimate(facts, destinations, sample, probe_write=probe_write)

    def _topics(self) -> list[str]:
        config = self._entry.config
        options = consumer_options(config, self._name) | {"group_id": None}
        with closing(BlockConsumer(options)) as consumer:
            if config.topic_pattern is None:
                # One that is missing is a finding of the check; the others are looked at.
                return sorted(consumer.partition_counts(config.topic_names))
            return sorted(find_topics(consumer, config))

    def _destinations(
        self, counts: Mapping[str, int], ids: Mapping[str, str | None]
    ) -> dict[str, Destination]:
        self._progress("looking at Rivven")
        self._client = self._reach()
        found = {}
        for name, topics in by_destination(self._entry, counts).items():
            others = (other for other, entry in self._others.items() if fills(entry, name))
            found[name] = Destination(name, topics, tuple(others))
            look_at(self._client, self._entry, self._settings.topic, found[name], ids)
        return found

    def _reach(self) -> RivvenClient | None:
        # One of several servers is enough.
        tries = len(self._broker.bootstrap_servers)
        retry = self._settings.retry.model_copy(update={"max_retries": tries})
        client = RivvenClient(**client_arguments(self._broker, retry, self._name))
        try:
            client.ping()
        except RivvenKafkaError:
            # The check has told.
            client.close()
            return None
        return client

    def _survey(self, topic: TopicFacts) -> Survey:
        config = self._entry.config
        by_position = (
            config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE
            and config.value_format is ValueFormat.EVENT
        )
        tombstone = config.on_tombstone
        return Survey(
            self._entry.destination(topic.name),
            value_format=config.value_format,
            on_tombstone="fail" if tombstone is OnTombstone.DEAD_LETTER else tombstone,
            transforms=transforms_json(self._entry.transforms),
            include_headers=config.include_headers,
            include_key=config.include_key,
            topic_id=topic.topic_id if by_position else None,
            max_request_bytes=config.max_request_size,
            **self._protection,
        )

    def _estimate(
        self,
        facts: Mapping[str, TopicFacts],
        destinations: Mapping[str, Destination],
        sample: Sample,
        *,
        probe_write: bool,
    ) -> list[Finding]:
        loads = [
            Load(
                [
                    count
                    for name in destination.kafka_topics
                    for count in to_copy(self._entry, facts[name], sample.topics[name])
                ],
                destination.partitions,
                _distinct_keys([sample.topics[name] for name in destination.kafka_topics]),
                _published_bytes([sample.topics[name] for name in destination.kafka_topics]) or 0.0,
            )
            for destination in destinations.values()
            if destination.partitions
        ]
        if not loads:
            return []
        findings: list[Finding] = []
        rate = None
        if probe_write and self._client is not None:
            rate, findings = self._probe(facts, sample)
        measured = Measured(
            sample.records_per_second,
            None if self._client is None else round_trip_ms(self._client),
            rate,
            sum(max(rates) for rates in map(incoming_rates, facts.values())),
        )
        self._plan.estimate = found = estimate(self._entry, loads, measured)
        if found.keeps_up is False:
            text = (
                f"about {found.incoming_per_second:.0f} records/s come, and Rivven may take no more than "
                f"{found.records_per_second[0]:.0f}: the source may never catch up"
            )
            remedy = "ordering: key, more connections, or more partitions"
            findings.append(Finding("keeps_up", Severity.WARNING, text, remedy=remedy))
        return findings + list(_expiring(facts, found.seconds[1]))

    def _probe(self, facts: Mapping[str, TopicFacts], sample: Sample) -> tuple[float | None, list[Finding]]:
        self._progress("publishing to a topic of its own")
        arguments: dict[str, Any] = client_arguments(
            self._broker, self._settings.retry, self._entry.config.client_id or self._name
        )
        counts = {name: len(topic.partitions) for name, topic in facts.items()}
        try:
            rate = published_per_second(arguments, self._entry, self._settings.topic, counts, sample.kept)
        except RivvenKafkaError as error:
            return None, [Finding("probe", Severity.WARNING, f"the probe that writes has failed: {error}")]
        return rate, []


def describe(entry: SourceEntry, topic: TopicFacts, sample: TopicSample, found: Destination) -> TopicPlan:
    """The numbers of a topic, and where it goes."""
    sizes = [each.size_bytes for each in topic.partitions]
    rates = incoming_rates(topic)
    counts = sample.counts
    record_bytes = counts["bytes"] / counts["records"] if counts.get("records") else None
    whole = [_records(sample, number, each.end - each.start) for number, each in enumerate(topic.partitions)]
    return TopicPlan(
        topic=topic.name,
        partitions=len(topic.partitions),
        replication_factor=topic.partitions[0].replicas if topic.partitions else 0,
        destination=found.name,
        destination_partitions=found.partitions,
        destination_exists=found.exists,
        destination_records=found.records,
        offsets=sum(each.end - each.start for each in topic.partitions),
        records=round(sum(whole)),
        records_exact=sample.complete,
        to_copy=round(sum(to_copy(entry, topic, sample))),
        size_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        records_per_second=rates,
        bytes_per_second=None if record_bytes is None else (rates[0] * record_bytes, rates[1] * record_bytes),
        configs=None
        if topic.configs is None
        else {name: config.value for name, config in sorted(topic.configs.items()) if not config.default},
        groups=None if topic.groups is None else list(topic.groups),
        sampled=counts.get("records", 0),
        sampled_share=sample.share,
        record_bytes=record_bytes,
        published_bytes=_published_bytes([sample]),
        content={**counts, "gaps": sample.gaps, "aborted": sample.aborted, "old_format": sample.old_format},
    )


def incoming_rates(topic: TopicFacts) -> tuple[float, float]:
    """Records per second of the last hour, and of the last day."""
    hour = sum(each.since_hour for each in topic.partitions)
    day = sum(each.since_day for each in topic.partitions)
    return hour / _HOUR_S, day / _DAY_S


def to_copy(entry: SourceEntry, topic: TopicFacts, sample: TopicSample) -> list[float]:
    """About how many records of each partition are before the source."""
    latest = entry.config.start_offset is StartOffset.LATEST
    left = []
    for number, each in enumerate(topic.partitions):
        begin = topic.committed.get(number, each.end if latest else each.start)
        left.append(_records(sample, number, each.end - max(begin, each.start)))
    return left


def _records(sample: TopicSample, partition: int, offsets: int) -> float:
    """Records among so many offsets of a partition."""
    known = sample.density.values()
    average = sum(known) / len(known) if known else 1.0
    return max(0, offsets) * sample.density.get(partition, average)


def _published_bytes(samples: Collection[TopicSample]) -> float | None:
    published = sum(sample.count("published") for sample in samples)
    return sum(sample.count("published_bytes") for sample in samples) / published if published else None


def _distinct_keys(samples: Collection[TopicSample]) -> int | None:
    """Keys that were seen, where they can be too few to keep all connections busy."""
    if any(sample.count("without_key") for sample in samples):
        return None
    return sum(sample.count("distinct_keys") for sample in samples) or None


def _expiring(facts: Mapping[str, TopicFacts], seconds: float) -> list[Finding]:
    """Topics from which records may be deleted before they are copied."""
    findings = []
    for name, topic in facts.items():
        config = (topic.configs or {}).get("retention.ms")
        kept_ms = int(config.value) if config is not None and config.value else -1
        if "delete" in topic.policy() and 0 <= kept_ms < 2000 * seconds:
            text = f"Kafka keeps records for {kept_ms / 1000:.0f} s, and the copy may take {seconds:.0f} s"
            remedy = "a longer retention.ms until the copy is done"
            findings.append(Finding("retention", Severity.WARNING, text, name, remedy=remedy))
    return findings
