"""A connector that fails is started again, later and later, and the others do not notice."""

import threading
from contextlib import closing
from datetime import datetime

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.runtime import RestartBackoff, Runner, State, serve

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.numbered import fill_kafka, numbered
from tests.support.ports import ReservedPort
from tests.support.topics import TopicWriter, create_topic

pytestmark = pytest.mark.integration


class Pauses:
    """The pauses between the failures of the sink `out`, as `/status` tells them."""

    def __init__(self, address):
        self._address = address
        self.seen = {}

    def sink(self):
        return ask(self._address, "/status").json["sinks"][0]

    def look(self):
        sink = self.sink()
        if sink["status"] == "restarting":
            start, end = (datetime.fromisoformat(sink[name]) for name in ("since", "next_restart"))
            self.seen[sink["restarts"]] = round((end - start).total_seconds(), 2)
        return self.seen


@pytest.fixture
def port():
    with ReservedPort() as reserved:
        yield reserved


@pytest.fixture
def document(kafka, rivven, topic_name, port):
    """A source that works, and a sink whose Kafka topic does not exist."""
    origin, middle, missing = topic_name(), topic_name(), topic_name()
    fill_kafka(kafka.bootstrap, origin, 1, 10)
    source = source_file(kafka.bootstrap, rivven.bootstrap, origin, middle, f"g-{origin}")
    sink = sink_file(kafka.bootstrap, rivven.bootstrap, middle, missing, f"g-{middle}")
    return source | {
        "sinks": sink["sinks"],
        "settings": {"health": {"enabled": True, "port": port.number}},
    }


def topics_of(document):
    return document["sources"]["in"]["config"]["topic"], document["sinks"]["out"]["config"]["topic"]


def test_one_that_fails_does_not_stop_the_others(kafka, document, port, tmp_path):
    origin, missing = topics_of(document)
    pauses = Pauses(port.address)

    def source():
        return ask(port.address, "/status").json["sources"][0]

    with Connector(tmp_path, document) as connector:
        wait_until(lambda: answers(port.address, "/live"), 30, connector.log_tail)
        wait_until(lambda: len(pauses.look()) >= 3, 60, connector.log_tail)
        assert pauses.seen == {number: 2.0**number for number in pauses.seen}

        wait_until(lambda: source()["events_processed"] == 10, 30, connector.log_tail)
        with TopicWriter(kafka.bootstrap, origin, 1) as writer:
            writer.write(0, numbered(0, range(10, 30)))
        wait_until(lambda: source()["events_processed"] == 30, 30, connector.log_tail)
        assert (source()["status"], source()["restarts"]) == ("running", 0)

        ready = ask(port.address, "/ready")
        [reason] = ready.json["reasons"]
        assert ready.code == ask(port.address, "/health").code == 503
        assert reason.startswith("sink out: ")
        assert f"Kafka topic '{missing}' does not exist" in reason

        # The cause goes away: the next start succeeds, and the events of the meantime arrive.
        create_topic(kafka.bootstrap, missing, 1)
        wait_until(lambda: answers(port.address, "/ready"), 60, connector.log_tail)
        wait_until(lambda: pauses.sink()["events_processed"] == 30, 30, connector.log_tail)
        assert pauses.sink()["restarts"] >= 3
        assert pauses.sink()["metrics"]["errors"] == pauses.sink()["restarts"]
        assert "does not exist" in pauses.sink()["last_error"]
        assert connector.stop() == 0, connector.log_tail()


def test_the_pauses_have_a_limit(document, port):
    config = ConnectConfig.model_validate(document)
    runner = Runner(config, RestartBackoff(first_s=0.3, longest_s=0.7))
    pauses = Pauses(port.address)
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    with serve(config.settings, runner) as urls:
        assert urls == [f"http://{port.address}"]
        thread.start()
        try:
            wait_until(lambda: len(pauses.look()) >= 5, 60, lambda: str(runner.status()))
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive()
        expected = {number: min(0.3 * 2**number, 0.7) for number in pauses.seen}
        assert pauses.seen == pytest.approx(expected)
        assert max(pauses.seen) >= 4
        assert ask(port.address, "/ready").code == 503
    states = {status.name: status.state for status in runner.status()}
    assert states == {"in": State.STOPPED, "out": State.FAILED}


def test_one_that_cannot_be_configured_is_not_restarted(document, port, tmp_path, kafka, rivven, topic_name):
    # Preserved partitions do not fit into a topic that has fewer.
    origin = topic_name()
    create_topic(kafka.bootstrap, origin, 3)
    wrong = source_file(
        kafka.bootstrap, rivven.bootstrap, origin, topic_name(), f"g-{origin}", partitioning="preserve"
    )["sources"]["in"]
    wrong["topic_config"] = {"partitions": 2}
    document["sources"]["wrong"] = wrong
    del document["sinks"]
    with Connector(tmp_path, document) as connector:
        wait_until(lambda: answers(port.address, "/live"), 30, connector.log_tail)

        def sources():
            return {source["name"]: source for source in ask(port.address, "/status").json["sources"]}

        wait_until(lambda: sources()["wrong"]["status"] == "failed", 30, connector.log_tail)
        wait_until(lambda: sources()["in"]["status"] == "running", 30, connector.log_tail)
        assert (sources()["wrong"]["restarts"], sources()["wrong"]["next_restart"]) == (0, None)
        assert ask(port.address, "/ready").json["reasons"][0].startswith("source wrong: failed since ")
        assert connector.stop() == 1, connector.log_tail()


@pytest.mark.parametrize("kind", ["source", "sink"])
def test_what_cannot_work_is_not_tried_again(kafka, rivven, topic_name, tmp_path, kind):
    missing = tmp_path / "no-such-ca.pem"
    security = {"protocol": "SSL", "ssl_ca_cert": str(missing)}
    origin, target = topic_name(), topic_name()
    if kind == "source":
        document = source_file(kafka.bootstrap, rivven.bootstrap, target, origin, "g", security=security)
    else:
        with closing(RivvenClient([rivven.bootstrap])) as client:
            client.create_topic(origin, 1)
        document = sink_file(kafka.bootstrap, rivven.bootstrap, origin, target, "g", security=security)
    with Connector(tmp_path, document) as connector:
        wait_until(lambda: not connector.running, 30, connector.log_tail)
        assert f"gave up: security.ssl_ca_cert: got {str(missing)!r}: No such file" in connector.log()
