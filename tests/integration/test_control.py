"""Pausing, resuming and restarting the connectors of a running process."""

import time

import pytest

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.numbered import fill_kafka, numbered, place_of
from tests.support.ports import LOOPBACK, ReservedPort
from tests.support.rivven_wire import RivvenWire
from tests.support.topics import TopicWriter, create_topic, read_topic

pytestmark = pytest.mark.integration

TOKEN = "control-token-0123456789"
STALL_MS = 2_000


class Pair:
    """A source `in` and a sink `out`, of which one is told what to do; in between lies a Rivven topic."""

    def __init__(self, kafka, rivven, topic_name, tmp_path, exactly_once=False, **more):
        self.kafka, self.rivven = kafka.bootstrap, rivven
        self.origin, self.middle, self.copy = topic_name(), topic_name(), topic_name()
        fill_kafka(self.kafka, self.origin, 1, 30)
        create_topic(self.kafka, self.copy, 1)
        quick = {"stall_timeout_ms": STALL_MS, "request_timeout_ms": 1_500, "value_format": "raw"}
        source = source_file(
            self.kafka, rivven.bootstrap, self.origin, self.middle, f"g-{self.origin}", **quick, **more
        )
        sink = sink_file(
            self.kafka,
            rivven.bootstrap,
            self.middle,
            self.copy,
            f"g-{self.middle}",
            delivery_timeout_ms=1_800,
            **quick,
        )
        if exactly_once:
            source["sources"]["in"]["config"]["delivery_guarantee"] = "exactly_once"
            sink["sinks"]["out"]["config"]["transactional_id"] = self.copy
        self.document = source | {"sinks": sink["sinks"]}
        self.document["broker"]["request_timeout_ms"] = 1_500
        self._port = ReservedPort()
        self._directory = tmp_path

    def __enter__(self):
        self._port.__enter__()
        self.address = self._port.address
        self.document["settings"] = {
            "health": {"enabled": True, "port": self._port.number},
            "control": {"token": TOKEN},
        }
        self.connector = Connector(self._directory, self.document).start()
        return self

    def __exit__(self, *error):
        self.connector.__exit__(*error)
        self._port.__exit__(*error)

    def tell(self, name, action):
        answer = ask(
            self.address, f"/connectors/{name}/{action}", "POST", {"Authorization": f"Bearer {TOKEN}"}
        )
        assert answer.code == 202, answer.text

    def status(self, name):
        report = ask(self.address, "/status").json
        return next(each for each in report["sources"] + report["sinks"] if each["name"] == name)

    def add(self, first, count):
        with TopicWriter(self.kafka, self.origin, 1) as writer:
            writer.write(0, numbered(0, range(first, first + count)))

    def in_rivven(self):
        with RivvenWire(LOOPBACK, self.rivven.port) as wire:
            return wire.offset_bounds(self.middle)[1]

    def in_kafka(self):
        # Offsets count the markers of transactions too.
        return len(self.copied())

    def copied(self):
        rows = read_topic(self.kafka, self.copy, "read_committed").get(0, [])
        return [place_of(row.value)[1] for row in rows]

    def wait(self, condition, timeout=30):
        wait_until(condition, timeout, self.connector.log_tail)


@pytest.fixture(params=[False, True], ids=["at least once", "exactly once"])
def pair(request, kafka, rivven, topic_name, tmp_path):
    with Pair(kafka, rivven, topic_name, tmp_path, request.param) as pair:
        pair.wait(lambda: answers(pair.address, "/ready"), 60)
        pair.wait(lambda: pair.in_kafka() == 30)
        yield pair


def test_a_paused_connector_reads_nothing_and_keeps_its_place(pair):
    for name, first in (("out", 30), ("in", 40)):
        pair.tell(name, "pause")
        pair.wait(lambda name=name: pair.status(name)["status"] == "paused")
        pair.add(first, 10)
        # The source goes on while only the sink is paused.
        pair.wait(lambda: pair.in_rivven() == 40)
    # Longer than it takes to be stalled.
    time.sleep(2.5 * STALL_MS / 1000)
    assert (pair.in_rivven(), pair.in_kafka()) == (40, 30)
    metrics = ask(pair.address, "/metrics").text
    for name in ("in", "out"):
        status = pair.status(name)
        assert (status["status"], status["paused"], status["stalled"]) == ("paused", True, [])
        pair.wait(lambda name=name: pair.status(name)["lag"]["total"] == 10)
        labels = "{" + f'connector="{name}",direction="{"source" if name == "in" else "sink"}"' + "}"
        assert f"rivven_kafka_connector_paused{labels} 1.0" in metrics
    assert ask(pair.address, "/ready").code == 200

    for name in ("in", "out"):
        pair.tell(name, "resume")
    pair.wait(lambda: pair.in_kafka() == 50)
    pair.wait(lambda: answers(pair.address, "/ready"))
    assert {pair.status(name)["status"] for name in ("in", "out")} == {"running"}
    assert pair.copied() == list(range(50))
    assert pair.connector.stop() == 0
    log = pair.connector.log()
    # Their partitions were assigned once: they neither left their groups nor were put out.
    assert (log.count("restart in"), log.count("stalled"), log.count(" assigned ")) == (0, 0, 2)


def test_a_restart_goes_on_where_it_was_also_while_paused(pair):
    for number, paused in enumerate((False, True)):
        if paused:
            for name in ("in", "out"):
                pair.tell(name, "pause")
            pair.wait(lambda: {pair.status(name)["status"] for name in ("in", "out")} == {"paused"})
        # They are there when the partitions are assigned.
        pair.add(30 + 10 * number, 10)
        for name in ("in", "out"):
            pair.tell(name, "restart")
            done = f"restart, as asked connector={name}"
            pair.wait(lambda done=done, number=number: pair.connector.log().count(done) > number)
        expected = "paused" if paused else "running"
        for name in ("in", "out"):
            pair.wait(lambda name=name, expected=expected: pair.status(name)["status"] == expected)
        assert pair.status("in")["last_error"] is None
        if paused:
            time.sleep(1)
            assert pair.in_rivven() == 40
            for name in ("in", "out"):
                pair.tell(name, "resume")
        pair.wait(lambda number=number: pair.in_kafka() == 40 + 10 * number)
    # In order, a restart ends with everything committed: nothing comes twice.
    assert pair.copied() == list(range(50))
    assert pair.connector.stop() == 0, pair.connector.log_tail()


def test_a_connector_that_has_given_up_can_be_restarted(kafka, rivven, topic_name, tmp_path):
    pair = Pair(kafka, rivven, topic_name, tmp_path)
    # More partitions than there are: nobody but the user can change that.
    pair.document["sinks"]["out"]["start_offset"] = {"offsets": {pair.middle: {0: 0, 1: 0}}}
    with pair:
        pair.wait(lambda: answers(pair.address, "/live"), 60)
        pair.wait(lambda: pair.status("out")["status"] == "failed", 60)
        assert pair.status("in")["status"] != "failed"
        with RivvenWire(LOOPBACK, rivven.port) as wire:
            wire.create_partitions(pair.middle, 2)
        pair.tell("out", "restart")
        pair.wait(lambda: pair.in_kafka() == 30)
        assert pair.connector.stop() == 0, pair.connector.log_tail()


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at least once", "exactly once"])
def test_latest_loses_nothing_that_comes_during_a_pause(kafka, rivven, topic_name, tmp_path, exactly_once):
    with Pair(kafka, rivven, topic_name, tmp_path, exactly_once, start_offset="latest") as pair:
        pair.wait(lambda: answers(pair.address, "/ready"), 60)
        # It stands at the end, and has read nothing that it could have committed.
        pair.wait(lambda: pair.status("in")["lag"]["total"] == 0)
        pair.tell("in", "pause")
        pair.wait(lambda: pair.status("in")["status"] == "paused")
        pair.add(30, 10)
        pair.tell("in", "restart")
        pair.wait(lambda: "restart, as asked connector=in" in pair.connector.log())
        pair.wait(lambda: pair.status("in")["lag"]["total"] == 10)
        assert (pair.status("in")["status"], pair.in_rivven()) == ("paused", 0)
        pair.tell("in", "resume")
        pair.wait(lambda: pair.in_rivven() == 10)
        pair.wait(lambda: pair.in_kafka() == 10)
        assert pair.copied() == list(range(30, 40))
        assert pair.connector.stop() == 0, pair.connector.log_tail()
