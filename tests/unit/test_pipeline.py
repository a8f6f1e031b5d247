"""How a run ends: with which error when partitions stand still as well, and when a broker holds it."""

import threading
import time

import pytest
from rivven_kafka._native import KafkaSinkMetrics
from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import (
    ConfigError,
    ConnectError,
    ForeignWriterError,
    LogDamagedError,
    StalledError,
)
from rivven_kafka.pipeline import base
from rivven_kafka.pipeline.base import Pipeline


class Failing(Pipeline):
    """Ends with an error after its only partition was found to stand still."""

    def __init__(self, error):
        super().__init__("out", SecurityConfig(), 100, 1000, 1000)
        self.metrics = KafkaSinkMetrics()
        self._failure = error

    def delivered(self):
        return 0

    def delivered_bytes(self):
        return 0

    def _run(self, stop):
        self.watchdog.assign([("orders", 0)])
        deadline = time.monotonic() + 10
        while self.watchdog.error is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise self._failure

    def _stall_reason(self, partition):
        return "nothing is known"


@pytest.mark.parametrize("kind", [LogDamagedError, ForeignWriterError, ConfigError, KeyboardInterrupt])
def test_what_no_restart_mends_is_told_although_a_partition_is_stalled(kind):
    error = kind("the cause")
    with pytest.raises(kind) as raised:
        Failing(error).run(threading.Event())
    assert raised.value is error


@pytest.mark.parametrize("kind", [ConnectError, ValueError])
def test_what_tearing_it_out_of_a_wait_may_cause_is_not(kind):
    error = kind("the connection was closed")
    with pytest.raises(StalledError, match="nothing is known") as raised:
        Failing(error).run(threading.Event())
    assert raised.value.__cause__ is error


class Held(Pipeline):
    """Is in a call to Rivven that only ends when the connection is closed; later it opens another one."""

    def __init__(self, calls, stall_timeout_ms):
        super().__init__("out", SecurityConfig(), stall_timeout_ms, 10, 60_000)
        self.metrics = KafkaSinkMetrics()
        self._calls = calls

    def delivered(self):
        return 0

    def delivered_bytes(self):
        return 0

    def _run(self, stop):
        for _ in range(self._calls):
            closed = threading.Event()
            self._on_abort(closed.set)
            assert closed.wait(20), "nobody has closed the connection"

    def _stall_reason(self, partition):
        return ""


@pytest.mark.parametrize("stall_timeout_ms", [0, 60_000])
@pytest.mark.parametrize("calls", [1, 2])
def test_a_run_that_rivven_holds_ends_soon_after_its_stop(monkeypatch, stall_timeout_ms, calls):
    monkeypatch.setattr(base, "_OVERDUE_S", 0.2)
    monkeypatch.setattr(base, "_TEAR_EVERY_S", 0.1)
    stop = threading.Event()
    pipeline = Held(calls, stall_timeout_ms)
    thread = threading.Thread(target=pipeline.run, args=(stop,))
    thread.start()
    time.sleep(0.3)
    assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    # Only this run was torn out of its waits: the next one may wait again.
    assert not pipeline._is_aborted()


class Kept(Failing):
    """A call keeps its loop until it is let go."""

    def __init__(self):
        Pipeline.__init__(self, "out", SecurityConfig(), 0, 1000, 100)
        self.metrics = KafkaSinkMetrics()
        self.let_go = threading.Event()

    def _run(self, stop):
        self._set_assigned(True)
        self.watchdog.assign([])
        with self.watchdog.doing("Rivven does not answer the heartbeats of the group"):
            self.let_go.wait(30)
        self._set_waiting(None)
        stop.wait(30)


def test_a_call_that_keeps_the_loop_is_told_from_outside(monkeypatch):
    monkeypatch.setattr(base, "FRESH_S", 0.3)
    monkeypatch.setattr(base, "_JUDGE_EVERY_S", 0.05)
    pipeline, stop = Kept(), threading.Event()
    thread = threading.Thread(target=pipeline.run, args=(stop,), daemon=True)
    began = time.monotonic()
    thread.start()
    while pipeline.waiting is None:
        assert time.monotonic() < began + 10
        time.sleep(0.01)
    assert time.monotonic() - began >= 0.3
    assert pipeline.waiting[0] == "Rivven does not answer the heartbeats of the group"
    monkeypatch.setattr(pipeline, "_patience_s", 60)
    pipeline.let_go.set()
    while pipeline.waiting is not None:
        assert time.monotonic() < began + 20
        time.sleep(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
