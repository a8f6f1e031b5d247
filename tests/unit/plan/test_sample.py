"""Which parts of Kafka's partitions are read, and what is counted where reading fails."""

import pytest
from rivven_kafka._native import Survey, block_from_rows
from rivven_kafka.errors import BrokerError, TimeoutExpired
from rivven_kafka.kafka.inventory import PartitionFacts, TopicFacts
from rivven_kafka.plan import sample
from rivven_kafka.plan.plan import incoming_rates, to_copy
from rivven_kafka.plan.sample import SampleOptions, TopicSample, take_sample

from tests.unit.plan.test_judge import entry


def facts(name="t", *spans, stable=None):
    partitions = [
        PartitionFacts(1, 1, start=a, end=b, stable_end=b if stable is None else stable) for a, b in spans
    ]
    return {name: TopicFacts(name, None, tuple(partitions))}


class Kafka:
    """Stands for `read_between`: every offset has a record, but those in `gaps`."""

    def __init__(self, monkeypatch, *, gaps=(), aborted=(), error=None):
        self.gaps, self.aborted, self.error = gaps, aborted, error
        self.asked = []
        monkeypatch.setattr(sample, "read_between", self.read)

    def read(self, options, bounds, _timeout_s, _max_batch_bytes):
        self.asked.append((options["isolation_level"], dict(bounds)))
        hidden = self.aborted if options["isolation_level"] == "read_committed" else ()
        for (topic, partition), (start, end) in bounds.items():
            if self.error is not None and topic == self.error.topic:
                raise self.error
            for at in range(start, end):
                kept = at not in self.gaps and at not in hidden
                rows = [(0, b"k", b"1", [])] if kept else []
                block = block_from_rows(topic, partition, rows or [(0, None, None, [])], first_offset=at)
                yield block if kept else block.slice(1, 1)


def taken(topics, *, level="read_uncommitted", **options):
    surveys = {name: Survey(name) for name in topics}
    return take_sample(
        topics,
        surveys,
        {"isolation_level": level},
        SampleOptions(**options),
        timeout_s=5,
        max_batch_bytes=1 << 20,
    )


def test_small_partitions_are_read_whole(monkeypatch):
    kafka = Kafka(monkeypatch)
    found = taken(facts("t", (0, 60), (5, 5)), stretch=20).topics["t"]
    assert kafka.asked[0] == ("read_uncommitted", {("t", 0): (0, 60)})
    assert (found.count("records"), found.complete, found.share) == (60, True, 1.0)


def test_of_large_ones_end_beginning_and_middle(monkeypatch):
    kafka = Kafka(monkeypatch)
    monkeypatch.setattr(sample, "_LEAST_SECONDS", 0)
    found = taken(facts("t", (1000, 1100)), stretch=10).topics["t"]
    spans = [bounds["t", 0] for _, bounds in kafka.asked]
    assert spans == [(1090, 1100), (1000, 1010), (1045, 1055)]
    assert (found.count("records"), found.scanned, found.complete) == (30, 30, False)


def test_what_was_too_little_to_measure_is_continued(monkeypatch):
    kafka = Kafka(monkeypatch)
    found = taken(facts("t", (1000, 1100)), stretch=10).topics["t"]
    assert kafka.asked[-1][1] == {("t", 0): (1010, 1045)}
    assert found.scanned == 65


def test_full_reads_everything_once(monkeypatch):
    kafka = Kafka(monkeypatch)
    assert taken(facts("t", (0, 500)), full=True).topics["t"].complete
    assert [bounds for _, bounds in kafka.asked] == [{("t", 0): (0, 500)}]


@pytest.mark.parametrize("level", ["read_uncommitted", "read_committed"])
def test_aborted_records_are_what_the_isolation_levels_differ_in(monkeypatch, level):
    Kafka(monkeypatch, gaps=(4, 9), aborted=(1, 2, 3))
    found = taken(facts("t", (0, 20)), level=level).topics["t"]
    assert found.aborted == 3
    assert found.gaps == (5 if level == "read_committed" else 2)
    assert found.density == {0: (20 - found.gaps) / 20}


def test_without_gaps_nothing_is_read_twice(monkeypatch):
    kafka = Kafka(monkeypatch)
    taken(facts("t", (0, 20)))
    assert len(kafka.asked) == 1


def test_an_open_transaction_is_not_waited_for(monkeypatch):
    kafka = Kafka(monkeypatch)
    found = taken(facts("t", (0, 20), stable=15), level="read_committed", full=True).topics["t"]
    assert kafka.asked[0][1] == {("t", 0): (0, 15)}
    assert (found.offsets, found.scanned, found.unsettled, found.complete) == (20, 15, 5, False)
    found = taken(facts("t", (0, 20), stable=15)).topics["t"]
    assert (found.offsets, found.scanned, found.unsettled, found.complete) == (20, 20, 0, True)


def test_a_topic_that_cannot_be_read_takes_no_other_along(monkeypatch):
    Kafka(monkeypatch, error=BrokerError("the batch does not match its checksum", topic="b"))
    topics = facts("a", (0, 5)) | facts("b", (0, 5)) | facts("c", (0, 5))
    found = taken(topics).topics
    assert [found[name].count("records") for name in "abc"] == [5, 0, 5]
    assert "checksum" in found["b"].unreadable
    assert found["a"].unreadable is found["c"].unreadable is None


@pytest.mark.parametrize("full", [True, False])
def test_what_does_not_answer_cannot_be_read_and_takes_no_other_along(monkeypatch, full):
    Kafka(monkeypatch, error=TimeoutExpired("nothing came", topic="b"))
    found = taken(facts("a", (0, 5)) | facts("b", (0, 5)) | facts("c", (0, 5)), full=full).topics
    assert [found[name].count("records") for name in "abc"] == [5, 0, 5]
    assert (found["b"].unreadable, found["b"].complete) == ("nothing came [b]", False)
    assert found["a"].unreadable is found["c"].unreadable is None


@pytest.mark.parametrize("full", [True, False])
def test_kafka_that_does_not_go_on_ends_a_sample_and_spoils_a_full_reading(monkeypatch, full):
    def read(_options, bounds, *_limits):
        [((topic, partition), (start, _))] = bounds.items()
        yield block_from_rows(topic, partition, [(0, b"k", b"1", [])], first_offset=start)
        raise TimeoutExpired("nothing came", topic=topic)

    monkeypatch.setattr(sample, "read_between", read)
    found = taken(facts("t", (0, 5)), full=full).topics["t"]
    assert (found.unreadable is None, found.complete, found.scanned) == (not full, False, 1)


def test_each_partition_has_its_share_of_what_is_kept(monkeypatch):
    Kafka(monkeypatch)
    monkeypatch.setattr(sample, "_KEPT_RECORDS", 20)
    kept = taken(facts("t", (0, 50), (0, 50))).kept
    assert [sum(len(block) for block in kept if block.partition == n) for n in (0, 1)] == [10, 10]


def test_what_is_to_be_copied_begins_at_the_position():
    found = TopicSample(offsets=300, scanned=300, density={0: 0.5, 1: 1.0})
    spans = [PartitionFacts(1, 1, start=0, end=100, stable_end=100)] * 3
    topic = TopicFacts("t", None, tuple(spans), committed={1: 40})
    assert to_copy(entry(), topic, found) == [50, 60, 75]
    assert to_copy(entry(start_offset="latest"), topic, found) == [0, 60, 0]


def test_what_loop_protection_leaves_out_is_told_apart_from_filters():
    keep = '[{"type": "filter", "config": {"field": "data", "equals": "b"}}]'
    rows = [(0, None, value, []) for value in (b"b", b"c")]
    back = [("rivven_kafka_via", b"rivven:eu/copy")]
    survey = Survey("copy", transforms=keep, loop_protection=("kafka:k", "rivven:eu"))
    survey.add(block_from_rows("t", 0, [*rows, (0, None, b"b", back)]))
    totals = survey.totals()
    assert (totals["published"], totals["left_out"], totals["echoes"]) == (1, 2, 1)


def test_rates_are_those_of_the_last_hour_and_day():
    each = PartitionFacts(1, 1, since_hour=1800, since_day=86_400)
    assert incoming_rates(TopicFacts("t", None, (each, each))) == (1.0, 2.0)
