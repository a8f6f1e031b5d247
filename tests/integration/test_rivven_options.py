"""The sections `broker` and `settings`, and `enabled`: by their effect on the real brokers, behind taps."""

import contextlib
import socket
import threading
import time
from itertools import pairwise

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConnectError, TimeoutExpired, UnknownTopicError
from rivven_kafka.pipeline import sink_pipeline
from rivven_kafka.runtime.runner import Runner

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.ports import ReservedPort
from tests.support.rivven_tap import RivvenApi
from tests.support.topics import Row, create_topic, end_offsets, fill

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
ONCE = {"retry": {"max_retries": 0}}


@pytest.fixture
def document(kafka, rivven_tap, topic_name):
    """A function that returns the configuration of a source with one record to deliver."""

    def make(broker=None, settings=None):
        origin = topic_name()
        create_topic(kafka.bootstrap, origin, 1)
        fill(kafka.bootstrap, origin, {0: [Row(NOW, None, b"v", [])]})
        made = source_file(kafka.bootstrap, rivven_tap.address, origin, topic_name(), f"g-{origin}")
        made["broker"] |= broker or {}
        made["settings"] = settings or {}
        return made

    return make


def run(document):
    """Runs a source until its record has arrived; returns the error it ends with instead."""
    with Running(document) as running:
        wait_until(
            lambda: running.pipeline.delivered() == 1 or running.error is not None, 30, running.describe
        )
    return running.error


def test_any_of_the_bootstrap_servers_is_enough(document, rivven_tap):
    with ReservedPort() as dead:
        assert run(document({"bootstrap_servers": [dead.address, rivven_tap.address]})) is None


def test_connection_timeout(document):
    """Linux leaves connections unanswered while the queue of a listener is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        address = full.getsockname()
        server = f"{address[0]}:{address[1]}"
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        broker = {"bootstrap_servers": [server], "connection_timeout_ms": 300}
        made = document(broker, ONCE)
        start = time.monotonic()
        error = run(made)
        took = time.monotonic() - start
    assert isinstance(error, ConnectError)
    assert server in str(error)
    # The default is 10 s.
    assert 0.3 <= took < 9


def test_request_timeout(document, rivven_tap):
    with rivven_tap.drop(RivvenApi.GET_METADATA) as dropped:
        error = run(document({"request_timeout_ms": 400}, ONCE))
    assert isinstance(error, TimeoutExpired)
    [unanswered] = dropped.hits
    connection = rivven_tap.connections()[unanswered.connection]
    wait_until(lambda: connection.closed is not None, 5)
    # The default is 30 s.
    assert 0.39 < connection.closed - unanswered.sent < 20


@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_max_retries(document, rivven_tap, max_retries):
    retry = {"max_retries": max_retries, "initial_backoff_ms": 1, "max_backoff_ms": 1}
    with rivven_tap.refusing():
        error = run(document(settings={"retry": retry}))
    assert isinstance(error, ConnectError)
    assert len(rivven_tap.connections()) == 1 + max_retries
    assert (f"after {max_retries} retries" in str(error)) == (max_retries > 0)


def pauses(document, rivven_tap, **retry):
    """Seconds between the attempts."""
    with rivven_tap.refusing():
        assert isinstance(run(document(settings={"retry": retry})), ConnectError)
    return [later.opened - earlier.opened for earlier, later in pairwise(rivven_tap.connections())]


def test_initial_backoff_and_multiplier(document, rivven_tap):
    """Up to half of a pause is taken away, so that clients do not come back in step."""
    found = pauses(
        document,
        rivven_tap,
        max_retries=3,
        initial_backoff_ms=60,
        backoff_multiplier=5,
        max_backoff_ms=60_000,
    )
    assert len(found) == 3
    assert [pause > least for pause, least in zip(found, (0.03, 0.15, 0.75), strict=True)] == [True] * 3


def test_max_backoff(document, rivven_tap):
    found = pauses(
        document,
        rivven_tap,
        max_retries=4,
        initial_backoff_ms=60,
        backoff_multiplier=100,
        max_backoff_ms=80,
    )
    # Without the limit the second pause alone would take 3 s at least.
    assert sum(found[1:]) < 3
    assert min(found) > 0.03


@pytest.mark.symptom("A topic does not exist.")
def test_a_missing_topic_fails_the_sink_or_is_waited_for(kafka, rivven, topic_name, monkeypatch):
    monkeypatch.setattr(sink_pipeline, "_TOPIC_WAIT_S", 1.0)
    origin, copy = topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, 1)

    def sink(group, required):
        made = sink_file(kafka.bootstrap, rivven.bootstrap, origin, copy, group, include_headers=False)
        return {**made, "settings": {"topic": {"require_topic_exists": required}}}

    with Running(sink(f"patient-{origin}", False)) as patient:
        with Running(sink(f"strict-{origin}", True)) as strict:
            error = strict.failure()
        assert isinstance(error, UnknownTopicError)
        assert origin in str(error)
        assert patient.error is None
        with contextlib.closing(RivvenClient([rivven.bootstrap])) as client:
            client.create_topic(origin, 1)
            client.publish(origin, 0, [(None, b"v")])
        wait_until(lambda: end_offsets(kafka.bootstrap, copy) == {0: 1}, 20, patient.describe)


def test_only_what_is_enabled_runs(kafka, rivven, document, topic_name):
    """Four connectors, of which two are switched off."""
    made = document()
    source = made["sources"]["in"]
    off = {**source, "enabled": False, "topic": topic_name()}
    copies = {name: topic_name() for name in ("out", "off")}
    sinks = {}
    for name, copy in copies.items():
        create_topic(kafka.bootstrap, copy, 1)
        group = f"{name}-{copy}"
        sinks[name] = sink_file(kafka.bootstrap, rivven.bootstrap, source["topic"], copy, group)["sinks"][
            "out"
        ]
    sinks["off"]["enabled"] = False
    config = ConnectConfig.model_validate({**made, "sources": {"in": source, "off-in": off}, "sinks": sinks})
    stop = threading.Event()
    runner = threading.Thread(target=Runner(config).run, args=(stop,))
    runner.start()
    try:
        wait_until(lambda: end_offsets(kafka.bootstrap, copies["out"]) == {0: 1}, 30)
    finally:
        stop.set()
        runner.join(60)
    assert end_offsets(kafka.bootstrap, copies["off"]) == {0: 0}
    assert rivven_records(rivven.bootstrap, off["topic"]) == {}
