"""No two positions of a sink ever share a place in Kafka, whatever the names and however the topic grows."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka.pipeline import kafka_positions
from rivven_kafka.pipeline.kafka_positions import KafkaPositions, place, places

COUNTS = st.integers(1, 12)
PARTITIONS = st.integers(0, 60)
GROUPS = st.text(st.sampled_from("ab:/.14"), min_size=1, max_size=6)
TOPICS = st.from_regex(r"[a4][a4.1]{0,4}", fullmatch=True)


@given(COUNTS)
def test_all_partitions_have_a_place_of_their_own_in_kafkas_partitions(count):
    taken = [place("g", "t", partition, count) for partition in range(60)]
    assert len(set(taken)) == 60
    assert all(0 <= partition < count for _, partition in taken)


@given(GROUPS, TOPICS, PARTITIONS, COUNTS, GROUPS, TOPICS, PARTITIONS, COUNTS)
def test_different_partitions_never_meet(group, topic, partition, count, group2, topic2, partition2, count2):
    if (group, topic, partition) != (group2, topic2, partition2):
        assert place(group, topic, partition, count) != place(group2, topic2, partition2, count2)


@given(PARTITIONS, COUNTS)
def test_every_place_of_a_smaller_topic_is_looked_at_the_latest_first(partition, count):
    found = list(places("g", "t", partition, count))
    assert found[0] == place("g", "t", partition, count)
    assert list(dict.fromkeys(place("g", "t", partition, k) for k in range(count, 0, -1))) == found


def test_a_place_is_readable():
    assert place("my-group", "orders", 3, 4) == ("rivven-kafka:my-group:orders", 3)
    assert place("my-group", "orders", 9, 4) == ("rivven-kafka:my-group:orders/4.2", 1)


class Kafka:
    """Positions of Kafka groups, and how many places it was asked for."""

    def __init__(self, monkeypatch, partitions):
        self.stored = {}
        self.asked = 0
        topic = SimpleNamespace(partitions=partitions)
        monkeypatch.setattr(kafka_positions, "describe_topics", lambda *_: {"copy": topic})
        monkeypatch.setattr(kafka_positions, "group_names", lambda _: {group for group, _ in self.stored})
        monkeypatch.setattr(kafka_positions, "committed_offsets", self.committed)
        self.positions = KafkaPositions({}, {}, "id", "g", "copy", partitions)

    def committed(self, _, wanted, *, stable):
        found = {}
        for group, topic, partition in wanted:
            self.asked += 1
            if (group, partition) in self.stored:
                found[group, topic, partition] = self.stored[group, partition], ""
        return found


@pytest.mark.parametrize("count", [1, 3, 400])
def test_a_first_start_asks_for_one_place_for_each_partition(monkeypatch, count):
    kafka = Kafka(monkeypatch, count)
    assert kafka.positions.take_over([("t", partition) for partition in range(400)]) == {}
    assert kafka.asked == 2 * 400, "before and after others are fenced"


@given(PARTITIONS, COUNTS, st.dictionaries(COUNTS, st.integers(0, 9)), st.dictionaries(COUNTS, PARTITIONS))
def test_the_latest_of_all_places_that_exist_is_found(partition, count, stored, others):
    with pytest.MonkeyPatch.context() as monkeypatch:
        kafka = Kafka(monkeypatch, count)
        kafka.stored = {
            place("g", "t", other, older): 99 for older, other in others.items() if other != partition
        }
        # What was stored under a larger number is not looked at: topics do not shrink.
        stored = {older: offset for older, offset in stored.items() if older <= count}
        for older in sorted(stored):
            kafka.stored[place("g", "t", partition, older)] = stored[older]
        found = next(
            (kafka.stored[each] for each in places("g", "t", partition, count) if each in kafka.stored), None
        )
        assert kafka.positions.take_over([("t", partition)]) == (
            {} if found is None else {("t", partition): found}
        )


def test_the_session_is_kept_alive_before_each_holder_is_fenced(monkeypatch):
    kafka = Kafka(monkeypatch, 3)
    monkeypatch.setattr(
        kafka_positions,
        "committed_offsets",
        lambda _, wanted, **__: {each: (5, f"old-{each[2]}") for each in wanted},
    )
    fenced, beats = [], [True, False]
    monkeypatch.setattr(kafka_positions, "fence", lambda _, holder: fenced.append(holder))
    assert (
        kafka.positions.take_over([("t", partition) for partition in range(3)], lambda: beats.pop(0)) is None
    )
    assert fenced == ["old-0"], "none after the group has said no"


def test_sinks_do_not_lose_their_patience_at_the_same_time(monkeypatch):
    kafka, fenced, clock = Kafka(monkeypatch, 1), [], SimpleNamespace(now=0.0)
    monkeypatch.setattr(kafka_positions, "committed_offsets", lambda _, wanted, **__: {wanted[0]: (5, "old")})
    monkeypatch.setattr(kafka_positions, "fence", lambda *_: fenced.append(clock.now))
    for _ in range(100):
        clock.now = 0.0
        kafka.positions = KafkaPositions({}, {}, "id", "g", "copy", 1, 2.0, lambda: clock.now)
        while kafka.positions.take_over([("t", 0)]) is None:
            clock.now += 0.1
    assert 2 <= min(fenced) < 2.5
    assert 3.5 < max(fenced) < 4.2
