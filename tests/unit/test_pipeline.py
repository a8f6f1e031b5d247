"""Which error a run ends with when partitions stand still as well."""

import threading
import time

import pytest
from rivven_kafka._native import KafkaSinkMetrics
from rivven_kafka.errors import (
    ConfigError,
    ConnectError,
    ForeignWriterError,
    LogDamagedError,
    StalledError,
)
from rivven_kafka.pipeline.base import Pipeline


class Failing(Pipeline):
    """Ends with an error after its only partition was found to stand still."""

    def __init__(self, error):
        super().__init__("out", 100)
        self.metrics = KafkaSinkMetrics()
        self._failure = error

    def delivered(self):
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
