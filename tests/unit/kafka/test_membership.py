"""For how long a group counts a consumer as a member, by what kafka-python knows of its heartbeats and polls."""

import math
import threading
import time
from types import SimpleNamespace

import pytest
from kafka import errors as kafka_errors
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.coordinator.heartbeat import Heartbeat
from kafka.structs import MemberState
from rivven_kafka.errors import FencedError
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.kafka.errors import translate

SHARE = 0.9


def member(*, session_ms=10_000, poll_ms=300_000):
    """A consumer whose heartbeat was answered just now, and its coordinator."""
    coordinator = ConsumerCoordinator.__new__(ConsumerCoordinator)
    coordinator.config = {"group_instance_id": "bridge-1"}
    coordinator._lock = threading.RLock()
    coordinator.state = MemberState.STABLE
    coordinator.rejoining = False
    coordinator._heartbeat_enabled = True
    coordinator.heartbeat = Heartbeat(session_timeout_ms=session_ms, max_poll_interval_ms=poll_ms)
    coordinator.heartbeat.poll()
    coordinator.heartbeat.sent_heartbeat()
    coordinator.heartbeat.received_heartbeat()
    consumer = BlockConsumer.__new__(BlockConsumer)
    consumer._brokers = "kafka:9092"
    consumer._heard = -math.inf
    consumer._consumer = SimpleNamespace(_coordinator=coordinator, _manager=SimpleNamespace(refusal=None))
    return consumer, coordinator


def test_it_lasts_for_the_session_from_the_last_heartbeat_that_was_answered():
    consumer, coordinator = member()
    assert consumer.session_left_ms(SHARE) == pytest.approx(9_000, abs=500)
    coordinator.heartbeat.last_send -= 4
    coordinator.heartbeat.last_receive -= 4
    consumer._heard = -math.inf
    assert consumer.session_left_ms(SHARE) == pytest.approx(5_000, abs=500)
    coordinator.heartbeat.sent_heartbeat()
    assert consumer.session_left_ms(SHARE) == pytest.approx(5_000, abs=500), "has no answer yet"


def test_it_ends_when_there_was_no_poll_for_too_long():
    consumer, coordinator = member(session_ms=30_000, poll_ms=4_000)
    assert consumer.session_left_ms(SHARE) == pytest.approx(3_600, abs=500)
    coordinator.heartbeat.last_poll = time.monotonic() - 3.7
    assert consumer.session_left_ms(SHARE) == 0
    consumer.note_alive()
    assert consumer.session_left_ms(SHARE) == pytest.approx(3_600, abs=500)


@pytest.mark.parametrize("state", [MemberState.UNJOINED, MemberState.REBALANCING])
def test_who_is_no_member_has_no_time_left(state):
    consumer, coordinator = member()
    coordinator.state = state
    assert consumer.session_left_ms(SHARE) == 0


def test_who_was_replaced_has_no_time_left_and_is_told():
    consumer, coordinator = member()
    coordinator._heartbeat_enabled = False
    assert consumer.session_left_ms(SHARE) == 0
    with pytest.raises(FencedError, match="another process has the same group_instance_id: 'bridge-1'"):
        consumer.poll(0, 1)


def test_who_joins_again_was_not_replaced():
    consumer, coordinator = member()
    coordinator._heartbeat_enabled = False
    coordinator.rejoining = True
    assert consumer.session_left_ms(SHARE) == 0
    assert not consumer._is_replaced()


def test_a_refusal_because_of_the_instance_id_says_so():
    error = translate(kafka_errors.FencedInstanceIdError(), "cannot commit offsets to Kafka")
    assert isinstance(error, FencedError)
    assert str(error).endswith("; another process has the same group_instance_id")
    assert error.code == "FencedInstanceIdError"
