"""`rivven-kafka offsets translate`: who goes on at the answer reads what would have come in Kafka."""

import json
import time
from contextlib import closing

import pytest
import yaml
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import ConfigError, RivvenKafkaError, UnknownTopicError
from rivven_kafka.offsets import copied

from tests.integration.connector_kit import NOW, filled, rows_of
from tests.integration.offset_kit import Copy, in_process
from tests.integration.pipelines import Running, rivven_records
from tests.support import KafkaBroker
from tests.support.connector import wait_until
from tests.support.topics import Row, TopicWriter, create_topic, fill

pytestmark = pytest.mark.integration


def offsets_from(copy, partition, rivven_offset):
    """The Kafka offsets that a reader in Rivven gets."""
    return [at[2] for at in copy.copied()[partition][rivven_offset:] if at is not None]


def assert_every_offset_exact(copy, partition, isolation_level="read_uncommitted"):
    """For each offset, going on in Rivven gives what going on in Kafka would have given."""
    there = copy.in_kafka(partition, isolation_level)
    in_rivven = [at[2] for at in copy.copied()[partition]]
    asked = range(there[-1] + 2)
    found = copy.translate(*(f"{copy.origin}:{partition}@{offset}" for offset in asked))
    for offset, one in zip(asked, found, strict=True):
        expected = [each for each in there if each >= offset]
        assert in_rivven[one.rivven_offset :] == expected, one
        assert (one.status, one.again) == ("exact", 0), one
        assert one.next_kafka_offset == (expected[0] if expected else None)


def test_gaps_of_transactions_lead_to_the_next_record(kafka, rivven, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    options = {
        "bootstrap_servers": kafka.bootstrap,
        "transactional_id": f"w-{name}",
        "metrics_enabled": False,
    }
    with closing(KafkaProducer(**options)) as producer:
        producer.init_transactions()
        for commit in (True, False, True, False, False, True):
            producer.begin_transaction()
            for number in range(3):
                producer.send(name, b'{"n": %d}' % number)
            producer.flush()
            producer.commit_transaction() if commit else producer.abort_transaction()
    copy = Copy(kafka.bootstrap, rivven.bootstrap, name, isolation_level="read_committed")
    copy.run(9)
    assert copy.in_kafka(0, "read_committed") == [0, 1, 2, 8, 9, 10, 20, 21, 22]
    assert_every_offset_exact(copy, 0, "read_committed")
    # Behind the last marker, and behind the end of the partition.
    [end, beyond] = copy.translate(f"{name}:0@24", f"{name}:0@25")
    assert (end.rivven_offset, end.status) == (9, "exact"), "nothing of Kafka lies between"
    assert (beyond.rivven_offset, beyond.status) == (9, "not copied yet")


def test_gaps_of_compaction_lead_to_the_next_record(rivven, topic_name):
    name = topic_name()
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": 300,
        "min.cleanable.dirty.ratio": 0.01,
        "max.compaction.lag.ms": 100,
    }
    with KafkaBroker(properties={"log.cleaner.backoff.ms": 100}) as kafka:
        create_topic(kafka.bootstrap, name, 1, **settings)
        copy = Copy(kafka.bootstrap, rivven.bootstrap, name)
        with TopicWriter(kafka.bootstrap, name, 1) as writer:
            for step in range(4):
                writer.write(0, [Row(-1, b"k%d" % (n * (step + 1) % 7), b"{}", []) for n in range(10)])
                writer.flush()
                time.sleep(0.4)
            writer.write(0, [Row(-1, b"last", b"{}", [])])

        def is_compacted():
            before = copy.in_kafka(0)
            time.sleep(0.5)
            return len(before) < 25 and copy.in_kafka(0) == before

        wait_until(is_compacted, 30)
        copy.run(len(copy.in_kafka(0)))
        there = copy.in_kafka(0)
        assert there[-1] == 40
        # Kafka may have compacted once more since.
        held = offsets_from(copy, 0, 0)
        assert len(held) < 30
        for offset, one in enumerate(copy.translate(*(f"{name}:0@{offset}" for offset in range(41)))):
            expected = [each for each in held if each >= offset]
            assert offsets_from(copy, 0, one.rivven_offset) == expected
            assert (one.status, one.next_kafka_offset) == ("exact", expected[0])


def test_of_records_that_came_twice_the_last_ones_count(kafka, rivven, topic_name, monkeypatch):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 30))
    copy.run(30)
    copy.publish(0, [b"hello", b'{"metadata": {"position": "other:0:7"}}'])
    # What a crash does: the records behind the last commit come again.
    copy.commit(copy.group, {0: 20})
    copy.run(10)
    held = copy.copied()[0]
    assert [at[2] for at in held if at] == [*range(30), 7, *range(20, 30)]
    places = [f"{copy.origin}:0@{offset}" for offset in range(31)]
    found = copy.translate(*places)
    for offset, one in enumerate(found[:20]):
        assert (one.rivven_offset, one.status, one.again) == (offset, "exact", 0)
    for offset, one in enumerate(found[20:30], 20):
        assert (one.rivven_offset, one.status) == (12 + offset, "exact")
    assert (found[30].rivven_offset, found[30].status) == (42, "exact")
    assert {one.method for one in found} == {"scan"}

    # Records that come late, as from a repair, are read again by who has read them.
    late = rivven_value(copy, 5)
    copy.publish(0, [late])
    [one] = copy.translate(f"{copy.origin}:0@25")
    assert (one.rivven_offset, one.status, one.again) == (37, "read again", 1)

    # Searching gives the same, or gives way to reading all.
    monkeypatch.setattr(copied, "_SEARCHED", 1)
    monkeypatch.setattr(copied, "_TAIL", 5)
    searched = copy.translate(*places)
    assert [one.rivven_offset for one in searched] == [
        one.rivven_offset for one in copy.translate(*places, scan=True)
    ]


def rivven_value(copy, offset):
    with closing(RivvenClient([copy.rivven])) as client:
        return client.fetch(copy.topic, 0, offset, 1).values()[0]


def test_a_long_log_is_searched(kafka, rivven, topic_name, monkeypatch):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 300))
    copy.run(300)
    monkeypatch.setattr(copied, "_SEARCHED", 100)
    monkeypatch.setattr(copied, "_TAIL", 10)
    for offset in (0, 1, 150, 299, 300):
        [one] = copy.translate(f"{copy.origin}:0@{offset}")
        assert (one.rivven_offset, one.status, one.method) == (offset, "exact", "search")
    [one] = copy.translate(f"{copy.origin}:0@150", scan=True)
    assert (one.rivven_offset, one.method) == (150, "scan")


@pytest.mark.parametrize(
    "options", [{"ordering": "key"}, {"partitioning": "key"}, {"partitioning": "key", "ordering": "key"}]
)
def test_out_of_order_nothing_is_left_out_and_no_more_than_needed_comes_again(
    kafka, rivven, topic_name, options
):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 60, 60), **options)
    copy.document["sources"]["in"]["topic_config"] = {"partitions": 3}
    copy.run(120)
    held = copy.copied()
    assert sum(map(len, held.values())) == 120
    places = [f"{copy.origin}:{partition}@{offset}" for partition in (0, 1) for offset in range(0, 60, 7)]
    for one in copy.translate(*places):
        log = held[one.rivven_partition]
        mine = [
            (at, each[2]) for at, each in enumerate(log) if each[:2] == (copy.origin, one.kafka_partition)
        ]
        wanted = [at for at, offset in mine if offset >= one.kafka_offset]
        assert one.rivven_offset == min(wanted, default=len(log))
        again = sum(at >= one.rivven_offset and offset < one.kafka_offset for at, offset in mine)
        assert (one.again, one.status) == (again, "read again" if again else "exact")


def test_times_are_those_of_kafka_there_and_of_rivven_here(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 20))
    copy.run(20)
    before = int(time.time() * 1000) + 1
    time.sleep(0.01)
    fill(kafka.bootstrap, copy.origin, {0: rows_of(0, range(20, 25))})
    copy.run(5)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime((NOW + 1999) // 1000))
    asked = [
        f"{copy.origin}:0@ms:{NOW + 7}",
        f"{copy.origin}:0@ms:{NOW + 10_000_000}",
        f"{copy.origin}:0@{text}Z",
    ]
    found = copy.translate(*asked)
    assert [(one.kafka_offset, one.rivven_offset) for one in found[:2]] == [(7, 7), (25, 25)]
    with closing(KafkaConsumer(bootstrap_servers=kafka.bootstrap)) as consumer:
        tp = TopicPartition(copy.origin, 0)
        there = consumer.offsets_for_times({tp: (NOW + 1999) // 1000 * 1000})[tp]
    assert found[2].kafka_offset == (25 if there is None else there.offset)
    [here] = copy.translate(f"{copy.topic}:0@ms:{before}", origin="rivven")
    assert (here.rivven_offset, here.kafka_offset) == (20, 20)


def test_the_way_back(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 3, 4))
    copy.run(7)
    copy.publish(1, [b"hello"])
    copy.commit(copy.group, {1: 2})
    copy.run(2)
    places = [f"{copy.topic}:1@{offset}" for offset in (0, 3, 4, 5, 6, 7)]
    found = copy.translate(*places, origin="rivven")
    assert [(one.rivven_offset, one.kafka_offset) for one in found] == [
        (0, 0),
        (3, 3),
        (5, 2),
        (5, 2),
        (6, 3),
        (7, None),
    ]
    assert {(one.kafka_topic, one.kafka_partition) for one in found[:-1]} == {(copy.origin, 1)}
    assert found[-1].status == "nothing there"


def test_what_is_not_copied_is_said(kafka, rivven, topic_name):
    name = filled(kafka, topic_name(), 10)
    copy = Copy(kafka.bootstrap, rivven.bootstrap, name, start_offset="latest")
    with_tail = {0: rows_of(0, range(10, 15))}
    with Running(copy.document) as running:
        wait_until(lambda: running.pipeline.assigned_since is not None, 30, running.describe)
        time.sleep(0.5)
        fill(kafka.bootstrap, name, with_tail)
        wait_until(lambda: running.pipeline.delivered() >= 5, 30, running.describe)
    fill(kafka.bootstrap, name, {0: rows_of(0, range(15, 18))})
    found = copy.translate(*(f"{name}:0@{offset}" for offset in (3, 10, 15, 17)))
    assert [(one.rivven_offset, one.status) for one in found] == [
        (0, "missing in Rivven"),
        (0, "exact"),
        (5, "exact"),
        (5, "not copied yet"),
    ]


def test_only_what_a_filter_leaves_out_is_not_missing(kafka, rivven, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    values = [b'{"keep": %s}' % (b"true" if n % 4 else b"false") for n in range(12)]
    fill(kafka.bootstrap, name, {0: [Row(NOW, None, value, []) for value in values]})
    copy = Copy(kafka.bootstrap, rivven.bootstrap, name)
    keeping = [{"type": "filter", "config": {"field": "data.keep", "equals": "true"}}]
    copy.document["sources"]["in"]["transforms"] = keeping
    copy.run(9)
    assert offsets_from(copy, 0, 0) == [n for n in range(12) if n % 4]
    [next_left_out] = copy.translate(f"{name}:0@4")
    assert (next_left_out.rivven_offset, next_left_out.status) == (3, "exact")
    # The same without offset 6, which the filter lets through.
    lossy = Copy(kafka.bootstrap, rivven.bootstrap, name)
    lossy.document["sources"]["in"]["transforms"] = keeping
    lossy.topic = lossy.document["sources"]["in"]["topic"] = f"{name}-lossy"
    records = rivven_records(rivven.bootstrap, copy.topic)[0]
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(lossy.topic, 1)
        client.publish(lossy.topic, 0, records[:4] + records[5:])
    [lost, before] = lossy.translate(f"{name}:0@6", f"{name}:0@5")
    assert (lost.rivven_offset, lost.status) == (4, "missing in Rivven")
    assert (before.rivven_offset, before.status) == (3, "exact"), "only the next record is looked at"


def test_raw_values_are_counted_and_compared(kafka, rivven, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    rows = [Row(NOW, b"k", None if n % 5 == 3 else b"same", []) for n in range(20)]
    fill(kafka.bootstrap, name, {0: rows})
    copy = Copy(kafka.bootstrap, rivven.bootstrap, name, value_format="raw", on_tombstone="skip")
    copy.run(16)
    kept = [n for n in range(20) if n % 5 != 3]
    for offset, one in enumerate(copy.translate(*(f"{name}:0@{offset}" for offset in range(21)))):
        assert one.rivven_offset == sum(n < offset for n in kept)
        assert (one.status, one.method) == ("exact", "paired")
    [one] = copy.translate(f"{copy.topic}:0@7", origin="rivven")
    assert (one.kafka_offset, one.method) == (kept[7], "paired")
    copy.publish(0, [b"of another writer"])
    with pytest.raises(
        RivvenKafkaError, match=r"raw values carry no position.* holds 1 records more than Kafka"
    ):
        copy.translate(f"{name}:0@3")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"value_format": "raw", "partitioning": "key"}, "config.partitioning: got key: raw values"),
        ({"value_format": "raw", "ordering": "key"}, "config.ordering: got key: raw values"),
        ({"value_format": "raw", "start_offset": "latest"}, "config.start_offset: got latest: raw values"),
    ],
)
def test_what_cannot_be_known_is_refused(kafka, rivven, topic_name, options, problem):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 1), **options)
    with pytest.raises(ConfigError, match=f"^sources.in.{problem}"):
        copy.translate(f"{copy.origin}:0@0")


def test_transforms_must_leave_the_position(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 1))
    copy.document["sources"]["in"]["transforms"] = [{"type": "remove_field", "config": {"field": "metadata"}}]
    with pytest.raises(
        ConfigError, match=r"^sources.in.transforms.0.config.field: changes metadata.position"
    ):
        copy.translate(f"{copy.origin}:0@0")


def test_the_command(kafka, rivven, topic_name, tmp_path, capsys):
    command = in_process(capsys)
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 5))
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(copy.document))
    translate = ("-c", path, "offsets", "translate", "--source", "in")
    code, _, err = command(*translate, f"{copy.origin}:0@0")
    assert code == 1
    assert f"Rivven topic '{copy.topic}' does not exist" in err
    copy.run(5)
    code, out, err = command(*translate, f"{copy.origin}:0@3", f"{copy.origin}:0@5")
    assert code == 0, err
    assert [line.split() for line in out.splitlines()][1][:3] == [
        f"{copy.origin}:0@3",
        f"{copy.origin}:0@3",
        f"{copy.topic}:0@3",
    ]
    code, out, err = command(*translate, f"{copy.topic}:0@2", "--from", "rivven", "--format", "json")
    assert code == 0, err
    [one] = json.loads(out)
    assert (one["kafka_topic"], one["kafka_offset"], one["status"]) == (copy.origin, 2, "exact")
    assert command(*translate, f"{copy.origin}:0@999")[0] == 3, "Kafka ends at 5"
    assert command(*translate, "nonsense")[0] == 2
    code, _, err = command(*translate, "other:0@1")
    assert code == 1
    assert "source 'in' does not read Kafka topic 'other'" in err
    with pytest.raises(UnknownTopicError, match="has 1 partitions: got partition 3"):
        copy.translate(f"{copy.origin}:3@0")
