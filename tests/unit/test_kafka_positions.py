"""No two positions of a sink ever share a place in Kafka, whatever the names and however the topic grows."""

from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka.pipeline.kafka_positions import place, places

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
