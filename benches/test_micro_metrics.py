"""The counters from Python, against a class with a lock and against prometheus-client's."""

import threading

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from rivven_kafka import KafkaSinkMetrics, KafkaSourceMetrics

from benches.micro import compare, rate_of_threads, record
from benches.report import show

THREADS = 8


class LockedMetrics:
    """What a careful programmer writes in Python: the same counters, under one lock."""

    def __init__(self):
        self._lock = threading.Lock()
        self.polls = self.empty_polls = self.messages = self.bytes = 0
        self.errors = self.commits = self.commit_failures = 0
        self.batches = self.batch_sum = self.batch_max = 0
        self.batch_min = None

    def record_batch(self, records, size):
        with self._lock:
            self.polls += 1
            if records == 0:
                self.empty_polls += 1
                return
            self.messages += records
            self.bytes += size
            self.batches += 1
            self.batch_sum += records
            if self.batch_min is None or records < self.batch_min:
                self.batch_min = records
            if records > self.batch_max:
                self.batch_max = records

    def record_error(self, count=1):
        with self._lock:
            self.errors += count

    def record_commit(self, succeeded=True):
        with self._lock:
            if succeeded:
                self.commits += 1
            else:
                self.commit_failures += 1


class ClientMetrics:
    """prometheus-client: its metrics lock one by one."""

    def __init__(self):
        self.registry = CollectorRegistry()

        def counter(name, text):
            return Counter(f"rivven_{name}", text, registry=self.registry)

        self.messages = counter("messages_consumed", "Total messages consumed")
        self.bytes = counter("bytes_consumed", "Total bytes consumed")
        self.polls = counter("polls", "Total poll operations")
        self.empty_polls = counter("empty_polls", "Polls that returned no messages")
        self.errors = counter("errors", "Total errors encountered")
        self.commits = counter("commits", "Successful offset commits")
        self.commit_failures = counter("commit_failures", "Failed offset commits")
        self.rebalances = counter("rebalances", "Consumer group rebalance events")
        self.batch_min = Gauge(
            "rivven_batch_size_min", "Smallest non-empty batch size seen", registry=self.registry
        )
        self.batch_max = Gauge("rivven_batch_size_max", "Largest batch size seen", registry=self.registry)
        self.batch_avg = Gauge("rivven_batch_size_avg", "Average batch size", registry=self.registry)

    def record_batch(self, records, size):
        # Without the smallest and the largest batch: a gauge cannot be set to the smaller of two values.
        self.polls.inc()
        if records == 0:
            self.empty_polls.inc()
            return
        self.messages.inc(records)
        self.bytes.inc(size)

    def record_error(self, count=1):
        self.errors.inc(count)

    def record_commit(self, succeeded=True):
        (self.commits if succeeded else self.commit_failures).inc()


CALLS = {
    "record_batch": lambda metrics: lambda: metrics.record_batch(500, 80_000),
    "record_batch of an empty poll": lambda metrics: lambda: metrics.record_batch(0, 0),
    "record_commit": lambda metrics: lambda: metrics.record_commit(True),
    "record_error": lambda metrics: lambda: metrics.record_error(),
}


def counters():
    return {
        "prometheus-client counters": ClientMetrics(),
        "Python class with a lock": LockedMetrics(),
        "KafkaSourceMetrics": KafkaSourceMetrics(),
    }


@pytest.mark.parametrize("name", CALLS)
def test_counters_of_one_thread(benchmark, scale, name):
    candidates = {who: CALLS[name](metrics) for who, metrics in counters().items()}
    compare(benchmark, scale, "metrics", f"{name}, 1 thread", candidates, unit="calls/s")


def test_counters_of_many_threads(benchmark, scale):
    """Every thread counts into the same metrics; the sizes move the extremes, at which threads meet."""
    sizes = [*range(1, 1000), *range(1000, 0, -1)]

    def varied(metrics):
        def call():
            for size in sizes:
                metrics.record_batch(size, 160)

        return call

    candidates = {who: varied(metrics) for who, metrics in counters().items()}
    calls = 1 if scale.quick else 25
    samples: dict[str, list[float]] = {who: [] for who in candidates}
    for _ in range(scale.rounds):
        for who, call in candidates.items():
            samples[who].append(rate_of_threads(call, THREADS, calls) * len(sizes))
    title = f"record_batch, {THREADS} threads, sizes that move the extremes"
    ratios = show("metrics", title, list(samples.items()), unit="calls/s")
    record(benchmark, scale, "metrics", title, candidates, ratios)

    metrics = KafkaSourceMetrics()
    rate_of_threads(varied(metrics), THREADS, calls)
    counted = metrics.snapshot()
    assert counted.batch_count == THREADS * calls * len(sizes)
    assert (counted.min_batch_size, counted.max_batch_size) == (1, 1000)


def test_prometheus_text(benchmark, scale):
    """The same eleven series, from their values to the text."""
    client = ClientMetrics()
    ours = KafkaSourceMetrics()
    for metrics in (client, ours):
        for records in range(1, 200):
            metrics.record_batch(records, records * 160)
    for gauge, value in ((client.batch_min, 1), (client.batch_max, 199), (client.batch_avg, 100.0)):
        gauge.set(value)
    snapshot = ours.snapshot()
    candidates = {
        "prometheus_client.generate_latest": lambda: generate_latest(client.registry),
        "snapshot().to_prometheus_format()": lambda: ours.snapshot().to_prometheus_format("rivven"),
        "to_prometheus_format()": lambda: snapshot.to_prometheus_format("rivven"),
    }
    target = {("snapshot().to_prometheus_format()", "prometheus_client.generate_latest"): 20}
    compare(
        benchmark,
        scale,
        "metrics",
        "Prometheus text of 11 series",
        candidates,
        unit="texts/s",
        at_least=target,
    )
    text = snapshot.to_prometheus_format("rivven")
    for line in (
        "rivven_messages_consumed_total 19900",
        "rivven_batch_size_min 1",
        "rivven_batch_size_avg 100",
    ):
        assert line in text.splitlines()


def test_reading_the_counters(benchmark, scale):
    """One snapshot of all counters, as a dictionary."""
    locked, ours = LockedMetrics(), KafkaSinkMetrics()

    def copy_under_lock():
        with locked._lock:
            return {name: value for name, value in vars(locked).items() if name != "_lock"}

    candidates = {
        "Python class with a lock": copy_under_lock,
        "snapshot().to_dict()": lambda: ours.snapshot().to_dict(),
        "snapshot()": ours.snapshot,
    }
    compare(benchmark, scale, "metrics", "all counters at one moment", candidates, unit="snapshots/s")
