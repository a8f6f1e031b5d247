"""Ids of Kafka topics: what is said where there is none."""

from types import SimpleNamespace

import pytest
from rivven_kafka.errors import ConfigError, UnknownTopicError
from rivven_kafka.pipeline.exactly_once import topic_id


def consumer(**ids):
    """One whose metadata have these topics."""
    return SimpleNamespace(topic_id=ids.get, knows=ids.__contains__)


def test_a_topic_that_is_gone_is_not_taken_for_an_old_kafka():
    assert topic_id(consumer(there="id"), "there") == "id"
    with pytest.raises(ConfigError, match=r"expected Kafka 2\.8 or later"):
        topic_id(consumer(there=None), "there")
    with pytest.raises(UnknownTopicError, match="'gone' does not exist any more"):
        topic_id(consumer(there="id"), "gone")
