"""What is told of a histogram."""

import pytest
from rivven_kafka._native import Histogram, KafkaSinkMetrics, KafkaSourceMetrics
from rivven_kafka.runtime.distribution import Distribution


def test_values_in_ranges():
    histogram = Histogram.of_latencies()
    for value in (0, 1, 2, 3, 90_000_000):
        histogram.add(value)
    histogram.add(50, 10)
    seen = Distribution.of(histogram, 0.001)
    assert seen.count == 15
    assert seen.total == pytest.approx(90_000.506)
    assert seen.bounds[:3] == (0.001, 0.002, 0.005)
    assert seen.counts[:3] == (2, 1, 1)
    buckets = dict(seen.buckets())
    assert (buckets["0.001"], buckets["0.005"], buckets["0.05"]) == (2, 4, 14)
    assert (buckets["86400.0"], buckets["+Inf"]) == (14, 15)


def test_quantiles_lie_within_their_range():
    seen = Distribution((1.0, 2.0, 4.0), (0, 10, 10, 0), 50.0)
    assert (seen.quantile(0.25), seen.quantile(0.5), seen.quantile(0.75)) == (1.5, 2.0, 3.0)
    assert seen.quantile(1) == 4.0
    beyond = Distribution((1.0, 2.0), (1, 0, 9), 900.0)
    assert beyond.quantile(0.99) == 2.0, "at least"
    assert Distribution((1.0,), (0, 0), 0.0).quantile(0.5) is None


@pytest.mark.parametrize("kind", [KafkaSourceMetrics, KafkaSinkMetrics])
def test_batches_are_in_the_distribution_of_their_sizes(kind):
    metrics = kind()
    for records in (1, 3, 3, 400, 60_000):
        metrics.record_batch(records, 10)
    metrics.snapshot_and_reset()
    seen = Distribution.of(metrics.batch_sizes)
    assert (seen.count, seen.total) == (5, 60_407)
    assert dict(seen.buckets())["5.0"] == 3
    assert seen.counts[-1] == 1


def test_a_poll_that_found_nothing_is_no_batch():
    metrics = KafkaSourceMetrics()
    metrics.record_batch(0, 0)
    assert Distribution.of(metrics.batch_sizes).count == 0
