"""What is believed of answers about offsets, and what of kafka-python that rests on."""

import inspect

import pytest
from kafka import TopicPartition
from kafka.cluster import ClusterMetadata
from kafka.consumer.fetcher import Fetcher
from kafka.consumer.subscription_state import SubscriptionState
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import KafkaProtocolError
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.sasl import get_sasl_mechanism
from kafka.net.sasl.scram import ScramClient
from rivven_kafka.kafka.offset_answers import Resets, require_told
from rivven_kafka.kafka.scram import Scram

PLACE = TopicPartition("t", 0)


@pytest.fixture
def resets():
    errors = []
    made = Resets(errors.append)
    made.errors = errors
    return made


def test_retention_may_come_in_between(resets):
    for offset in (10, 20, 30):
        resets.lost(PLACE, offset - 10)
        assert resets.usable(PLACE, offset)
    assert resets.errors == []


def test_an_offset_that_is_named_and_not_held_is_believed_three_times(resets):
    resets.lost(PLACE, 5)
    for times in range(3):
        assert resets.errors == []
        assert resets.usable(PLACE, 70), times
        resets.lost(PLACE, 70)
    [error] = resets.errors
    assert "Kafka names offset 70 of t:0 to go on at, and does not hold it" in str(error)


def test_each_position_that_was_read_from_counts_anew(resets):
    for _ in range(5):
        assert resets.usable(PLACE, 70)
        resets.lost(PLACE, 70)
        resets.lost(PLACE, 75)
    assert resets.errors == []


def test_an_offset_below_zero_is_none(resets):
    assert not resets.usable(PLACE, -7)
    assert [str(error) for error in resets.errors] == [
        "KafkaProtocolError: Kafka names offset -7 of t:0 to go on at"
    ]


def test_every_partition_has_to_be_told_of():
    require_told([PLACE], {PLACE: None, TopicPartition("t", 1): None})
    with pytest.raises(KafkaProtocolError, match="does not tell of t:0"):
        require_told([PLACE], {TopicPartition("t", 1): None})


def test_committed_offsets_are_asked_for_and_read_in_two_steps():
    ask = inspect.getsource(ConsumerCoordinator._send_offset_fetch_request)
    assert "return self._handle_offset_fetch_response(response)" in ask
    assert "max_version=8" in ask
    read = inspect.getsource(ConsumerCoordinator._handle_offset_fetch_response)
    assert "group = response.groups[0]" in read
    assert "self._send_offset_fetch_request, partitions" in inspect.getsource(
        ConsumerCoordinator.fetch_committed_offsets_async
    )


def test_a_reset_is_asked_for_and_found_by_methods_that_can_be_replaced():
    assert list(inspect.signature(SubscriptionState.request_offset_reset).parameters)[1] == "partition"
    assert "self._reset_offset_if_needed(partition, ts, offset.offset)" in inspect.getsource(Fetcher)
    assert "exc, self._cached_list_offsets_exception" in inspect.getsource(Fetcher.reset_offsets_if_needed)


def test_whoever_asks_anybody_asks_the_least_loaded_node():
    assert "self._manager.least_loaded_node()" in inspect.getsource(ClusterMetadata._do_refresh_metadata)
    assert list(inspect.signature(KafkaConnectionManager.least_loaded_node).parameters) == ["self"]


@pytest.mark.parametrize("name", ScramClient.MECHANISMS)
def test_a_challenge_with_few_iterations_is_not_answered(name):
    assert get_sasl_mechanism(name) is Scram
    assert "mechanism.receive(auth_response.auth_bytes)" in inspect.getsource(
        KafkaConnection._sasl_authenticate
    )
    for rounds, enough in ((b"1", False), (b"4095", False), (b"+1", False), (b"1_0", False), (b"4096", True)):
        scram = Scram(sasl_plain_username="u", sasl_plain_password="p", sasl_mechanism=name)
        nonce = scram.auth_bytes().rpartition(b"r=")[2]
        challenge = b"r=%sx,s=c2FsdA==,i=%s" % (nonce, rounds)
        if enough:
            assert not scram.receive(challenge)
        else:
            with pytest.raises(ValueError, match="iterations: expected at least 4096"):
                scram.receive(challenge)
