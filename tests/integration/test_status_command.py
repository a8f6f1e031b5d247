"""`rivven-kafka status`: exit codes, the table and the JSON, and what it says when nobody answers."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.numbered import fill_kafka
from tests.support.ports import ReservedPort

pytestmark = pytest.mark.integration

PROXIES = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}


def status(*arguments, env=None):
    """Runs the command and returns exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "rivven_kafka.cli", "status", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=env,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def port():
    with ReservedPort() as reserved:
        yield reserved


@pytest.fixture
def file(tmp_path):
    def write(document, **settings):
        path = tmp_path / "connect.yaml"
        path.write_text(yaml.safe_dump(document | {"settings": settings}))
        return path

    return write


def nowhere():
    return sink_file("127.0.0.1:1", "127.0.0.1:1", "from", "to", "g")


def test_all_connectors_run(kafka, rivven, topic_name, tmp_path, port, monkeypatch):
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    origin, copy = topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, 1, 7)
    document = source_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}")
    document["settings"] = {"metrics": {"enabled": True, "port": port.number}}
    with Connector(tmp_path, document) as connector:
        wait_until(
            lambda: (
                answers(port.address, "/ready")
                and ask(port.address, "/health").json["sources"][0]["events_processed"] == 7
            ),
            60,
            connector.log_tail,
        )
        code, out, err = status("-c", tmp_path / "connector.yaml")
        assert (code, err) == (0, "")
        header, line = out.splitlines()
        assert header.split() == [
            "NAME",
            "KIND",
            "STATUS",
            "SINCE",
            "EVENTS",
            "ERRORS",
            "RESTARTS",
            "LAST",
            "ERROR",
        ]
        cells = line.split()
        assert (cells[:3], cells[4:]) == (["in", "source", "running"], ["7", "0", "0"])

        code, out, err = status("--url", f"http://{port.address}/", "--format", "json")
        assert (code, err, json.loads(out)["sources"][0]["metrics"]["messages_consumed"]) == (0, "", 7)
        assert status("--url", f"http://{port.address}/status")[0] == 0


def test_a_connector_that_does_not_run_is_a_failure(tmp_path, port):
    document = nowhere()
    document["sinks"]["out"]["config"]["request_timeout_ms"] = 500
    document["settings"] = {"health": {"enabled": True, "port": port.number}}
    with Connector(tmp_path, document) as connector:
        wait_until(
            lambda: "restarting" in status("-c", tmp_path / "connector.yaml")[1], 40, connector.log_tail
        )
        code, out, err = status("--url", f"http://{port.address}", "--format", "json")
        assert (code, err) == (1, "")
        [sink] = json.loads(out)["sinks"]
        assert "127.0.0.1:1" in sink["last_error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_nobody_answers(file, port, host):
    path = file(nowhere(), health={"enabled": True, "port": port.number, "host": host})
    code, out, err = status("-c", path)
    assert (code, out) == (1, "")
    assert (
        f"ERROR no status from http://127.0.0.1:{port.number}/status: [Errno 111] Connection refused" in err
    )


def test_without_an_endpoint_there_is_no_address(file):
    code, out, err = status("-c", file(nowhere()))
    assert (code, out) == (78, "")
    assert "settings.health.enabled and settings.metrics.enabled: got false" in err


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://x",
        "http://",
        "http://x:port",
        "http://u:hunter2@x",
        "http://a..b:80",
        "http://" + 64 * "a",
    ],
)
def test_a_wrong_url_is_named(url):
    code, out, err = status("--url", url)
    assert (code, out) == (78, "")
    assert "--url: got" in err
    assert "expected http://host:port" in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"ok",
        b'{"status": "healthy"}',
        b'{"sources": [1], "sinks": []}',
        b'{"sources": [{"last_error": 5}], "sinks": []}',
        pytest.param(100_000 * b"[", id="deep"),
    ],
)
def test_another_server_is_told_apart(body):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        code, out, err = status("--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert (code, out) == (1, "")
    assert "is not a status page of rivven-kafka run" in err
