"""How long it takes to import the package, to run a command, and to move the first record."""

import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from typing import Any

import pytest
import yaml
from rivven_kafka._native import RivvenClient

from benches.children import connector, hand_written
from benches.processes import cpu_seconds
from benches.report import show
from benches.watching import first, in_kafka, in_rivven
from tests.support import KafkaBroker
from tests.support.connector import sink_file
from tests.support.topics import TopicWriter, create_topic

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def bytecode(monkeypatch):
    """As an installed package has it: written by the first run of each candidate, which does not count."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


VALUE = b'{"order_id": 12345678, "customer": "customer-00042", "note": "' + b"x" * 96 + b'"}'
DEFAULT_DELAY_MS = 3_000
"""Kafka's own `group.initial.rebalance.delay.ms`, which the other tests set to 0."""


def run_ms(*arguments):
    """How long a run of Python takes (ms)."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def in_turn(candidates, scale, times=1):
    """Figures of each candidate, measured in turn."""
    found: list[tuple[str, list[Any]]] = [(name, []) for name, _ in candidates]
    if not scale.quick:
        # The first one of all reads the files from the disk.
        for _, measure in candidates:
            measure()
    for _ in range(times * scale.rounds):
        for (_, samples), (_, measure) in zip(found, candidates, strict=True):
            samples.append(measure())
    return found


def limit(ms):
    return (f"the limit, {ms} ms", [float(ms)])


def imports(module):
    """The import alone (ms), without the start of Python."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return float(done.stdout) * 1000


def test_import(scale):
    modules = ("rivven_kafka", "confluent_kafka", "kafka", "aiokafka")
    candidates = [(f"import {module}", lambda module=module: imports(module)) for module in modules]
    rows = [limit(150), *in_turn(candidates, scale, 3)]
    show("startup", "import", rows, unit="ms", at_most={("import rivven_kafka", rows[0][0]): 1})


def test_commands(scale, tmp_path):
    config = tmp_path / "connect.yaml"
    config.write_text(yaml.safe_dump(sink_file("kafka:9092", "rivven:9092", "a", "b", "g")))
    command = ("-m", "rivven_kafka.cli", "-c", str(config))
    candidates = [("python -c pass", lambda: run_ms("-c", "pass"))]
    candidates += [(name, partial(run_ms, *command, name)) for name in ("version", "--help", "validate")]
    show("startup", "commands", in_turn(candidates, scale, 3), unit="ms")


def first_record(kafka, rivven, direction, start, origin, target, log):
    """From the start of a process until a record that waits has come through: time, processor time (ms)."""
    watch = in_rivven(rivven, target, 4) if direction == "source" else in_kafka(kafka, target, 4)
    with watch as take:
        begin = time.perf_counter()
        with start(log, direction, kafka, rivven, origin, target) as pid:
            return (first(take) - begin) * 1000, cpu_seconds(pid) * 1000


def by_hand(log, direction, kafka, rivven, origin, target):
    return hand_written(log, direction, kafka, rivven, origin, target, 4)


def waiting(kafka, rivven, direction, name):
    """A topic with a record that waits."""
    create_topic(kafka.bootstrap, name, 4)
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(name, 4)
        if direction == "sink":
            client.publish(name, 1, [(b"key", VALUE)])
            return name
    with TopicWriter(kafka.bootstrap, name, 4) as writer:
        writer.write(1, [(-1, b"key", VALUE, [("trace", b"1")])])
    return name


def measure_first_record(kafka, rivven, direction, topic_name, directory, scale):
    origin = waiting(kafka, rivven, direction, topic_name())

    def measure(start):
        target = topic_name()
        create_topic(kafka.bootstrap, target, 4)
        with closing(RivvenClient([rivven.bootstrap])) as client:
            client.create_topic(target, 4)
        return first_record(kafka, rivven, direction, start, origin, target, directory / f"{target}.log")

    candidates = [("by hand", lambda: measure(by_hand)), ("rivven-kafka run", lambda: measure(connector))]
    return in_turn(candidates, scale)


def show_first_record(title, found, limit_ms):
    wall = [(name, [ms for ms, _ in samples]) for name, samples in found]
    rows = [limit(limit_ms), *wall]
    show("startup", title, rows, unit="ms", at_most={("rivven-kafka run", rows[0][0]): 1})
    cpu = [(name, [ms for _, ms in samples]) for name, samples in found]
    show("startup", f"{title}: processor time", cpu, unit="CPU ms")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("direction", ["source", "sink"])
def test_first_record(kafka, rivven, topic_name, tmp_path, scale, direction):
    found = measure_first_record(kafka, rivven, direction, topic_name, tmp_path, scale)
    show_first_record(f"from the start of the process to the first record, {direction}", found, 1000)


@pytest.mark.timeout(300)
def test_first_record_with_the_delay_of_kafka(rivven, topic_name, tmp_path, scale):
    """A source joins a group, which Kafka holds open for others: 3 s unless its operator says otherwise."""
    delay_ms = 300 if scale.quick else DEFAULT_DELAY_MS
    with KafkaBroker(properties={"group.initial.rebalance.delay.ms": delay_ms}) as kafka:
        found = measure_first_record(kafka, rivven, "source", topic_name, tmp_path, scale)
    title = f"the same, source, group.initial.rebalance.delay.ms={delay_ms}"
    show_first_record(title, found, delay_ms + 1000)
