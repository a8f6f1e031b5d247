"""The series that the running process adds to the counters of its connectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rivven_kafka.pipeline.lag import Lag
from rivven_kafka.runtime.connector import ConnectorStatus, State
from rivven_kafka.runtime.distribution import Distribution

PREFIX = "rivven_kafka_connector_"

Value = float | Distribution | None
"""None: not known, so there is no sample."""
Labelled = Iterable[tuple[Sequence[str], Value]]
"""Values of the further labels, and the value."""


@dataclass(frozen=True)
class Series:
    """One metric.

    Attributes:
        name: Without prefix, and without the suffix of a counter.
        kind: "counter", "gauge" or "histogram".
        help: What it says.
        values: Its values for a connector.
        labels: Names of its labels beside `connector` and `direction`.
    """

    name: str
    kind: str
    help: str
    values: Callable[[ConnectorStatus], Labelled]
    labels: tuple[str, ...] = field(default=())


def _one(value: Callable[[ConnectorStatus], Value]) -> Callable[[ConnectorStatus], Labelled]:
    return lambda status: [((), value(status))]


def _partitions(value: Callable[[Lag], Value]) -> Callable[[ConnectorStatus], Labelled]:
    return lambda status: [((each.topic, str(each.partition)), value(each)) for each in status.lag]


_PARTITION = ("topic", "partition")

SERIES = (
    Series(
        "running",
        "gauge",
        "Whether the connector is running (1) or not (0)",
        _one(lambda status: status.state is State.RUNNING),
    ),
    Series(
        "failed",
        "gauge",
        "Whether the connector has given up, or could not end in order (1), or not (0)",
        _one(lambda status: status.state is State.FAILED),
    ),
    Series(
        "assigned_partitions",
        "gauge",
        "Partitions that the connector has now",
        _one(lambda status: len(status.lag)),
    ),
    Series(
        "paused",
        "gauge",
        "Whether the connector was told to read nothing (1) or not (0)",
        _one(lambda status: status.paused),
    ),
    Series("restarts", "counter", "Restarts after an error", _one(lambda status: status.restarts)),
    Series(
        "rebalances",
        "counter",
        "Assignments of partitions by the consumer group, the first one included",
        _one(lambda status: status.rebalances),
    ),
    Series(
        "stalled_partitions",
        "gauge",
        "Partitions that have records to deliver and make no progress",
        _one(lambda status: len(status.stalled)),
    ),
    Series(
        "stalls",
        "counter",
        "Times a partition was found to make no progress",
        _one(lambda status: status.stalls),
    ),
    Series(
        "duplicates_suppressed",
        "counter",
        "Records not delivered because the other side had them",
        _one(lambda status: status.suppressed),
    ),
    Series(
        "echoes_refused",
        "counter",
        "Records not delivered because they have been in the topic",
        _one(lambda status: status.echoes),
    ),
    Series(
        "dead_letters",
        "counter",
        "Records that went to the dead letter topic",
        lambda status: [((reason,), count) for reason, count in status.dead_letters.items()],
        ("reason",),
    ),
    Series(
        "skipped",
        "counter",
        "Records that were left out for good",
        lambda status: [((reason,), count) for reason, count in status.skipped.items()],
        ("reason",),
    ),
    Series(
        "caught_up",
        "gauge",
        "Whether nothing is left to deliver (1) or something is (0); absent while that is not known",
        _one(lambda status: status.caught_up),
    ),
    Series(
        "last_progress_timestamp_seconds",
        "gauge",
        "When records were last delivered; absent before the first",
        _one(lambda status: None if status.last_progress is None else status.last_progress.timestamp()),
    ),
    Series(
        "token_expiry_timestamp_seconds",
        "gauge",
        "When the token or temporary key for Kafka expires; absent without one",
        _one(lambda status: status.token_expiry),
    ),
    Series(
        "end_to_end_latency_seconds",
        "histogram",
        "From the timestamp of a record to the acknowledgement of the other side",
        _one(lambda status: status.latency),
    ),
    Series(
        "commit_latency_seconds",
        "histogram",
        "From the begin of a commit of positions to its acknowledgement",
        _one(lambda status: status.commit_latency),
    ),
    Series(
        "batch_size_records",
        "histogram",
        "Records of the polls that found something, or of the batches that were sent",
        _one(lambda status: status.batch_sizes),
    ),
    Series(
        "lag_records",
        "gauge",
        "Offsets between the delivered position of a partition and the end of its log; absent if unknown",
        _partitions(lambda lag: lag.records),
        _PARTITION,
    ),
    Series(
        "lag_seconds",
        "gauge",
        "Age of the first record of a partition that is not delivered; absent while not known",
        _partitions(lambda lag: lag.seconds),
        _PARTITION,
    ),
    Series(
        "delivered_offset",
        "gauge",
        "Position of a partition before which everything is delivered; absent while not known",
        _partitions(lambda lag: lag.position),
        _PARTITION,
    ),
    Series(
        "committed_offset",
        "gauge",
        "Position of a partition that was committed last; absent before the first commit",
        _partitions(lambda lag: lag.committed),
        _PARTITION,
    ),
)
"""All of them. The labels `connector` and `direction` are on each."""


class StatusCollector(Collector):
    """Makes the series of how the connectors stand.

    Args:
        statuses: Tells how they stand now.
    """

    def __init__(self, statuses: Callable[[], Iterable[ConnectorStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        """All series, each with a sample where its value is known."""
        statuses = list(self._statuses())
        for series in SERIES:
            family = _family(series)
            for status in statuses:
                for more, value in series.values(status):
                    if value is None:
                        continue
                    _add(family, [status.name, status.direction, *more], value)
            yield family


_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_KINDS: dict[str, type[_Family]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _family(series: Series) -> _Family:
    labels = ["connector", "direction", *series.labels]
    return _KINDS[series.kind](PREFIX + series.name, series.help, labels=labels)


def _add(
    family: _Family,
    labels: Sequence[str],
    value: float | Distribution,
) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Distribution)
        family.add_metric(labels, buckets=value.buckets(), sum_value=value.total)
        return
    assert not isinstance(value, Distribution)
    assert not math.isnan(value)
    family.add_metric(labels, value)
