"""The metrics of the process for OpenTelemetry: sent to a collector from time to time, by OTLP over HTTP."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import CollectorRegistry

import rivven_kafka
from rivven_kafka.config import OtlpSettings
from rivven_kafka.errors import ConfigError
from rivven_kafka.runtime.reports import Reports
from rivven_kafka.runtime.runner import Runner

try:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import export as points
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError:
    raise ConfigError(
        "settings.otlp.endpoint: needs OpenTelemetry's SDK and its exporter: pip install 'rivven-kafka[otel]'"
    ) from None

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_LAST_TIMEOUT_S = 2.0
_HISTOGRAM = "histogram"
# It logs what the other side answers, and each attempt; one line when it begins to fail is enough.
_THEIR_LOG = "opentelemetry.exporter.otlp"
_MOST_TOLD = 300


class OtlpExport:
    """Sends the metrics of a registry. The values are those that a scrape would get at that moment.

    Args:
        settings: Where to, and how often; with an endpoint.
        registry: What to send.
    """

    def __init__(self, settings: OtlpSettings, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._endpoint = settings.endpoint
        self._every_s = settings.interval_ms / 1000
        self._resource = Resource.create(
            {
                **settings.resource_attributes,
                "service.name": settings.service_name,
                "service.version": rivven_kafka.__version__,
            }
        )
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._said = _First(headers.values())
        # Nobody else is to tell of each attempt.
        theirs = logging.getLogger(_THEIR_LOG)
        theirs.setLevel(logging.WARNING)
        theirs.propagate = False
        theirs.addHandler(self._said)
        # With -v it would log each request.
        logging.getLogger("urllib3").setLevel(logging.INFO)
        self._exporter = OTLPMetricExporter(
            endpoint=settings.endpoint, headers=headers or None, timeout=_TIMEOUT_S
        )
        self._begin_ns = time.time_ns()
        self._fails = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sends the last values, and ends; takes a few seconds at most, whatever the collector does."""
        self._ended.set()
        self._thread.join(_LAST_TIMEOUT_S)
        # The exporter has its own idea of how long it may try.
        if not self._thread.is_alive() and not _within(_LAST_TIMEOUT_S, self._send, _LAST_TIMEOUT_S):
            log.warning(
                "the last metrics did not get to settings.otlp.endpoint within %.0f s", _LAST_TIMEOUT_S
            )
        _within(_LAST_TIMEOUT_S, self._exporter.shutdown)
        logging.getLogger(_THEIR_LOG).removeHandler(self._said)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._send(_TIMEOUT_S)

    def _send(self, timeout_s: float) -> None:
        self._said.text = None
        try:
            data = metrics_data(self._registry.collect(), self._resource, self._begin_ns, time.time_ns())
            result = self._exporter.export(data, timeout_millis=timeout_s * 1000)
            failed = result is not points.MetricExportResult.SUCCESS
        except Exception:  # of a library; records go on whatever it does
            log.debug("cannot export metrics", exc_info=True)
            failed = True
        if failed and not self._fails:
            log.warning(
                "the metrics do not get to settings.otlp.endpoint, tries again every interval_ms: %s",
                self._said.text or "no reason is known",
            )
        elif self._fails and not failed:
            log.info("the metrics get to settings.otlp.endpoint again")
        self._fails = failed


class _First(logging.Handler):
    """Keeps the first of the exporter's messages about an export, which tells why it fails.

    Attributes:
        text: The message, None if there was none since this was set to None.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if secret]
        self.text: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.text is not None:
            return
        text = record.getMessage()
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self.text = " ".join(text.split())[:_MOST_TOLD]


def _within(seconds: float, call: Callable[..., object], *args: Any) -> bool:
    """Whether the call ended in time; else it goes on by itself, until the process ends at the latest."""
    thread = threading.Thread(target=call, args=args, name="otlp-end", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


@contextmanager
def export(settings: OtlpSettings, runner: Runner) -> Iterator[None]:
    """Sends the metrics of the connectors until the end of the block."""
    exporter = OtlpExport(settings, Reports(runner).registry())
    try:
        yield
    finally:
        exporter.close()


def metrics_data(families: Iterable[Family], resource: Resource, begin_ns: int, now_ns: int) -> Any:
    """What a registry holds, in the form of OpenTelemetry.

    Args:
        families: What was collected from it.
        resource: Who sends it.
        begin_ns: When the counters were 0 (ns since 1970).
        now_ns: When it was collected (ns since 1970).
    """
    metrics = [_metric(family, begin_ns, now_ns) for family in families if family.samples]
    scope = InstrumentationScope("rivven_kafka", rivven_kafka.__version__)
    scoped = points.ScopeMetrics(scope, metrics, "")
    return points.MetricsData([points.ResourceMetrics(resource, [scoped], "")])


def _metric(family: Family, begin_ns: int, now_ns: int) -> Any:
    unit = {"seconds": "s", "bytes": "By"}.get(family.name.rpartition("_")[2], "1")
    cumulative = points.AggregationTemporality.CUMULATIVE
    if family.type == _HISTOGRAM:
        data: Any = points.Histogram(_histograms(family, begin_ns, now_ns), cumulative)
        return points.Metric(family.name, family.documentation, unit, data)
    numbers = [
        points.NumberDataPoint(sample.labels, begin_ns, now_ns, float(sample.value))
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    counts = family.type == "counter"
    data = points.Sum(numbers, cumulative, is_monotonic=True) if counts else points.Gauge(numbers)
    return points.Metric(family.name, family.documentation, unit, data)


def _histograms(family: Family, begin_ns: int, now_ns: int) -> list[Any]:
    by_labels: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        seen = by_labels.setdefault(tuple(sorted(labels.items())), {"labels": labels, "buckets": []})
        if sample.name.endswith("_bucket"):
            seen["buckets"].append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            seen["sum"] = sample.value
    return [_histogram(seen, begin_ns, now_ns) for seen in by_labels.values()]


def _histogram(seen: Mapping[str, Any], begin_ns: int, now_ns: int) -> Any:
    bounds = [bound for bound, _ in seen["buckets"][:-1]]
    # Prometheus counts what is at most the bound, OpenTelemetry what is in between two of them.
    up_to = [count for _, count in seen["buckets"]]
    counts = [count - before for count, before in zip(up_to, [0, *up_to], strict=False)]
    return points.HistogramDataPoint(
        attributes=seen["labels"],
        start_time_unix_nano=begin_ns,
        time_unix_nano=now_ns,
        count=up_to[-1],
        sum=seen["sum"],
        bucket_counts=counts,
        explicit_bounds=bounds,
        # Optional in the protocol, and not known.
        min=cast(Any, None),
        max=cast(Any, None),
    )
