"""A partition that stands still: who notices, what is said, and that nothing is lost by the restart."""

import re
import time
from functools import partial

import pytest

from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.endpoint import ask
from tests.support.numbered import Arrivals, fill_rivven, kafka_values, numbered, rivven_ends, rivven_values
from tests.support.topics import TopicWriter, committed_offsets, create_topic, end_offsets

pytestmark = pytest.mark.faults

PARTITIONS = 2
QUICK = {
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 500,
    "request_timeout_ms": 1_000,
    "stall_timeout_ms": 3_000,
    "shutdown_timeout_ms": 5_000,
}


class Running:
    """A connector with its health endpoint, whose requests to Rivven time out after a second."""

    def __init__(self, directory, document, port):
        document["settings"] = {
            "health": {"enabled": True, "port": port.number},
            # The clients try again for longer than the tests last.
            "retry": {"max_retries": 1_000, "max_backoff_ms": 500},
        }
        document["broker"]["request_timeout_ms"] = 1_000
        self.connector = Connector(directory, document)
        self._port = port
        [self._kind] = {"sources", "sinks"} & document.keys()

    def status(self):
        [status] = ask(self._port.address, "/status").json[self._kind]
        return status

    def wait(self, code, reason="", timeout=45):
        def seen():
            answer = ask(self._port.address, "/ready")
            return answer.code == code and reason in str(answer.json["reasons"])

        wait_until(seen, timeout, self.connector.log_tail)

    def wait_stalled(self, reason, partitions=1):
        """Until so many partitions at least are stalled, all for this reason; returns its status."""
        self.wait(503, "stalled since")
        wait_until(lambda: len(self.status()["stalled"]) >= partitions, 10, self.connector.log_tail)
        health = ask(self._port.address, "/health")
        assert health.code == 503
        status = self.status()
        assert all(reason in stall["reason"] for stall in status["stalled"]), status
        # Another one may be noticed between the two answers.
        known = health.json[self._kind][0]["stalled"]
        assert known == status["stalled"][: len(known)] != []
        return status

    def metric(self, name):
        text = ask(self._port.address, "/metrics").text
        [value] = re.findall(rf"^{name}{{.*}} (\S+)$", text, re.MULTILINE)
        return float(value)

    def wait_restarted(self):
        wait_until(lambda: self.status()["restarts"] > 0, 45, self.connector.log_tail)
        assert "StalledError" not in self.connector.log()
        assert re.search(r"ERROR stopped: no progress for \d+ s at position", self.connector.log())


def write(bootstrap, topic, numbers):
    with TopicWriter(bootstrap, topic, PARTITIONS) as writer:
        for partition in range(PARTITIONS):
            writer.write(partition, numbered(partition, numbers))


@pytest.fixture
def origin(topic_name):
    return topic_name()


@pytest.mark.symptom("It did arrive, and does not any more.")
def test_a_source_whose_rivven_stands_still(kafka, own_rivven, origin, tmp_path, port):
    create_topic(kafka.bootstrap, origin, PARTITIONS)
    document = source_file(kafka.bootstrap, own_rivven.bootstrap, origin, origin, f"g-{origin}", **QUICK)
    running = Running(tmp_path, document, port)
    with running.connector as connector:
        write(kafka.bootstrap, origin, range(100))
        advance(lambda: sum(rivven_ends(own_rivven, origin, PARTITIONS)), 200, connector)
        running.wait(200)
        own_rivven.pause()
        write(kafka.bootstrap, origin, range(100, 200))
        begin = time.monotonic()
        status = running.wait_stalled("Rivven does not acknowledge what was sent", PARTITIONS)
        assert time.monotonic() - begin >= 2.5
        # In the order in which they were noticed.
        found = sorted((stall["partition"], stall["position"], stall["end"]) for stall in status["stalled"])
        assert found == [(0, 100, 200), (1, 100, 200)]
        assert running.metric("rivven_kafka_connector_stalled_partitions") == PARTITIONS
        assert running.metric("rivven_kafka_connector_stalls_total") == PARTITIONS
        assert re.search(r"WARNING stalled since .*: Rivven does not acknowledge", connector.log())
        wait_until(lambda: "INFO restart in" in connector.log(), 30, connector.log_tail)
        # It is not ready before something moves, whatever state it is in.
        running.wait(503, "stalled since")
        own_rivven.resume()
        running.wait(200)
        running.wait_restarted()
        assert running.status()["lag"]["total"] == 0
        assert connector.stop() == 0, connector.log_tail()
    # What was on the wire, and was stored when rivvend went on; it comes once more.
    Arrivals.of(rivven_values(own_rivven, origin, PARTITIONS), PARTITIONS, 200).check(2 * 100)


def test_a_source_whose_kafka_stands_still(own_kafka, rivven, origin, tmp_path, port):
    create_topic(own_kafka.bootstrap, origin, PARTITIONS)
    options = QUICK | {"enable_auto_commit": False}
    document = source_file(own_kafka.bootstrap, rivven.bootstrap, origin, origin, f"g-{origin}", **options)
    running = Running(tmp_path, document, port)
    with running.connector as connector:
        write(own_kafka.bootstrap, origin, range(100))
        advance(lambda: sum(rivven_ends(rivven, origin, PARTITIONS)), 200, connector)
        running.wait(200)
        committed = partial(committed_offsets, own_kafka.bootstrap, f"g-{origin}", origin)
        wait_until(lambda: sum(committed().values()) == 200, 30, connector.log_tail)
        own_kafka.pause()
        status = running.wait_stalled("", PARTITIONS)
        # Nobody knows whether there is more: the end is that of before.
        assert [(stall["position"], stall["end"]) for stall in status["stalled"]] == [(100, 100)] * PARTITIONS
        wait_until(lambda: "INFO restart in" in connector.log(), 30, connector.log_tail)
        own_kafka.resume()
        write(own_kafka.bootstrap, origin, range(100, 200))
        running.wait(200)
        wait_until(lambda: sum(rivven_ends(rivven, origin, PARTITIONS)) >= 400, 30, connector.log_tail)
        running.wait_restarted()
        assert connector.stop() == 0, connector.log_tail()
    Arrivals.of(rivven_values(rivven, origin, PARTITIONS), PARTITIONS, 200).check(0)


def test_a_sink_whose_rivven_stands_still(kafka, own_rivven, origin, tmp_path, port):
    create_topic(kafka.bootstrap, origin, PARTITIONS)
    fill_rivven(own_rivven.bootstrap, origin, PARTITIONS, 400)
    document = sink_file(
        kafka.bootstrap,
        own_rivven.bootstrap,
        origin,
        origin,
        f"g-{origin}",
        request_timeout_ms=500,
        delivery_timeout_ms=2_000,
        stall_timeout_ms=3_000,
    )
    document["sinks"]["out"]["rate_limit"] = {"events_per_second": 200}
    running = Running(tmp_path, document, port)
    with running.connector as connector:
        advance(lambda: sum(end_offsets(kafka.bootstrap, origin).values()), 100, connector)
        own_rivven.pause()
        running.wait_stalled("Rivven does not")
        wait_until(lambda: "INFO restart in" in connector.log(), 30, connector.log_tail)
        own_rivven.resume()
        running.wait(200)
        wait_until(lambda: running.status()["lag"]["total"] == 0, 30, connector.log_tail)
        running.wait_restarted()
        assert connector.stop() == 0, connector.log_tail()
    # What was read since the last commit, which could not be made.
    Arrivals.of(kafka_values(kafka.bootstrap, origin), PARTITIONS, 400).check(800)


def test_a_sink_whose_kafka_stands_still(own_kafka, rivven, origin, tmp_path, port):
    """Batches run out of time before a partition is stalled, and that restarts the sink too."""
    create_topic(own_kafka.bootstrap, origin, PARTITIONS)
    fill_rivven(rivven.bootstrap, origin, PARTITIONS, 1_000)
    document = sink_file(
        own_kafka.bootstrap,
        rivven.bootstrap,
        origin,
        origin,
        f"g-{origin}",
        request_timeout_ms=1_000,
        delivery_timeout_ms=3_000,
        stall_timeout_ms=4_000,
        retries=100,
        idempotent=True,
    )
    document["sinks"]["out"]["rate_limit"] = {"events_per_second": 300}
    running = Running(tmp_path, document, port)
    with running.connector as connector:
        advance(lambda: sum(end_offsets(own_kafka.bootstrap, origin).values()), 100, connector)
        own_kafka.pause()
        running.wait(503, "sink out: ")
        wait_until(lambda: "INFO restart in" in connector.log(), 30, connector.log_tail)
        own_kafka.resume()
        running.wait(200)
        wait_until(lambda: running.status()["lag"]["total"] == 0, 45, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
    Arrivals.of(kafka_values(own_kafka.bootstrap, origin), PARTITIONS, 1_000).check(1_000)


def test_what_is_idle_or_slow_is_not_stalled(kafka, rivven, topic_name, tmp_path, port):
    """For three times the timeout: an idle source and sink, and both at five records per second."""
    idle, slow, copy = topic_name(), topic_name(), topic_name()
    for topic in (idle, slow, copy):
        create_topic(kafka.bootstrap, topic, PARTITIONS)
    write(kafka.bootstrap, slow, range(1_000))
    # Nothing fails here: what a busy machine answers late must not look as if it did.
    sink = {"request_timeout_ms": 2_000, "delivery_timeout_ms": 2_500, "stall_timeout_ms": 3_000}
    source = QUICK | {"request_timeout_ms": 2_500}
    document = source_file(kafka.bootstrap, rivven.bootstrap, idle, idle, f"g-{idle}", **source)
    other = source_file(kafka.bootstrap, rivven.bootstrap, slow, slow, f"g-{slow}", **source)
    document["sources"]["slow"] = other["sources"]["in"] | {"rate_limit": {"events_per_second": 5}}
    out = sink_file(kafka.bootstrap, rivven.bootstrap, idle, copy, f"g-{idle}", **sink)
    document["sinks"] = out["sinks"]
    document["broker"]["request_timeout_ms"] = 2_500
    document["settings"] = {"health": {"enabled": True, "port": port.number}}
    fill_rivven(rivven.bootstrap, copy, PARTITIONS, 200)
    entry = out["sinks"]["out"] | {"topics": [copy], "consumer_group": f"g-{copy}"}
    document["sinks"]["slow-out"] = entry | {"rate_limit": {"events_per_second": 5}}
    with Connector(tmp_path, document) as connector:
        wait_until(lambda: connector.log().count("assigned") >= 4, 60, connector.log_tail)
        wait_until(lambda: ask(port.address, "/ready").code == 200, 30, connector.log_tail)
        until = time.monotonic() + 9
        while time.monotonic() < until:
            answer = ask(port.address, "/ready")
            assert answer.code == 200, answer.json
            time.sleep(0.2)
        status = ask(port.address, "/status").json
        for each in status["sources"] + status["sinks"]:
            assert (each["restarts"], each["stalled"]) == (0, [])
        lag = {each["name"]: each["lag"]["total"] for each in status["sources"] + status["sinks"]}
        assert (lag["in"], lag["out"]) == (0, 0)
        assert 1_800 <= lag["slow"] < 2_000
        assert 200 <= lag["slow-out"] < 400
    assert "WARNING" not in connector.log()
