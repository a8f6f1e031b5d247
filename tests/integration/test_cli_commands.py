"""The commands that ask the brokers: exit codes, and what stands on standard output."""

import json
import subprocess
import sys
import time

import pytest
import yaml

from tests.support.connector import Connector, sink_file, source_file
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

NOWHERE = "127.0.0.1:1"


def command(*arguments):
    """Runs the command and returns exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "rivven_kafka.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def file(kafka, rivven, topic_name, tmp_path):
    """A function that writes a configuration with a source `in` and a sink `out`."""
    name = topic_name()
    create_topic(kafka.bootstrap, name, 3)

    def write(**changes):
        options = {"kafka": kafka.bootstrap, "rivven": rivven.bootstrap, "topic": name, **changes}
        address = options["kafka"], options["rivven"]
        limits = {"request_timeout_ms": 1000}
        document = source_file(*address, options["topic"], "copy", "g", **limits)
        document |= sink_file(*address, "copy", options["topic"], "g", **limits)
        path = tmp_path / "connect.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    write.topic = name
    return write


def test_check_is_content(file, kafka, rivven):
    code, out, err = command("-c", file(), "check")
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=5) for line in out.splitlines()]
    assert [line[:3] for line in lines] == [
        ["ok", "broker", "connect"],
        ["ok", "in", "connect"],
        ["ok", "in", "topic"],
        ["ok", "out", "connect"],
        ["ok", "out", "topic"],
    ]
    assert rivven.bootstrap in lines[0][5]
    assert kafka.bootstrap in lines[1][5]


def test_check_says_what_it_found_as_json(file):
    code, out, _ = command("-c", file(), "check", "--format", "json")
    results = json.loads(out)
    assert code == 0
    assert all(list(result) == ["connector", "check", "ok", "ms", "detail"] for result in results)
    assert all(result["ok"] is True and result["ms"] >= 0 for result in results)
    assert f"topic '{file.topic}' has 3 partitions" in [result["detail"] for result in results]


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"kafka": NOWHERE}, [("in", "connect"), ("out", "connect")]),
        ({"topic": "no-such-topic"}, [("in", "topic"), ("out", "topic")]),
        ({"rivven": NOWHERE}, [("broker", "connect")]),
    ],
)
def test_check_finds_what_is_wrong(file, changes, failing):
    path = file(**changes)
    start = time.monotonic()
    code, out, _ = command("-c", path, "check", "--format", "json")
    assert time.monotonic() - start < 20
    results = json.loads(out)
    assert code == 1
    assert [(result["connector"], result["check"]) for result in results if not result["ok"]] == failing
    [problem] = {result["detail"] for result in results if not result["ok"]}
    assert next(iter(changes.values())) in problem
    code, out, _ = command("-c", path, "check")
    assert code == 1
    assert sum(line.startswith("FAIL") for line in out.splitlines()) == len(failing)


def test_discover(file):
    code, out, err = command("-c", file(), "discover", "in")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split() == ["TOPIC", "PARTITIONS", "REPLICAS"]
    assert [file.topic, "3", "1"] in [line.split() for line in lines]
    code, out, _ = command("-c", file(), "discover", "in", "--format", "json")
    assert code == 0
    assert {"name": file.topic, "partitions": 3, "replication_factor": 1, "internal": False} in json.loads(
        out
    )


def test_discover_fails_with_a_reason(file):
    code, out, err = command("-c", file(kafka=NOWHERE), "discover", "in")
    assert (code, out) == (1, "")
    assert NOWHERE in err
    code, out, err = command("-c", file(), "discover", "out")
    assert (code, out) == (78, "")
    assert "expected one of: in" in err


def test_run_explains_itself():
    code, out, err = command("run", "--help")
    assert (code, err) == (0, "")
    assert "SIGTERM" in out
    assert "Example: rivven-kafka -c connect.yaml run" in out


def test_run_ends_at_once_when_told_to(kafka, rivven, topic_name, tmp_path):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    config = source_file(kafka.bootstrap, rivven.bootstrap, name, name, f"g-{name}")
    with Connector(tmp_path, config) as connector:
        deadline = time.monotonic() + 20
        while "assigned partitions" not in connector.log_tail():
            assert connector.running, connector.log_tail()
            assert time.monotonic() < deadline, connector.log_tail()
            time.sleep(0.05)
        start = time.monotonic()
        assert connector.stop() == 0
        assert time.monotonic() - start < 10
        assert "stopped" in connector.log_tail()
