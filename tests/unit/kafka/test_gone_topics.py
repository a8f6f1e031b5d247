"""Commits of topics that are deleted, through kafka-python's own loop of attempts."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError
from kafka.future import Future
from rivven_kafka.kafka.gone_topics import GoneTopics, LastOffsets

KEPT, LOST = TopicPartition("kept", 0), TopicPartition("lost", 0)


class Consumer:
    """What a consumer knows of topics, and a coordinator that refuses those that are deleted."""

    def __init__(self, metadata, deleted, timeout_ms=10_000):
        self.metadata, self.deleted = metadata, deleted
        self.sent, self.asked = [], 0
        self._cluster = SimpleNamespace(
            partitions_for_topic=lambda topic: {0} if topic in self.metadata else None,
            request_update=self.update,
        )
        self._coordinator = SimpleNamespace(
            config={"request_timeout_ms": timeout_ms, "retry_backoff_ms": 1},
            ensure_coordinator_ready_async=self.ready,
            _send_offset_commit_request=self.send,
            _manager=SimpleNamespace(call_soon=self.call_soon, wait_for=self.ready),
            _net=asyncio,
        )

    def update(self):
        """The metadata come when they were asked for twice."""
        self.asked += 1
        if self.asked == 2:
            self.metadata = self.metadata - self.deleted

    async def ready(self, *_, **__):
        pass

    async def send(self, offsets):
        self.sent.append(set(offsets))
        if any(tp.topic in self.deleted for tp in offsets):
            raise UnknownTopicOrPartitionError

    def call_soon(self, function, *args):
        future = Future()
        try:
            function(*args).send(None)
        except StopIteration as end:
            future.success(end.value)
        except Exception as error:
            future.failure(error)
        return future

    def commit(self, offsets):
        asyncio.run(ConsumerCoordinator._commit_offsets_sync_async(self._coordinator, offsets))


def warned(caplog):
    return [record.topic for record in caplog.records if record.levelno == logging.WARNING]


def test_the_last_offsets_go_without_a_topic_that_is_gone(caplog):
    consumer = Consumer({"kept"}, {"lost"})
    GoneTopics(consumer)
    consumer.commit(LastOffsets({KEPT: 1, LOST: 2}))
    assert consumer.sent == [{KEPT, LOST}, {KEPT}]
    assert warned(caplog) == ["lost"]


def test_metadata_that_are_behind_are_waited_for(caplog):
    consumer = Consumer({"kept", "lost"}, {"lost"})
    GoneTopics(consumer)
    consumer.commit(LastOffsets({KEPT: 1, LOST: 2}))
    assert consumer.sent == [{KEPT, LOST}, {KEPT, LOST}, {KEPT}]
    assert warned(caplog) == ["lost"]


def test_nothing_may_be_left():
    consumer = Consumer(set(), {"lost"})
    GoneTopics(consumer)
    consumer.commit(LastOffsets({LOST: 2}))
    assert consumer.sent == [{LOST}, set()]


def test_metadata_alone_leave_nothing_out():
    consumer = Consumer({"kept"}, set())
    GoneTopics(consumer)
    consumer.commit(LastOffsets({KEPT: 1, LOST: 2}))
    assert consumer.sent == [{KEPT, LOST}]


def test_other_commits_are_made_as_a_whole():
    consumer = Consumer({"kept"}, {"lost"}, timeout_ms=50)
    GoneTopics(consumer)
    with pytest.raises(KafkaTimeoutError):
        consumer.commit({KEPT: 1, LOST: 2})
    assert {frozenset(sent) for sent in consumer.sent} == {frozenset({KEPT, LOST})}


def test_a_topic_is_told_of_again_when_it_was_there_in_between(caplog):
    consumer = Consumer({"kept"}, {"lost"})
    gone = GoneTopics(consumer)
    assert gone.notice(["kept", "lost"]) == gone.notice(["lost"]) == {"lost"}
    assert warned(caplog) == ["lost"]
    consumer.metadata = {"kept", "lost"}
    assert gone.notice(["lost"]) == set()
    consumer.metadata = {"kept"}
    gone.notice(["lost"])
    assert warned(caplog) == ["lost"] * 2
