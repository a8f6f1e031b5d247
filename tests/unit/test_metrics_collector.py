"""The collector for prometheus-client: labels, one description per metric, and what it refuses."""

import json

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rivven_kafka import KafkaSinkMetrics, KafkaSourceMetrics
from rivven_kafka.metrics import ConnectorCollector


@pytest.fixture
def source():
    metrics = KafkaSourceMetrics()
    metrics.record_batch(10, 1000)
    metrics.record_batch(0, 0)
    metrics.record_error(3)
    return metrics


@pytest.fixture
def sink():
    metrics = KafkaSinkMetrics()
    metrics.record_batch(20, 500)
    metrics.record_error(5)
    return metrics


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def expected(name, direction, metrics):
    labels = (("connector", name), ("direction", direction))
    text = metrics.snapshot().to_prometheus_format("rivven")
    return {(sample, *labels): value for (sample,), value in samples(text).items()}


def test_it_shows_the_series_of_the_text_form_with_labels(source, sink):
    registry = CollectorRegistry()
    collector = ConnectorCollector("in", "source", source).add("out", "sink", sink)
    registry.register(collector.add("in", "sink", sink))
    text = generate_latest(registry).decode()
    assert samples(text) == (
        expected("in", "source", source) | expected("out", "sink", sink) | expected("in", "sink", sink)
    )
    described = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(described) == len(set(described)), "Prometheus takes one description only"
    assert "rivven_errors_total" in described


def test_it_follows_the_counters(source):
    registry = CollectorRegistry()
    registry.register(ConnectorCollector("in", "source", source))
    labels = {"connector": "in", "direction": "source"}
    assert registry.get_sample_value("rivven_messages_consumed_total", labels) == 10
    source.record_batch(5, 5)
    assert registry.get_sample_value("rivven_messages_consumed_total", labels) == 15


def test_any_name_can_be_a_label(sink):
    name = json.dumps('a"b\\c\nd') + "ü\n"
    registry = CollectorRegistry()
    registry.register(ConnectorCollector(name, "sink", sink))
    assert samples(generate_latest(registry).decode()) == expected(name, "sink", sink)


def test_a_second_collector_of_a_registry_is_refused(source, sink):
    registry = CollectorRegistry(auto_describe=True)
    registry.register(ConnectorCollector("in", "source", source))
    with pytest.raises(ValueError, match="rivven_errors"):
        registry.register(ConnectorCollector("out", "sink", sink))
    with pytest.raises(ValueError, match="rivven_sends"):
        Gauge("rivven_sends_total", "taken", registry=registry)


def test_what_does_not_fit_is_refused(source, sink):
    for direction, metrics in [("source", sink), ("sink", source), ("both", source)]:
        with pytest.raises(ValueError, match=f"direction: got '{direction}' for Kafka.*Metrics: expected"):
            ConnectorCollector("in", direction, metrics)
    collector = ConnectorCollector("in", "source", source)
    with pytest.raises(ValueError, match="name: got 'in': expected a name that no other source has"):
        collector.add("in", "source", KafkaSourceMetrics())
