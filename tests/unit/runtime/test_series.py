"""What is not known has no sample, and what is known has one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from rivven_kafka._native import KafkaSourceMetrics
from rivven_kafka.pipeline.lag import Lag
from rivven_kafka.runtime.connector import ConnectorStatus, State
from rivven_kafka.runtime.distribution import Distribution
from rivven_kafka.runtime.series import PREFIX, SERIES, StatusCollector

NOW = datetime.now(UTC)
STATUS = ConnectorStatus(
    name="in",
    direction="source",
    state=State.RUNNING,
    since=NOW,
    events_processed=0,
    last_error=None,
    restarts=0,
    next_restart=None,
    waiting_for=None,
    metrics=KafkaSourceMetrics().snapshot(),
    answered=True,
)
LEVEL, BEHIND = Lag("t", 0, 5, 5, True, 0.0), Lag("t", 1, 5, 9, True, 2.5, 4)
UNKNOWN, STALE = Lag("t", 2, None, 9), Lag("t", 3, 5, 5, False)
STALE_AND_BEHIND = Lag("t", 4, 5, 9, False, 90.0)


def samples(status):
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: [status]))
    return {
        (sample.name.removeprefix(PREFIX), *list(sample.labels.values())[2:]): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("state", "answered", "lag", "expected"),
    [
        (State.RUNNING, True, [LEVEL], True),
        (State.PAUSED, True, [LEVEL, LEVEL], True),
        (State.RUNNING, True, [LEVEL, BEHIND], False),
        (State.RUNNING, True, [LEVEL, UNKNOWN], None),
        (State.RUNNING, True, [LEVEL, STALE], None),
        (State.RUNNING, True, [BEHIND, STALE], False),
        (State.RUNNING, True, [STALE_AND_BEHIND], False),
        (State.RUNNING, True, [], None),
        (State.RUNNING, False, [LEVEL], None),
        (State.WAITING, True, [LEVEL], None),
        (State.WAITING, False, [BEHIND], False),
        (State.STOPPING, True, [LEVEL], None),
        (State.RESTARTING, False, [], None),
    ],
)
def test_caught_up_is_true_only_when_all_is_known(state, answered, lag, expected):
    status = replace(STATUS, state=state, answered=answered, lag=tuple(lag))
    assert status.caught_up is expected
    assert samples(status).get(("caught_up",)) == (None if expected is None else float(expected))


def test_partitions_have_the_series_that_are_known():
    seen = samples(replace(STATUS, lag=(LEVEL, BEHIND, UNKNOWN, STALE, STALE_AND_BEHIND)))
    assert {key[2]: value for key, value in seen.items() if key[0] == "lag_records"} == {"0": 0, "1": 4}
    assert {key[2]: value for key, value in seen.items() if key[0] == "lag_seconds"} == {
        "0": 0,
        "1": 2.5,
        "4": 90,
    }
    assert {key[2]: value for key, value in seen.items() if key[0] == "committed_offset"} == {"1": 4}
    assert {key[2]: value for key, value in seen.items() if key[0] == "delivered_offset"} == {
        "0": 5,
        "1": 5,
        "3": 5,
        "4": 5,
    }


def test_times_that_are_not_known_have_no_series():
    names = {key[0] for key in samples(STATUS)}
    for name in ("last_progress_timestamp_seconds", "token_expiry_timestamp_seconds"):
        assert name not in names
    seen = samples(replace(STATUS, last_progress=NOW, token_expiry=17.0))
    assert seen["last_progress_timestamp_seconds",] == NOW.timestamp()
    assert seen["token_expiry_timestamp_seconds",] == 17


def test_reasons_and_ranges_are_labels():
    latency = Distribution((0.5, 1.0), (3, 0, 1), 4.5)
    seen = samples(replace(STATUS, dead_letters={"format": 2}, skipped={"filtered": 3}, latency=latency))
    assert (seen["dead_letters_total", "format"], seen["skipped_total", "filtered"]) == (2, 3)
    assert [seen["end_to_end_latency_seconds_bucket", le] for le in ("0.5", "1.0", "+Inf")] == [3, 3, 4]
    assert seen["end_to_end_latency_seconds_sum",] == 4.5


def test_every_series_is_there_or_absent_by_its_value_alone():
    full = replace(
        STATUS,
        lag=(BEHIND,),
        last_progress=NOW,
        token_expiry=17.0,
        dead_letters={"other": 0},
        skipped={"other": 0},
        latency=Distribution((1.0,), (0, 0), 0.0),
    )
    names = {key[0] for key in samples(full)}
    for series in SERIES:
        suffix = {"counter": "_total", "histogram": "_count", "gauge": ""}[series.kind]
        assert series.name + suffix in names
