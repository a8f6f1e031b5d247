"""What `LogEnds` takes from kafka-python, and what it makes of it."""

import inspect
from types import SimpleNamespace

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.cluster import ClusterMetadata
from kafka.consumer.fetcher import Fetcher
from kafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from kafka.future import Future
from kafka.net.manager import KafkaConnectionManager
from kafka.structs import OffsetAndTimestamp
from rivven_kafka.kafka.log_ends import LogEnds

LEADERS = {TopicPartition("t", 0): 1, TopicPartition("t", 1): 1, TopicPartition("t", 2): 2}


class Kafka:
    """What of a consumer is looked at; questions are answered by the test."""

    def __init__(self, isolation_level="read_uncommitted"):
        self.config = {"isolation_level": isolation_level}
        self.asked = []
        self._cluster = SimpleNamespace(leader_for_partition=LEADERS.get)
        self._manager = SimpleNamespace(call_soon=self._call)
        self._fetcher = SimpleNamespace(_fetch_offsets_by_times_async="offsets by times")
        self._subscription = SimpleNamespace(
            assignment={tp: SimpleNamespace(highwater=None) for tp in LEADERS}
        )

    def _call(self, function, wanted, timeout_ms):
        assert (function, timeout_ms) == ("offsets by times", 1_000)
        future = Future()
        self.asked.append((wanted, future))
        return future


def ends_of(kafka):
    return LogEnds(SimpleNamespace(_consumer=kafka), 1_000)


def answer(question, **offsets):
    wanted, future = question
    future.success({tp: OffsetAndTimestamp(offsets[f"p{tp.partition}"], -1, -1) for tp in wanted})


def test_kafka_python_is_as_before():
    assert list(inspect.signature(Fetcher._fetch_offsets_by_times_async).parameters) == [
        "self",
        "timestamps",
        "timeout_ms",
    ]
    assert inspect.iscoroutinefunction(Fetcher._fetch_offsets_by_times_async)
    source = inspect.getsource(KafkaConsumer.__init__)
    for attribute in ("_cluster", "_manager", "_fetcher", "_subscription"):
        assert f"self.{attribute} =" in source
    assert list(inspect.signature(KafkaConnectionManager.call_soon).parameters) == ["self", "coro", "args"]
    assert list(inspect.signature(ClusterMetadata.leader_for_partition).parameters) == ["self", "partition"]
    assert TopicPartitionState().highwater is None
    assert TopicPartitionState().position is None
    assert "self.assignment" in inspect.getsource(SubscriptionState.__init__)


def test_each_leader_is_asked_for_its_own_and_not_again_before_it_answers():
    kafka = Kafka()
    ends = ends_of(kafka)
    partitions = [("t", number) for number in range(4)]
    ends.ask(partitions)
    assert [sorted(tp.partition for tp in wanted) for wanted, _ in kafka.asked] == [[0, 1], [2]]
    assert {time for wanted, _ in kafka.asked for time in wanted.values()} == {-1}
    ends.ask(partitions)
    assert len(kafka.asked) == 2
    answer(kafka.asked[0], p0=5, p1=7)
    assert ends.news() == {("t", 0): 5, ("t", 1): 7}
    assert ends.news() == {}
    kafka.asked[1][1].failure(TimeoutError())
    ends.ask(partitions)
    assert len(kafka.asked) == 4
    assert not ends.has_leader("t", 3)


@pytest.mark.parametrize("isolation_level", ["read_uncommitted", "read_committed"])
def test_watermarks_are_news_when_they_change_unless_records_before_them_are_held_back(isolation_level):
    kafka = Kafka(isolation_level)
    ends = ends_of(kafka)
    state = kafka._subscription.assignment[TopicPartition("t", 0)]
    state.highwater = 9
    expected = {("t", 0): 9} if isolation_level == "read_uncommitted" else {}
    assert ends.news() == expected
    assert ends.news() == {}
    ends.ask([("t", 0)])
    answer(kafka.asked[0], p0=7)
    assert ends.news() == {("t", 0): 7}
