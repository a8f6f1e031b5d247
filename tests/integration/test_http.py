"""What a running process tells over HTTP, and who cannot disturb it."""

import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.numbered import fill_kafka
from tests.support.ports import ReservedPort
from tests.support.promtool_dist import promtool
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.integration

PATHS = ("/health", "/live", "/metrics", "/ready", "/status")
BAD_CONFIGURATION = 78


@pytest.fixture
def ports():
    with ReservedPort() as health, ReservedPort() as metrics:
        yield health, metrics


def settings(health=None, metrics=None, **health_options):
    sections = {}
    if health is not None:
        sections["health"] = {"enabled": True, "port": health.number, **health_options}
    if metrics is not None:
        sections["metrics"] = {"enabled": True, "port": metrics.number}
    return {"settings": sections}


class Both:
    """A source `in` and a sink `out` that carry a Kafka topic through Rivven to another one."""

    records = 40

    def __init__(self, kafka, rivven, topic_name):
        self.kafka = kafka.bootstrap
        self.origin, middle, self.copy = topic_name(), topic_name(), topic_name()
        fill_kafka(self.kafka, self.origin, 2, self.records // 2)
        create_topic(self.kafka, self.copy, 2)
        source = source_file(self.kafka, rivven.bootstrap, self.origin, middle, f"g-{self.origin}")
        sink = sink_file(self.kafka, rivven.bootstrap, middle, self.copy, f"g-{middle}")
        self.document = source | {"sinks": sink["sinks"]}

    def arrived(self):
        return sum(end_offsets(self.kafka, self.copy).values()) >= self.records


@pytest.fixture
def both(kafka, rivven, topic_name):
    return Both(kafka, rivven, topic_name)


def wait_ready(address, connector):
    wait_until(lambda: answers(address, "/ready") or not connector.running, 60, connector.log_tail)
    assert connector.running, connector.log_tail()


def test_a_running_process_tells_how_it_stands(both, ports, tmp_path):
    addresses = [port.address for port in ports]
    with Connector(tmp_path, both.document | settings(*ports)) as connector:
        wait_ready(addresses[0], connector)
        wait_until(both.arrived, 30, connector.log_tail)
        for address in addresses:
            assert [ask(address, path).code for path in PATHS] == [200] * 5
        assert ask(addresses[0], "/live").json == {"status": "alive"}
        assert ask(addresses[0], "/ready?verbose=1").json == {"ready": True, "reasons": []}

        health = ask(addresses[1], "/health").json
        assert list(health) == ["status", "uptime_seconds", "sources", "sinks"]
        assert (health["status"], health["uptime_seconds"] > 0) == ("healthy", True)
        for section, name in (("sources", "in"), ("sinks", "out")):
            assert health[section] == [
                {
                    "name": name,
                    "status": "running",
                    "events_processed": both.records,
                    "errors_count": 0,
                    "last_error": None,
                    "restarts": 0,
                    "stalled": [],
                }
            ]

        def caught_up():
            status = ask(addresses[0], "/status").json
            return all(each["lag"]["total"] == 0 for each in (*status["sources"], *status["sinks"]))

        # The positions are looked at twice a second.
        wait_until(caught_up, 30, connector.log_tail)
        status = ask(addresses[0], "/status").json
        assert (status["status"], status["pid"]) == ("healthy", connector.pid)
        [source], [sink] = status["sources"], status["sinks"]
        assert (source["next_restart"], sink["next_restart"]) == (None, None)
        assert source["metrics"]["messages_consumed"] == both.records
        assert sink["metrics"]["messages_produced"] == both.records
        share = both.records // 2
        for connector_status in (source, sink):
            partitions = [
                (each["partition"], each["position"], each["end"], each["records"])
                for each in connector_status["lag"]["partitions"]
            ]
            assert partitions == [(0, share, share, 0), (1, share, share, 0)]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", source["since"])

        assert connector.stop() == 0, connector.log_tail()
    assert not answers(addresses[0], "/live")
    for address in addresses:
        assert f"listening on http://{address}" in connector.log()


def test_prometheus_takes_the_metrics(both, ports, tmp_path):
    with Connector(tmp_path, both.document | settings(metrics=ports[1])) as connector:
        wait_ready(ports[1].address, connector)
        wait_until(both.arrived, 30, connector.log_tail)
        answer = ask(ports[1].address, "/metrics")
        assert connector.stop() == 0, connector.log_tail()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    checked = subprocess.run(
        [promtool(), "check", "metrics"], input=answer.body, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    values = {
        (sample.name, sample.labels.get("connector")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert values["rivven_messages_consumed_total", "in"] == both.records
    assert values["rivven_messages_produced_total", "out"] == both.records
    assert values["rivven_kafka_connector_running", "out"] == 1
    assert values["rivven_kafka_connector_restarts_total", "in"] == 0
    assert values["rivven_kafka_connector_stalled_partitions", "in"] == 0
    assert values["rivven_kafka_connector_stalls_total", "out"] == 0
    assert values["rivven_kafka_connector_duplicates_suppressed_total", "in"] == 0
    assert values["rivven_kafka_connector_lag_records", "in"] >= 0
    assert values["rivven_kafka_build_info", None] == 1
    assert values["process_resident_memory_bytes", None] > 1 << 20


def test_the_alerts_of_the_examples_do_what_their_tests_say():
    tests = Path(__file__).parents[2] / "examples" / "prometheus-alerts.test.yaml"
    checked = subprocess.run(
        [promtool(), "test", "rules", tests], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_only_known_paths_are_read(both, ports, tmp_path):
    address = ports[0].address
    # The same port twice is one server.
    document = both.document | settings(ports[0], ports[0], path="/up")
    with Connector(tmp_path, document) as connector:
        wait_ready(address, connector)
        for path in (
            "/index.html",
            "/health",
            "/live/",
            "/metrics/../status",
            "/%2e%2e/etc/passwd",
            "/favicon.ico",
        ):
            assert ask(address, path).code == 404
        assert "/live, /metrics, /ready, /status, /up" in ask(address, "/nothing").json["error"]
        for path in ("/live", "/metrics", "/up"):
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
                answer = ask(address, path, method)
                assert (answer.code, answer.headers["Allow"]) == (405, "GET, HEAD")
            full, head = ask(address, path), ask(address, path, "HEAD")
            assert (head.code, head.body, full.code) == (200, b"", 200)
            assert head.headers["Content-Type"] == full.headers["Content-Type"]
            assert int(full.headers["Content-Length"]) == len(full.body) > 0
            assert int(head.headers["Content-Length"]) > 0
        assert connector.stop() == 0, connector.log_tail()
    assert "rivven_kafka/runtime/http.py" not in connector.log()


def test_slow_clients_hold_up_nobody(both, ports, tmp_path):
    address = ports[0].address
    with Connector(tmp_path, both.document | settings(ports[0])) as connector, ExitStack() as stack:
        wait_ready(address, connector)
        for start in (b"", b"GET /status", b"GET /metrics HTTP/1.1\r\nHost: x", b"\x16\x03\x01") * 8:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", ports[0].number)))
            client.sendall(start)
        # One that asks and does not read.
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 100)
        assert [ask(address, path).code for path in PATHS] == [200] * 5
        assert connector.stop(20) == 0, connector.log_tail()
    # kafka-python may write one of its own when a connection ends.
    assert "rivven_kafka/runtime/http.py" not in connector.log()


@pytest.mark.symptom("A port is taken.")
@pytest.mark.parametrize("section", ["health", "metrics"])
def test_a_port_that_is_taken_stops_before_any_connection(tmp_path, section):
    with socket.create_server(("127.0.0.1", 0)) as broker, socket.create_server(("127.0.0.1", 0)) as taken:
        broker.setblocking(False)
        address, port = f"127.0.0.1:{broker.getsockname()[1]}", taken.getsockname()[1]
        document = sink_file(address, address, "from", "to", "g")
        document["settings"] = {section: {"enabled": True, "port": port}}
        with Connector(tmp_path, document) as connector:
            assert connector.wait(20) == BAD_CONFIGURATION, connector.log_tail()
        expected = (
            f"settings.{section}.port: cannot listen on port {port} of 127.0.0.1: Address already in use"
        )
        assert expected in connector.log()
        with pytest.raises(BlockingIOError):
            broker.accept()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a..b"])
def test_a_host_that_is_not_ours_is_named(tmp_path, ports, host):
    document = sink_file("127.0.0.1:1", "127.0.0.1:1", "from", "to", "g")
    document |= settings(ports[0], host=host)
    with Connector(tmp_path, document) as connector:
        assert connector.wait(60) == BAD_CONFIGURATION, connector.log_tail()
    assert re.search(rf"settings\.health\.(host|port): .*{re.escape(host)}", connector.log())


def test_no_secret_is_shown(both, ports, tmp_path):
    secret = "hunter2-secret"
    address = ports[0].address
    for section in ("sources", "sinks"):
        [entry] = both.document[section].values()
        entry["config"]["security"] = {
            "protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": "user",
            "sasl_password": secret,
        }
        entry["config"]["request_timeout_ms"] = 1_000
    with Connector(tmp_path, both.document | settings(ports[0])) as connector:
        wait_until(lambda: answers(address, "/live"), 40, connector.log_tail)

        def failed():
            report = ask(address, "/status").json
            return all(entry["last_error"] for entry in report["sources"] + report["sinks"])

        wait_until(failed, 40, connector.log_tail)
        texts = [ask(address, path).text for path in PATHS]
    assert "unhealthy" in texts[0]
    for text in (*texts, connector.log()):
        assert secret not in text


def test_the_file_sets_the_level_of_the_log(both, ports, tmp_path):
    for level, shown in (("info", ["INFO"]), ("error", [])):
        document = both.document | settings(ports[0])
        document["settings"]["log_level"] = level
        with Connector(tmp_path, document, level) as connector:
            wait_ready(ports[0].address, connector)
            assert connector.stop() == 0, connector.log_tail()
        levels = {line.split()[1] for line in connector.log().splitlines()}
        # A Kafka that has just been started makes its client warn.
        assert sorted(levels - {"WARNING"}) == shown
        assert level == "info" or "WARNING" not in levels
