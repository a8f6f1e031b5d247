"""Restarting a connector that runs, that waits for its restart, or that has given up."""

import logging
import threading
import time

import pytest
from rivven_kafka._native import KafkaSinkMetrics
from rivven_kafka.config import ConnectConfig, SecurityConfig
from rivven_kafka.errors import AuthenticationError, ConfigError, ConnectError, UnusableFileError
from rivven_kafka.pipeline.base import Pipeline
from rivven_kafka.runtime.backoff import RestartBackoff
from rivven_kafka.runtime.connector import Connector, State
from rivven_kafka.runtime.reports import Reports
from rivven_kafka.runtime.runner import Runner, _Rates, _Slot
from rivven_kafka.runtime.turn import Turn

from tests.support.connector import sink_file, source_file


class Work(Pipeline):
    """A pipeline that ends each run as it is told; None: it runs until it is stopped."""

    def __init__(self, *ends):
        super().__init__("work", SecurityConfig(), 0, 1000, 1000)
        self.metrics = KafkaSinkMetrics()
        self.ends = list(ends)
        self.fails = []
        self.runs = 0
        self.drained = threading.Event()
        self.drained.set()

    def delivered(self):
        return 0

    def delivered_bytes(self):
        return 0

    def _stall_reason(self, partition):
        return ""

    def _run(self, stop):
        self.runs += 1
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end
        self._set_assigned(True)
        if self.fails:
            raise self.fails.pop(0)
        stop.wait()
        assert self.drained.wait(10)


NEVER = RestartBackoff(600.0, 600.0)


@pytest.fixture
def started():
    """Starts a connector with such work; an automatic restart would come too late for the test."""
    stop = threading.Event()
    made = []

    def start(*ends, fails=(), backoff=NEVER):
        connector = Connector(Work(*ends), 1000, backoff)
        connector.pipeline.fails += fails
        made.append(connector)
        connector.start(stop)
        return connector, stop

    yield start
    stop.set()
    for connector in made:
        connector.join(10)
        assert not connector.alive


def reach(connector, state, runs):
    deadline = time.monotonic() + 10
    while (connector.status().state, connector.pipeline.runs) != (state, runs):
        assert time.monotonic() < deadline, (connector.status(), connector.pipeline.runs)
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("end", "before"),
    [(None, State.RUNNING), (ConnectError("away"), State.RESTARTING), (ConfigError("bad"), State.FAILED)],
)
def test_in_each_state_another_run_begins(started, end, before):
    connector, stop = started(end)
    reach(connector, before, 1)
    connector.pause()
    assert connector.restart()
    reach(connector, State.PAUSED, 2)
    status = connector.status()
    # Nobody had to wait for it, and it was no restart after an error.
    assert (status.next_restart, status.restarts) == (None, 0)
    connector.resume()
    reach(connector, State.RUNNING, 2)
    stop.set()
    connector.join(10)
    assert (connector.status().state, connector.error) == (State.STOPPED, None)


class PanicException(BaseException):
    """As the native code raises it."""


def test_a_panic_is_a_failure_like_others(started, caplog):
    connector, stop = started(PanicException("out of bounds"), backoff=RestartBackoff(0.01, 0.01))
    reach(connector, State.RUNNING, 2)
    status = connector.status()
    assert (status.restarts, status.last_error) == (1, "out of bounds")
    assert "stopped by an unexpected error" in caplog.text
    connector, stop = started(PanicException("out of bounds"))
    reach(connector, State.RESTARTING, 1)
    stop.set()
    connector.join(10)
    assert connector.status().state is State.FAILED
    assert connector.error is not None


def test_none_begins_once_the_process_ends(started):
    connector, stop = started(ConfigError("bad"))
    reach(connector, State.FAILED, 1)
    stop.set()
    assert not connector.restart()
    assert (connector.pipeline.runs, connector.alive) == (1, False)


def test_many_at_once_are_none_too_few(started):
    connector, _ = started()
    reach(connector, State.RUNNING, 1)
    threads = [threading.Thread(target=connector.restart) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 10
    while connector.pipeline.runs < 2 or connector.status().state is not State.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert connector.alive


def test_a_login_that_is_refused_for_a_while_is_tried_again(started):
    refused = [AuthenticationError("no") for _ in range(3)]
    connector, _ = started(*refused, backoff=RestartBackoff(0.01, 0.01, refused_for_s=60.0))
    reach(connector, State.RUNNING, 4)


def test_a_login_that_stays_refused_is_given_up(started):
    refused = [AuthenticationError("no") for _ in range(1000)]
    connector, _ = started(*refused, backoff=RestartBackoff(0.01, 0.01, refused_for_s=0.2))
    deadline = time.monotonic() + 10
    while connector.status().state is not State.FAILED:
        assert time.monotonic() < deadline, connector.status()
    assert 1 < connector.pipeline.runs < 100


def test_refusals_count_one_after_the_other_only(started):
    ends = [AuthenticationError("no"), ConnectError("away")] * 20
    connector, _ = started(*ends, backoff=RestartBackoff(0.01, 0.01, refused_for_s=0.05))
    reach(connector, State.RUNNING, 41)


def test_a_file_that_is_half_written_is_read_again_by_who_was_admitted_before(started):
    ends = [None, ConnectError("away"), UnusableFileError("cut"), UnusableFileError("cut")]
    connector, _ = started(*ends, fails=[ConnectError("lost")], backoff=RestartBackoff(0.01, 0.01))
    reach(connector, State.RUNNING, 5)


def test_a_file_that_stays_unusable_is_given_up(started):
    ends = [None, *(UnusableFileError("cut") for _ in range(1000))]
    backoff = RestartBackoff(0.01, 0.01, refused_for_s=0.2)
    connector, _ = started(*ends, fails=[ConnectError("lost")], backoff=backoff)
    deadline = time.monotonic() + 10
    while connector.status().state is not State.FAILED:
        assert time.monotonic() < deadline, connector.status()
    assert 2 < connector.pipeline.runs < 100


def test_a_file_that_never_was_of_use_is_given_up_at_once(started):
    connector, _ = started(UnusableFileError("no PEM"), backoff=RestartBackoff(0.01, 0.01))
    reach(connector, State.FAILED, 1)
    # Neither does having been admitted make a mistake one that passes.
    connector, _ = started(
        None, ConfigError("bad"), fails=[ConnectError("lost")], backoff=RestartBackoff(0.01, 0.01)
    )
    reach(connector, State.FAILED, 2)


@pytest.mark.parametrize("paused", [False, True])
def test_until_its_run_has_ended_it_is_stopping(started, paused):
    connector, _ = started()
    if paused:
        connector.pause()
    reach(connector, State.PAUSED if paused else State.RUNNING, 1)
    connector.pipeline.drained.clear()
    assert connector.restart()
    first = connector.status()
    # Told again, it is no further.
    assert connector.restart()
    assert (first.state, connector.status().since) == (State.STOPPING, first.since)
    connector.pipeline.drained.set()
    reach(connector, State.PAUSED if paused else State.RUNNING, 2)


def test_connectors_that_have_given_up_leave_the_callers_event_alone():
    document = source_file("localhost:9", "localhost:9", "orders", "orders", "group")
    runner = Runner(ConnectConfig.build(document))
    connector = Connector(Work(ConfigError("bad")), 1000, RestartBackoff())
    runner._slots = {("source", "in"): _Slot(connector, Turn(runner._stop))}
    stop = threading.Event()
    assert not runner.run(stop)
    assert not stop.is_set()
    # It ended for the connectors all the same.
    assert not connector.restart()


def test_a_reload_begins_those_anew_that_have_given_up():
    document = source_file("localhost:9", "localhost:9", "orders", "orders", "group")
    document |= {"sinks": sink_file("localhost:9", "localhost:9", "orders", "copy", "group")["sinks"]}
    config = ConnectConfig.build(document)
    runner = Runner(config)
    failed, other = (
        Connector(Work(*ends), 1000, RestartBackoff()) for ends in ([ConfigError("bad"), None], [None])
    )
    runner._slots = {
        ("source", "in"): _Slot(failed, Turn(runner._stop)),
        ("sink", "out"): _Slot(other, Turn(runner._stop)),
    }
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    reach(failed, State.FAILED, 1)
    runner.reload(config)
    reach(failed, State.RUNNING, 2)
    reach(other, State.RUNNING, 1)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_the_metrics_are_those_of_the_connectors_that_there_are():
    both = source_file("localhost:9", "localhost:9", "orders", "orders", "group")
    runner = Runner(ConnectConfig.build(both))
    registry = Reports(runner).registry()
    assert registry.get_sample_value("rivven_polls_total", {"connector": "in", "direction": "source"}) == 0
    both["sources"]["more"] = both["sources"].pop("in")
    other = Runner(ConnectConfig.build(both))
    runner._slots = other._slots
    assert registry.get_sample_value("rivven_polls_total", {"connector": "more", "direction": "source"}) == 0
    assert registry.get_sample_value("rivven_polls_total", {"connector": "in", "direction": "source"}) is None


def test_one_that_does_not_end_for_a_reload_is_replaced_when_it_has(monkeypatch):
    monkeypatch.setattr("rivven_kafka.runtime.runner._ABORT_AFTER_S", 0.1)
    monkeypatch.setattr("rivven_kafka.runtime.runner._ABANDON_AFTER_S", 0.2)
    document = source_file("localhost:9", "localhost:9", "orders", "orders", "group")
    config = ConnectConfig.build(document)
    document["sources"]["in"]["config"]["max_poll_records"] = 7
    changed = ConnectConfig.build(document)
    runner = Runner(config)
    stuck, successor = (Connector(Work(None), 100, RestartBackoff()) for _ in range(2))
    stuck.pipeline.drained.clear()
    key = ("source", "in")
    runner._slots = {key: _Slot(stuck, Turn(runner._stop))}
    monkeypatch.setattr(runner, "_make", lambda *_: _Slot(successor, Turn(runner._stop)))
    stop, ended = threading.Event(), []
    thread = threading.Thread(target=lambda: ended.append(runner.run(stop)))
    thread.start()
    reach(stuck, State.RUNNING, 1)
    runner.reload(changed)
    reach(stuck, State.FAILED, 1)
    # The same file again does not begin a second one beside it either.
    runner.reload(changed)
    time.sleep(0.5)
    assert runner._connectors == [stuck]
    stuck.pipeline.drained.set()
    reach(successor, State.RUNNING, 1)
    assert runner._connectors == [successor]
    stop.set()
    thread.join(30)
    assert ended == [True]


def test_the_rate_in_the_log_is_that_since_the_last_line(caplog):
    caplog.set_level(logging.INFO, "rivven_kafka.runtime.runner")

    def slots(**counts):
        made = {}
        for name, count in counts.items():
            connector = Connector(Work(), 1000, NEVER)
            connector.pipeline.delivered = lambda count=count: count
            made["source", name] = _Slot(connector, Turn(threading.Event()))
        return made

    rates = _Rates(100.0)
    lines = []
    for now_s, found in [
        (110.0, slots(a=1000)),
        # Another connector in its place, to which nothing has come.
        (120.0, slots(a=1000, b=50)),
        # A reload that took long.
        (170.0, slots(a=1500)),
        # One that is there again begins at zero.
        (180.0, slots(a=1500, b=20)),
        (190.0, slots(a=10, b=20)),
    ]:
        caplog.clear()
        rates.log(found, now_s)
        lines.append([record.getMessage() for record in caplog.records])
    assert lines == [
        ["delivered 1000 records, 100/s"],
        ["delivered 1000 records, 0/s", "delivered 50 records, 5/s"],
        ["delivered 1500 records, 10/s"],
        ["delivered 1500 records, 0/s", "delivered 20 records, 2/s"],
        ["delivered 10 records, 1/s", "delivered 20 records, 0/s"],
    ]


def test_a_successor_counts_on():
    document = source_file("localhost:9", "localhost:9", "orders", "orders", "group")
    config = ConnectConfig.build(document)
    runner = Runner(config)
    key = ("source", "in")
    before = runner._slots[key].connector
    before.pipeline.metrics.record_batch(5, 50)
    before.pipeline.observed.rebalanced()
    before.pause()
    after = runner._make(config, key, before).connector.status()
    assert (after.metrics.messages_consumed, after.rebalances, after.paused) == (5, 1, True)
