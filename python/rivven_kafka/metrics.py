"""The counters of connectors for a registry of prometheus-client.

Example:
    >>> from prometheus_client import REGISTRY, start_http_server
    >>> from rivven_kafka import KafkaSink
    >>> from rivven_kafka.metrics import ConnectorCollector
    >>> sink = KafkaSink(brokers="kafka1:9092", topic="orders")
    >>> REGISTRY.register(ConnectorCollector("orders", "sink", sink.metrics))
    >>> start_http_server(9091)  # doctest: +SKIP
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Literal, NamedTuple, Self

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from rivven_kafka._native import KafkaSinkMetrics, KafkaSourceMetrics

Direction = Literal["source", "sink"]

_PREFIX = "rivven"


class _Connector(NamedTuple):
    name: str
    direction: Direction
    metrics: KafkaSourceMetrics | KafkaSinkMetrics


class ConnectorCollector(Collector):
    """The series of `to_prometheus_format("rivven")`, with the labels `connector` and `direction`.

    Register one collector in a registry, and `add` further connectors to it: the text format allows each
    metric to be described once only. Registering a second one raises prometheus-client's `ValueError`.
    May be used by several threads at once. `snapshot_and_reset` must not be called on the same counters:
    Prometheus takes a counter that goes back for a restart.

    Args:
        name: Value of the label `connector`.
        direction: "source" or "sink".
        metrics: The connector's counters.

    Raises:
        ValueError: `direction` does not fit the counters.
    """

    def __init__(
        self, name: str, direction: Direction, metrics: KafkaSourceMetrics | KafkaSinkMetrics
    ) -> None:
        self._lock = threading.Lock()
        self._connectors: tuple[_Connector, ...] = ()
        self.add(name, direction, metrics)

    def add(self, name: str, direction: Direction, metrics: KafkaSourceMetrics | KafkaSinkMetrics) -> Self:
        """Shows another connector, and returns the collector.

        Raises:
            ValueError: `direction` does not fit the counters, or the connector is shown already.
        """
        fitting = {"source": KafkaSourceMetrics, "sink": KafkaSinkMetrics}.get(direction)
        if fitting is None or not isinstance(metrics, fitting):
            raise ValueError(
                f"direction: got {direction!r} for {type(metrics).__name__}: expected source for "
                "KafkaSourceMetrics, sink for KafkaSinkMetrics"
            )
        with self._lock:
            if any(known[:2] == (name, direction) for known in self._connectors):
                raise ValueError(f"name: got {name!r}: expected a name that no other {direction} has")
            self._connectors = (*self._connectors, _Connector(name, direction, metrics))
        return self

    def collect(self) -> Iterable[Metric]:
        """The values now, each metric with a sample for every connector that counts it."""
        families: dict[str, Metric] = {}
        for connector in self._connectors:
            labels = {"connector": connector.name, "direction": connector.direction}
            text = connector.metrics.snapshot().to_prometheus_format(_PREFIX)
            for family in text_string_to_metric_families(text):
                known = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    known.add_sample(sample.name, labels, sample.value)
        return families.values()

    def describe(self) -> Iterable[Metric]:
        """The metrics of both directions without samples: a registry finds names that are taken with them."""
        for metrics in (KafkaSourceMetrics(), KafkaSinkMetrics()):
            text = metrics.snapshot().to_prometheus_format(_PREFIX)
            for family in text_string_to_metric_families(text):
                yield Metric(family.name, family.documentation, family.type)
