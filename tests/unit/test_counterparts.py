"""How often Kafka is asked whether the topic of a sink has grown."""

from types import SimpleNamespace

import pytest
from rivven_kafka.config import Partitioning
from rivven_kafka.errors import DeliveryError
from rivven_kafka.pipeline import counterparts
from rivven_kafka.pipeline.counterparts import Counterparts


class Kafka:
    """A topic with two partitions, a clock, and how often it was asked for."""

    def __init__(self, monkeypatch):
        self.partitions, self.asked, self.now = 2, 0, 100.0
        monkeypatch.setattr(counterparts, "find_topic", self.find)
        monkeypatch.setattr(counterparts, "time", SimpleNamespace(monotonic=lambda: self.now))

    def find(self, *_):
        self.asked += 1
        return SimpleNamespace(partitions=self.partitions)


@pytest.fixture
def kafka(monkeypatch):
    return Kafka(monkeypatch)


def sink(partitioning=Partitioning.PRESERVE):
    return Counterparts(SimpleNamespace(effective_partitioning=partitioning, topic="copy"), "sink", 2)


def block(partition):
    return SimpleNamespace(topic="orders", partition=partition, first_offset=7)


def test_kafka_is_asked_once_a_second_for_all_partitions_that_it_does_not_have(kafka):
    known = sink()
    known.starts()
    for asked in range(1, 4):
        for partition in range(40):
            known.require(block(partition))
        assert kafka.asked == asked
        kafka.now += 1.1


def test_the_first_block_of_an_assignment_finds_what_has_grown_before_it(kafka):
    known = sink()
    known.starts()
    known.require(block(5))
    kafka.partitions = 6
    known.require(block(5))
    known.starts()
    with pytest.raises(DeliveryError, match="from 2 to 6"):
        known.require(block(5))


@pytest.mark.parametrize("partitioning", [each for each in Partitioning if each is not Partitioning.PRESERVE])
def test_other_partitioning_needs_no_counterparts(kafka, partitioning):
    known = sink(partitioning)
    known.starts()
    known.require(block(5))
    assert kafka.asked == 0
