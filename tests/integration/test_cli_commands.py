"""The commands that ask the brokers: exit codes, and what stands on standard output."""

import json
import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml
from rivven_kafka import Catalog

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
    for each in (name, f"{name}-back"):
        create_topic(kafka.bootstrap, each, 3)

    def write(**changes):
        options = {"kafka": kafka.bootstrap, "rivven": rivven.bootstrap, "topic": name, **changes}
        address = options["kafka"], options["rivven"]
        limits = {"request_timeout_ms": 5000}
        document = source_file(*address, options["topic"], "copy", "g", **limits)
        document |= sink_file(*address, "copy", f"{options['topic']}-back", "g", **limits)
        path = tmp_path / "connect.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    write.topic = name
    return write


CHECKS = [
    *("config", "connectivity", "authentication", "topic", "authorization"),
    *("rivven", "rivven_topic"),
]


def test_check_is_content(file, kafka, rivven):
    code, out, err = command("-c", file(), "check")
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=6) for line in out.splitlines()]
    assert [line[:4] for line in lines] == [
        ["ok", direction, name, check]
        for direction, name in (("source", "in"), ("sink", "out"))
        for check in CHECKS
    ]
    assert all(line[4].isdigit() and line[5] == "ms" for line in lines)
    details = [line[6] for line in lines]
    assert details[CHECKS.index("connectivity")] == f"reached {kafka.bootstrap}"
    assert details[CHECKS.index("rivven")] == f"reached {rivven.bootstrap}"
    # Neither exists: the source will create what the sink reads.
    assert details[CHECKS.index("rivven_topic")] == "Rivven topic 'copy' will be created with 3 partitions"
    assert details[-1] == "Rivven topic 'copy' will be created by a source"


def test_check_says_what_it_found_as_json(file):
    code, out, _ = command("-c", file(), "check", "--format", "json")
    results = json.loads(out)
    assert code == 0
    keys = ["connector", "direction", "check", "status", "ms", "detail"]
    assert all(list(result) == keys for result in results)
    assert [result["direction"] for result in results] == ["source"] * len(CHECKS) + ["sink"] * len(CHECKS)
    assert all(result["status"] == "ok" and result["ms"] >= 0 for result in results)
    assert f"topic '{file.topic}' has 3 partitions" in [result["detail"] for result in results]


@pytest.mark.parametrize(
    ("changes", "failing", "skipped"),
    [
        ({"kafka": NOWHERE}, "connectivity", ["authentication", "topic", "authorization"]),
        ({"topic": "no-such-topic"}, "topic", ["authorization"]),
        ({"rivven": NOWHERE}, "rivven", ["rivven_topic"]),
    ],
)
def test_check_finds_what_is_wrong_and_tries_what_does_not_depend_on_it(file, changes, failing, skipped):
    path = file(**changes)
    code, out, _ = command("-c", path, "check", "--format", "json")
    results = json.loads(out)
    assert code == 1
    expected = {failing: "failed", **dict.fromkeys(skipped, "skipped")}
    # The connectors share what is wrong.
    wanted = [(name, check, expected.get(check, "ok")) for name in ("in", "out") for check in CHECKS]
    found = [(result["connector"], result["check"], result["status"]) for result in results]
    if failing == "topic":
        # A sink has no group to ask about, a source has; neither can say what is allowed with the topic.
        assert "allowed: READ on group 'g'" in results[CHECKS.index("authorization")]["detail"]
    assert found == wanted
    assert all(
        next(iter(changes.values())) in result["detail"] for result in results if result["status"] == "failed"
    )
    code, out, _ = command("-c", path, "check")
    assert code == 1
    marks = [line.split(maxsplit=1)[0] for line in out.splitlines()]
    assert marks == [{"failed": "FAIL", "skipped": "skip", "ok": "ok"}[status] for *_, status in wanted]


def test_check_names_every_problem(file):
    code, out, _ = command("-c", file(kafka=NOWHERE, rivven="127.0.0.1:2"), "check", "--format", "json")
    assert code == 1
    failed = [result for result in json.loads(out) if result["status"] == "failed"]
    assert [(result["connector"], result["check"]) for result in failed] == [
        (name, check) for name in ("in", "out") for check in ("connectivity", "rivven")
    ]


def test_an_interrupt_ends_a_check_whose_broker_never_answers(file):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        path = file(kafka=f"127.0.0.1:{silent.getsockname()[1]}")
        document = yaml.safe_load(path.read_text())
        for section, name in (("sources", "in"), ("sinks", "out")):
            document[section][name]["config"]["request_timeout_ms"] = 60_000
        path.write_text(yaml.safe_dump(document))
        process = subprocess.Popen([sys.executable, "-m", "rivven_kafka.cli", "-c", path, "check"])
        try:
            silent.accept()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
            process.wait()


def test_discover(file):
    code, out, err = command("-c", file(), "discover", "in")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split() == ["TOPIC", "PARTITIONS", "REPLICAS", "CLEANUP", "RETENTION"]
    assert [file.topic, "3", "1", "delete", "forever"] in [line.split(maxsplit=4) for line in lines]
    code, out, _ = command("-c", file(), "discover", "in", "--format", "json")
    assert code == 0
    stream = Catalog.from_dict(json.loads(out)).stream(file.topic)
    assert stream.metadata["partition_count"] == 3
    assert stream.metadata["configs"]["cleanup.policy"] == "delete"


@pytest.mark.parametrize(
    ("retention", "shown"),
    [("604800000", "7 d"), ("129600000", "36 h"), ("90000", "90 s"), ("1234", "1234 ms")],
)
def test_discover_shows_how_long_records_are_kept(kafka, file, topic_name, retention, shown):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1, **{"retention.ms": retention, "cleanup.policy": "compact,delete"})
    _, out, _ = command("-c", file(), "discover", "in")
    assert [name, "1", "1", "compact,delete", *shown.split()] in [line.split() for line in out.splitlines()]


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
