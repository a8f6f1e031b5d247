"""What a collector of OpenTelemetry gets is what a scrape of Prometheus would."""

import gzip
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client import CollectorRegistry, Gauge
from rivven_kafka.config import OtlpSettings
from rivven_kafka.runtime.otlp import OtlpExport

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.numbered import fill_kafka
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.integration

SECRET = "key-of-a-collector"
RECORDS = 40
CUMULATIVE = 2


class Collector:
    """Takes metrics, or refuses them."""

    def __init__(self, server):
        self.endpoint = f"http://127.0.0.1:{server.server_address[1]}/v1/metrics"
        self.requests = []
        self.headers = []
        self.refuses = 0

    @property
    def last(self):
        [resource] = self.requests[-1].resource_metrics
        return resource

    def metric(self, name):
        [scope] = self.last.scope_metrics
        [found] = [metric for metric in scope.metrics if metric.name == name]
        return found

    def points(self, name):
        metric = self.metric(name)
        found = getattr(metric, metric.WhichOneof("data"))
        return {attribute(point.attributes, "connector"): point for point in found.data_points}


def attribute(attributes, name):
    return next((each.value.string_value for each in attributes if each.key == name), None)


@contextmanager
def listening():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            if not collector.refuses:
                collector.headers.append(dict(self.headers))
                collector.requests.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(collector.refuses or 200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield collector
        server.shutdown()
        thread.join()


@pytest.fixture
def collector():
    with listening() as collector:
        yield collector


def document(kafka, rivven, topic_name, collector):
    origin, middle, copy = topic_name(), topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, 2, RECORDS // 2)
    create_topic(kafka.bootstrap, copy, 2)
    source = source_file(kafka.bootstrap, rivven.bootstrap, origin, middle, f"g-{origin}")
    sink = sink_file(kafka.bootstrap, rivven.bootstrap, middle, copy, f"g-{middle}")
    otlp = {
        "endpoint": collector.endpoint,
        "interval_ms": 1_000,
        "headers": {"x-key": SECRET},
        "resource_attributes": {"deployment.environment": "test"},
    }
    return source | {"sinks": sink["sinks"], "settings": {"otlp": otlp}}, copy


def test_a_collector_gets_all_metrics(kafka, rivven, topic_name, collector, tmp_path):
    config, copy = document(kafka, rivven, topic_name, collector)
    begin = time.time_ns()
    with Connector(tmp_path, config) as connector:
        wait_until(
            lambda: sum(end_offsets(kafka.bootstrap, copy).values()) == RECORDS, 60, connector.log_tail
        )
        assert connector.stop() == 0, connector.log_tail()
    # The last request is sent after the last record.
    latency = collector.points("rivven_kafka_connector_end_to_end_latency_seconds")
    for name in ("in", "out"):
        point = latency[name]
        assert (point.count, sum(point.bucket_counts)) == (RECORDS, RECORDS)
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        assert not point.HasField("min")
        assert begin <= point.start_time_unix_nano < point.time_unix_nano <= time.time_ns()
    assert collector.metric("rivven_kafka_connector_end_to_end_latency_seconds").unit == "s"
    consumed = collector.metric("rivven_messages_consumed")
    assert (consumed.sum.is_monotonic, consumed.sum.aggregation_temporality) == (True, CUMULATIVE)
    assert collector.points("rivven_messages_consumed")["in"].as_double == RECORDS
    assert collector.points("rivven_messages_produced")["out"].as_double == RECORDS
    assert collector.points("rivven_kafka_connector_running").keys() == {"in", "out"}
    resource = collector.last.resource.attributes
    assert attribute(resource, "service.name") == "rivven-kafka"
    assert attribute(resource, "deployment.environment") == "test"
    assert collector.headers[-1]["x-key"] == SECRET
    assert SECRET not in connector.log()


def test_a_collector_that_is_away_keeps_nothing_up(kafka, rivven, topic_name, collector, tmp_path):
    config, copy = document(kafka, rivven, topic_name, collector)
    collector.refuses = 400
    with Connector(tmp_path, config) as connector:
        wait_until(
            lambda: sum(end_offsets(kafka.bootstrap, copy).values()) == RECORDS, 60, connector.log_tail
        )
        wait_until(lambda: "do not get to settings.otlp.endpoint" in connector.log(), 30, connector.log_tail)
        time.sleep(2.5)
        assert connector.log().count("settings.otlp.endpoint") == 1, "told once"
        assert "code: 400, reason: Bad Request" in connector.log()
        collector.refuses = 0
        wait_until(lambda: "get to settings.otlp.endpoint again" in connector.log(), 30, connector.log_tail)
        assert collector.requests
        assert connector.stop() == 0, connector.log_tail()
    assert SECRET not in connector.log()


@contextmanager
def nobody(what):
    """The endpoint of a collector that is away in one way or another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}/v1/metrics"
        if what == "silent":
            yield endpoint
            return
    if what == "refused":
        yield endpoint
        return
    with listening() as collector:
        collector.refuses = 503
        yield collector.endpoint


@pytest.mark.parametrize(
    ("what", "reason"),
    [("silent", "within 2 s"), ("refused", "efused"), ("busy", "Service Unavailable")],
)
def test_the_end_does_not_wait_for_a_collector_that_is_away(what, reason, caplog):
    registry = CollectorRegistry()
    Gauge("x", "x", registry=registry).set(1)
    caplog.set_level("INFO", "rivven_kafka")
    with nobody(what) as endpoint:
        settings = OtlpSettings(endpoint=endpoint, headers={"x-key": SECRET})
        export = OtlpExport(settings, registry)
        began = time.monotonic()
        export.close()
        assert time.monotonic() - began < 5
        if what != "silent":
            # It goes on by itself.
            wait_until(lambda: reason in caplog.text, 15, lambda: caplog.text)
    assert reason in caplog.text
    assert SECRET not in caplog.text
