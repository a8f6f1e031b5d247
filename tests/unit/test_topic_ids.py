"""Ids of Kafka topics: what is said where there is none, and what becomes of a topic that has another one."""

from types import SimpleNamespace

import pytest
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import BrokerError, ConfigError, UnknownTopicError
from rivven_kafka.pipeline import SourcePipeline
from rivven_kafka.pipeline.exactly_once import topic_id
from rivven_kafka.pipeline.guarantee import AtLeastOnce
from rivven_kafka.pipeline.topic_ids import TopicIds


def consumer(**ids):
    """One whose metadata have these topics."""
    return SimpleNamespace(topic_id=ids.get, knows=ids.__contains__)


def test_a_topic_that_is_gone_is_not_taken_for_an_old_kafka():
    assert topic_id(consumer(there="id"), "there") == "id"
    with pytest.raises(ConfigError, match=r"expected Kafka 2\.8 or later"):
        topic_id(consumer(there=None), "there")
    with pytest.raises(UnknownTopicError, match="'gone' does not exist any more"):
        topic_id(consumer(there="id"), "gone")


class Source:
    """A source at least once of one topic, without brokers: its runs begin, and look at the ids of topics."""

    def __init__(self):
        self.id = "old"
        self.committed, self.refuse = [], False
        config = ConnectConfig.model_validate(
            {
                "broker": {"bootstrap_servers": ["127.0.0.1:1"]},
                "sources": {
                    "in": {"connector": "kafka", "topic": "copy", "config": {"brokers": "b:1", "topic": "t"}}
                },
            }
        )
        self.pipeline = SourcePipeline("in", config.sources["in"], config.broker, config.settings)

    def begin(self):
        """As a run does before it reads."""
        pipeline = self.pipeline
        pipeline._begin()
        pipeline._commits = SimpleNamespace(disown=lambda _: None)
        pipeline._destinations = SimpleNamespace(kafka_topics=lambda: ["t"])
        pipeline._topic_ids = TopicIds(self, pipeline._known_ids)
        pipeline._topic_ids.note(["t"])
        pipeline._guarantee = AtLeastOnce(self)

    def assign(self, *partitions):
        self.pipeline._guarantee.assigned(partitions)
        self.pipeline._set_assigned(True)

    def look(self):
        self.pipeline._look_at_all_topics()

    def topic_id(self, _):
        return self.id

    def commit(self, positions, _):
        if self.refuse:
            raise BrokerError("the group has changed")
        self.committed += positions


def test_a_topic_that_was_made_again_is_started_over():
    source = Source()
    source.begin()
    source.assign(("t", 0), ("t", 1))
    source.look()
    source.id = "new"
    with pytest.raises(UnknownTopicError, match="'t' was deleted and created again"):
        source.look()
    assert source.committed == [("t", 0, 0, ""), ("t", 1, 0, "")]
    source.begin()
    source.look()


def test_a_run_starts_a_topic_over_that_the_one_before_could_not():
    source = Source()
    source.begin()
    source.assign(("t", 0))
    source.id, source.refuse = "new", True
    with pytest.raises(BrokerError, match="the group has changed"):
        source.look()
    source.refuse = False
    source.begin()
    source.assign(("t", 0))
    with pytest.raises(UnknownTopicError):
        source.look()
    assert source.committed == [("t", 0, 0, "")]
    source.begin()
    source.assign(("t", 0))
    source.look()


def test_a_topic_is_not_started_over_between_two_assignments():
    source = Source()
    source.begin()
    source.assign(("t", 0))
    source.pipeline._guarantee.forget([("t", 0)], lost=False)
    source.pipeline._set_assigned(False)
    source.id = "new"
    source.look()
    source.assign(("t", 0))
    with pytest.raises(UnknownTopicError):
        source.look()
    assert source.committed == [("t", 0, 0, "")]
