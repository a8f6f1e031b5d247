"""Counters: documented names and values, in Python, JSON and Prometheus' text."""

import json
import pickle
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rivven_kafka import (
    KafkaSinkMetrics,
    KafkaSinkMetricsSnapshot,
    KafkaSourceMetrics,
    KafkaSourceMetricsSnapshot,
)
from rivven_kafka._native import Histogram
from rivven_kafka.errors import ConfigError

SOURCE_COUNTERS = {
    "messages_consumed": "Total messages consumed",
    "bytes_consumed": "Total bytes consumed",
    "polls": "Total poll operations",
    "empty_polls": "Polls that returned no messages",
    "errors": "Total errors encountered",
    "commits": "Successful offset commits",
    "commit_failures": "Failed offset commits",
    "rebalances": "Consumer group rebalance events",
}
SINK_COUNTERS = {
    "messages_produced": "Total messages produced",
    "bytes_produced": "Total bytes produced",
    "sends": "Total send operations",
    "errors": "Total errors encountered",
    "flushes": "Total flush operations",
    "retries": "Total retry attempts",
}
BATCH = ["min_batch_size", "max_batch_size", "batch_size_sum", "batch_count"]
MAX = 2**64 - 1


def source():
    metrics = KafkaSourceMetrics()
    for records, size in ((10, 1000), (0, 0), (30, 3000), (0, 0)):
        metrics.record_batch(records, size)
    metrics.record_error()
    metrics.record_error(6)
    metrics.record_commit()
    metrics.record_commit(True)
    metrics.record_commit(False)
    metrics.record_rebalance()
    return metrics


def sink():
    metrics = KafkaSinkMetrics()
    metrics.record_batch(10, 1000)
    metrics.record_batch(20, 500)
    metrics.record_error(10)
    metrics.record_error()
    metrics.record_flush()
    metrics.record_retry()
    metrics.record_retry(4)
    return metrics


def test_a_source_counts():
    assert source().snapshot().to_dict() == {
        "messages_consumed": 40,
        "bytes_consumed": 4000,
        "polls": 4,
        "empty_polls": 2,
        "errors": 7,
        "commits": 2,
        "commit_failures": 1,
        "rebalances": 1,
        "min_batch_size": 10,
        "max_batch_size": 30,
        "batch_size_sum": 40,
        "batch_count": 2,
    }


def test_a_sink_counts():
    assert sink().snapshot().to_dict() == {
        "messages_produced": 30,
        "bytes_produced": 1500,
        "sends": 2,
        "errors": 11,
        "flushes": 1,
        "retries": 5,
        "min_batch_size": 10,
        "max_batch_size": 20,
        "batch_size_sum": 30,
        "batch_count": 2,
    }


@pytest.mark.parametrize(("metrics", "counters"), [(source(), SOURCE_COUNTERS), (sink(), SINK_COUNTERS)])
def test_every_documented_name_is_an_attribute(metrics, counters):
    snapshot = metrics.snapshot()
    assert list(json.loads(snapshot.to_json())) == [*counters, *BATCH]
    for name, value in snapshot.to_dict().items():
        assert getattr(snapshot, name) == value
    with pytest.raises(AttributeError, match="no_such_counter"):
        _ = snapshot.no_such_counter


def test_derived_values_of_nothing():
    nothing, idle = KafkaSourceMetrics().snapshot(), KafkaSinkMetrics().snapshot()
    assert (nothing.avg_batch_size(), nothing.empty_poll_rate(), nothing.rate(10)) == (0.0, 0.0, 0.0)
    assert (idle.avg_batch_size(), idle.success_rate(), idle.rate(10)) == (0.0, 1.0, 0.0)
    assert (nothing.min_batch_size, nothing.max_batch_size) == (0, 0)


def test_derived_values():
    consumed, produced = source().snapshot(), sink().snapshot()
    assert (consumed.avg_batch_size(), consumed.empty_poll_rate(), consumed.rate(8)) == (20.0, 0.5, 5.0)
    assert (produced.avg_batch_size(), produced.rate(0.5)) == (15.0, 60.0)
    assert produced.success_rate() == pytest.approx(30 / 41)
    for elapsed in (0, -1, float("nan")):
        assert consumed.rate(elapsed) == 0.0
    failed = KafkaSinkMetrics()
    failed.record_error(3)
    assert failed.snapshot().success_rate() == 0.0
    empty = KafkaSourceMetrics()
    empty.record_batch(0, 0)
    assert empty.snapshot().empty_poll_rate() == 1.0


@pytest.mark.parametrize("metrics", [source(), sink()])
def test_json_and_pickle_go_both_ways(metrics):
    snapshot = metrics.snapshot()
    again = type(snapshot).from_json(snapshot.to_json())
    assert again == snapshot
    assert list(json.loads(snapshot.to_json()).items()) == list(snapshot.to_dict().items())
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    assert {snapshot: "found"}[again] == "found"
    assert snapshot != type(metrics)().snapshot()
    assert snapshot.to_json() in repr(snapshot)


def test_the_largest_count_survives_json():
    values = {**KafkaSinkMetrics().snapshot().to_dict(), "bytes_produced": MAX}
    snapshot = KafkaSinkMetricsSnapshot.from_json(json.dumps(values))
    assert snapshot.bytes_produced == MAX
    assert json.loads(snapshot.to_json())["bytes_produced"] == MAX


@pytest.mark.parametrize(
    "change",
    [{"polls": -1}, {"polls": 1.5}, {"polls": "1"}, {"polls": None}, {"polls": MAX + 1}, {"polls": ...}],
)
def test_what_is_not_a_snapshot_is_refused(change):
    values = {**source().snapshot().to_dict(), **change}
    text = json.dumps({name: value for name, value in values.items() if value is not ...})
    with pytest.raises(ValueError, match="not a snapshot: polls"):
        KafkaSourceMetricsSnapshot.from_json(text)
    for broken in ("", "[]", "7", text[:-1]):
        with pytest.raises(ValueError, match="not a snapshot"):
            KafkaSourceMetricsSnapshot.from_json(broken)


def test_a_snapshot_does_not_change():
    metrics = source()
    before = metrics.snapshot()
    metrics.record_batch(5, 5)
    assert before.messages_consumed == 40
    for name in ("messages_consumed", "anything"):
        with pytest.raises(AttributeError):
            setattr(before, name, 1)
    with pytest.raises(TypeError):
        type(before)()


def test_resetting_starts_anew():
    metrics = source()
    assert metrics.snapshot_and_reset() == source().snapshot()
    assert metrics.snapshot() == KafkaSourceMetrics().snapshot()
    metrics.record_batch(7, 7)
    assert (metrics.snapshot().min_batch_size, metrics.snapshot().max_batch_size) == (7, 7)


@pytest.mark.parametrize("count", [-1, MAX + 1, 1.5, "1"])
@pytest.mark.parametrize("kind", [KafkaSourceMetrics, KafkaSinkMetrics])
def test_what_is_not_a_count_is_refused(kind, count):
    metrics = kind()
    with pytest.raises((TypeError, OverflowError)):
        metrics.record_error(count)
    assert metrics.snapshot() == kind().snapshot()


@pytest.mark.parametrize(
    ("metrics", "counters", "prefix"),
    [(source(), SOURCE_COUNTERS, "rivven"), (sink(), SINK_COUNTERS, "my_sink")],
)
def test_prometheus_reads_the_text(metrics, counters, prefix):
    snapshot = metrics.snapshot()
    text = snapshot.to_prometheus_format(prefix)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, documentation in counters.items():
        family = families[f"{prefix}_{name}"]
        assert (family.type, family.documentation) == ("counter", documentation)
        [sample] = family.samples
        assert (sample.name, sample.value) == (f"{prefix}_{name}_total", getattr(snapshot, name))
    gauges = {name: family.samples[0].value for name, family in families.items() if family.type == "gauge"}
    assert gauges == {
        f"{prefix}_batch_size_min": snapshot.min_batch_size,
        f"{prefix}_batch_size_max": snapshot.max_batch_size,
        f"{prefix}_batch_size_avg": snapshot.avg_batch_size(),
    }
    assert len(families) == len(counters) + 3
    first = next(iter(counters))
    name = f"{prefix}_{first}_total"
    value = getattr(snapshot, first)
    assert text.startswith(f"# HELP {name} {counters[first]}\n# TYPE {name} counter\n{name} {value}\n")
    assert text.endswith("\n")


@pytest.mark.parametrize("prefix", ["", "9lives", "a b", "a-b", "a:b", "a{", 'a"', "a\n", "ä", "a\x00"])
@pytest.mark.parametrize("metrics", [source(), sink()])
def test_a_prefix_that_prometheus_would_not_take_is_refused(metrics, prefix):
    with pytest.raises(ConfigError, match="prefix: got .*: expected letters, digits and underscores"):
        metrics.snapshot().to_prometheus_format(prefix)


def test_intervals_of_eight_threads_add_up():
    metrics = KafkaSinkMetrics()
    rounds, threads = 5_000, 8
    start = threading.Barrier(threads + 1)

    def work(records):
        start.wait()
        for _ in range(rounds):
            metrics.record_batch(records, 10 * records)
            metrics.record_error(2)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, threads + 1)]
    for worker in workers:
        worker.start()
    start.wait()
    snapshots = []
    while any(worker.is_alive() for worker in workers):
        snapshots.append(metrics.snapshot_and_reset())
    for worker in workers:
        worker.join()
    snapshots.append(metrics.snapshot_and_reset())

    def total(name):
        return sum(getattr(snapshot, name) for snapshot in snapshots)

    produced = rounds * sum(range(1, threads + 1))
    assert total("messages_produced") == total("batch_size_sum") == produced
    assert total("bytes_produced") == 10 * produced
    assert total("sends") == total("batch_count") == rounds * threads
    assert total("errors") == 2 * rounds * threads
    assert max(snapshot.max_batch_size for snapshot in snapshots) == threads
    assert min(snapshot.min_batch_size for snapshot in snapshots if snapshot.batch_count) == 1
    assert metrics.snapshot() == KafkaSinkMetrics().snapshot()


def test_the_sum_of_a_histogram_has_room_for_many_old_records():
    histogram = Histogram.of_latencies()
    year = 31_536_000_000
    for added in range(1, 4):
        histogram.add(year, 500_000_000)
        counts, total = histogram.read()
        assert (counts[-1], total) == (added * 500_000_000, added * 500_000_000 * year)
