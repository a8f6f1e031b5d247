"""`rivven-kafka verify`: every single record that is not as Kafka has it is found, and named."""

import hashlib
import json
import struct
import time
from contextlib import closing

import pytest
import yaml
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConfigError
from rivven_kafka.verify import verify_source

from tests.integration.connector_kit import NOW, QUICK, filled, rows_of, through_rivven
from tests.integration.pipelines import Running
from tests.integration.test_cli_commands import command
from tests.support import RivvenBroker
from tests.support.connector import source_file, wait_until
from tests.support.topics import Row, TopicWriter, create_topic, fill, read_topic

pytestmark = pytest.mark.integration

COUNTS = (40, 30)
PLACE = 17


class Verified:
    """A source that has copied its topic, and a second Rivven topic to which its records are published again."""

    def __init__(self, kafka, rivven, name, counts=COUNTS, *, count=None, **config):
        """Of a new topic with `counts` records in its partitions; or of one that has `count` to be copied."""
        self.kafka, self.rivven, self.origin, self.copy = kafka, rivven, name, f"{name}-copy"
        if count is None:
            filled(kafka, name, *counts)
        self.records, _ = through_rivven(kafka, rivven, name, self.copy, count or sum(counts), **config)
        self.config = {**QUICK, **config}

    def publish(self, changed, topic=None):
        """Publishes the records, those of partition 0 changed, to another topic, which is verified from now on."""
        self.copy = f"{self.origin}-again" if topic is None else topic
        with closing(RivvenClient([self.rivven.bootstrap])) as client:
            client.create_topic(self.copy, len(self.records))
            for partition, records in self.records.items():
                client.publish(self.copy, partition, changed(list(records)) if partition == 0 else records)

    def add_to_kafka(self, partition, sequence, partitions):
        with TopicWriter(self.kafka.bootstrap, self.origin, partitions) as writer:
            writer.write(partition, rows_of(partition, sequence))

    def document(self):
        bootstraps = self.kafka.bootstrap, self.rivven.bootstrap
        return source_file(*bootstraps, self.origin, self.copy, f"r-{self.origin}", **self.config)

    def verify(self, **options):
        config = ConnectConfig.model_validate(self.document())
        return verify_source("in", config.sources["in"], config.broker, config.settings, **options)


def corrupted(records):
    key, value = records[PLACE]
    records[PLACE] = key, value.replace(b'"n": 17', b'"n": 71')
    return records


def dropped(records):
    del records[PLACE]
    return records


def doubled(records):
    records.insert(PLACE + 1, records[PLACE])
    return records


def swapped(records):
    records[PLACE], records[PLACE + 1] = records[PLACE + 1], records[PLACE]
    return records


@pytest.mark.symptom("`verify` finds differences.")
@pytest.mark.parametrize("value_format", ["event", "raw"])
@pytest.mark.parametrize(
    ("change", "kind", "offset"),
    [
        (corrupted, "altered", PLACE),
        (dropped, "missing", PLACE),
        (doubled, "doubled", {"event": PLACE, "raw": PLACE + 1}),
        (swapped, {"event": "out_of_order", "raw": "swapped"}, PLACE),
    ],
)
def test_a_single_record_is_found(kafka, rivven, topic_name, value_format, change, kind, offset):
    lane = Verified(kafka, rivven, topic_name(), value_format=value_format)
    report = lane.verify()
    assert report.equal
    assert [(p.start, p.end, p.records_kafka, p.records_rivven) for p in report.partitions] == [
        (0, 40, 40, 40),
        (0, 30, 30, 30),
    ]
    lane.publish(change)
    report = lane.verify()
    first, second = report.partitions
    assert not report.equal
    assert second.equal
    found = first.first_difference
    assert found.kind == (kind if isinstance(kind, str) else kind[value_format])
    assert found.offset == (offset if isinstance(offset, int) else offset[value_format])


def digest_of(offset, row):
    """The digest of a record as docs/verify.md has it."""

    def text(data):
        return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data

    form = struct.pack(">qqB", offset, row.timestamp, 0) + text(row.key) + text(row.value)
    form += struct.pack(">I", len(row.headers))
    form += b"".join(text(name.encode()) + text(value) for name, value in row.headers)
    return int.from_bytes(hashlib.sha256(form).digest()[:16], "big")


def test_the_report_shows_both_sides(kafka, rivven, topic_name, tmp_path):
    lane = Verified(kafka, rivven, topic_name())
    lane.publish(lambda records: [(None, b"hello"), *corrupted(records)])
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(lane.document()))

    code, out, err = command("-c", path, "verify", "--source", "in", "--format", "json")
    assert (code, err) == (3, "")
    report = json.loads(out)
    first, second = report["partitions"]
    assert (report["equal"], first["equal"], second["equal"]) == (False, False, True)
    assert report["foreign"] == {lane.copy: 1}
    rows = read_topic(kafka.bootstrap, lane.origin)
    for partition, result in enumerate((first, second)):
        digest = sum(digest_of(offset, row) for offset, row in enumerate(rows[partition])) % 2**128
        assert result["digest_kafka"] == f"{digest:032x}"
    difference = first["first_difference"]
    assert (difference["kind"], difference["offset"], difference["fields"]) == ("altered", PLACE, ["value"])
    assert difference["text"] == f"offset {PLACE} is altered at Rivven 0:{PLACE + 1}: its value differs"
    sides = [
        {name: difference[side][name] for name in ("partition", "offset", "key", "value", "headers")}
        for side in ("kafka", "rivven")
    ]
    same = {"partition": 0, "key": "k17", "headers": [["p", "0"]]}
    assert sides == [
        same | {"offset": PLACE, "value": '{"n": 17}'},
        same | {"offset": PLACE + 1, "value": '{"n": 71}'},
    ]

    code, out, err = command("-c", path, "verify", "--source", "in")
    assert (code, err) == (3, "")
    assert f"first difference in {lane.origin}:0: offset {PLACE} is altered at Rivven 0:{PLACE + 1}" in out
    assert 'value of 9 bytes: {"n": 71}; headers p=0' in out
    code, out, err = command("-c", path, "verify", "--source", "in", "--no-values")
    assert (code, err) == (3, "")
    assert "value of 9 bytes" in out
    assert '"n"' not in out
    assert "k17" not in out
    sound = f"{lane.origin}:0@0-{PLACE - 1}"
    code, out, err = command("-c", path, "verify", "--source", "in", "--partition", sound)
    assert (code, err) == (0, "")
    assert f"0-{PLACE - 1}" in out
    assert f"in Rivven {lane.copy}: 1 records that come from none of these" in out, "those of partition 1 do"


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_ranges_are_kept_to(kafka, rivven, topic_name, value_format):
    lane = Verified(kafka, rivven, topic_name(), value_format=value_format)
    place = (lane.origin, 0)
    # Not copied, and so no difference until the end is asked for.
    lane.add_to_kafka(0, range(40, 43), 2)
    report = lane.verify()
    assert report.equal
    assert report.partitions[0].end == 40
    report = lane.verify(to_end=True)
    assert report.partitions[0].first_difference.kind == "missing"
    assert report.partitions[0].first_difference.offset == 40
    lane.publish(dropped)
    for start, end, equal in [(0, PLACE, True), (PLACE - 5, PLACE + 1, False), (0, 40, False)]:
        report = lane.verify(starts={place: start}, ends={place: end}, only=[place])
        [one] = report.partitions
        assert (one.start, one.end, one.records_kafka, one.equal) == (start, end, end - start, equal)
        assert equal or one.first_difference.offset == PLACE
    if value_format == "event":
        assert lane.verify(starts={place: PLACE + 1}).equal
    with pytest.raises(ConfigError, match=f"range of {lane.origin}:0: got offset 99: expected .* 43"):
        lane.verify(ends={place: 99})
    with pytest.raises(ConfigError, match="partition other:1 is not one of source 'in'"):
        lane.verify(only=[("other", 1)])


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_records_that_kafka_has_deleted_are_not_compared(kafka, rivven, topic_name, value_format):
    lane = Verified(kafka, rivven, topic_name(), value_format=value_format)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(lane.origin, 0): 10})
    report = lane.verify()
    assert report.equal
    assert (report.partitions[0].start, report.partitions[0].records_kafka) == (10, 30)
    sought = f"where the range of {lane.origin}:0 begins in Rivven was counted from the end"
    assert any(sought in note for note in report.notes) == (value_format == "raw")
    lane.publish(dropped)
    first = lane.verify().partitions[0].first_difference
    assert (first.kind, first.offset) == ("missing", PLACE)


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_nothing_that_could_be_compared_is_no_proof(kafka, rivven, topic_name, tmp_path, value_format):
    name = topic_name()
    filled(kafka, name, 10)
    document = source_file(
        kafka.bootstrap, rivven.bootstrap, name, f"{name}-copy", f"r-{name}", value_format=value_format
    )
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(document))
    code, out, _ = command("-c", path, "verify", "--source", "in", "--format", "json")
    [one] = json.loads(out)["partitions"]
    assert (code, one["undecided"], one["equal"]) == (3, 10, False)

    lane = Verified(kafka, rivven, name, count=10, value_format=value_format)
    assert lane.verify().equal
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(name, 0): 10})
    report = lane.verify(ends={(name, 0): 10})
    assert not report.equal
    assert report.partitions[0].undecided == 10
    assert f"deleted {name}:0 before 10: nothing is left of 10 offsets" in report.notes[0]
    # All that was copied is gone, and so is all that could differ.
    assert lane.verify().equal
    # Deleted before it was copied; what is left differs from nothing in Rivven.
    lane.add_to_kafka(0, range(10, 20), 1)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(name, 0): 15})
    for to_end in (False, True):
        report = lane.verify(to_end=to_end)
        assert not report.equal
        assert report.partitions[0].undecided == 5
        assert "the group had committed 10 only" in report.notes[0]
        assert (report.partitions[0].first_difference is not None) == to_end


def test_no_topics_are_no_proof(kafka, rivven, topic_name, tmp_path):
    name = topic_name()
    document = source_file(kafka.bootstrap, rivven.bootstrap, name, f"{name}-copy", f"r-{name}")
    config = document["sources"]["in"]["config"]
    del config["topic"]
    config["topics_regex"] = f"{name}-.*"
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(document))
    code, out, _ = command("-c", path, "verify", "--source", "in")
    assert code == 3
    assert f"note: Kafka has none of topics that match '{name}-.*': nothing is compared" in out


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_aborted_records_are_none(kafka, rivven, topic_name, value_format):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    options = {"bootstrap_servers": kafka.bootstrap, "metrics_enabled": False}
    with closing(KafkaProducer(**options, transactional_id=name)) as producer:
        producer.init_transactions()
        for number in range(6):
            producer.begin_transaction()
            for value in range(3):
                producer.send(name, b"%d-%d" % (number, value), key=b"k", partition=0)
            # What is not sent is not aborted but dropped.
            producer.flush()
            if number % 2:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
    config = {"value_format": value_format, "isolation_level": "read_committed"}
    lane = Verified(kafka, rivven, name, count=9, **config)
    report = lane.verify(to_end=True)
    assert report.equal
    assert (report.partitions[0].records_kafka, report.partitions[0].records_rivven) == (9, 9)
    lane.publish(lambda records: [*records[:5], *records[6:]])
    first = lane.verify(to_end=True).partitions[0].first_difference
    # Three records and a marker for each transaction, of which every second one counts.
    assert (first.kind, first.offset, first.kafka.value) == ("missing", 10, b"2-2")
    # Whoever reads uncommitted records misses the others.
    lane.config["isolation_level"] = "read_uncommitted"
    first = lane.verify(to_end=True).partitions[0].first_difference
    assert (first.kind, first.offset, first.kafka.value) == ("missing", 4, b"1-0")


def test_what_kafka_has_compacted_away_may_stay_in_rivven(kafka, rivven, topic_name):
    name = topic_name()
    configs = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0.01, "segment.ms": 100}
    create_topic(kafka.bootstrap, name, 1, **configs)
    rows = [Row(NOW + n, b"k%d" % (n % 3), b'{"n": %d}' % n, []) for n in range(12)]
    fill(kafka.bootstrap, name, {0: rows})
    lane = Verified(kafka, rivven, name, count=12)

    def compacted():
        # A new segment makes the others ready to be cleaned.
        with TopicWriter(kafka.bootstrap, name, 1) as writer:
            writer.write(0, [Row(int(time.time() * 1000), b"last", b"{}", [])])
        return rows[0].value not in [row.value for row in read_topic(kafka.bootstrap, name)[0]]

    wait_until(compacted, 60, lambda: str(read_topic(kafka.bootstrap, name)))
    report = lane.verify()
    [one] = report.partitions
    assert report.equal
    assert one.compacted_away > 0
    assert one.records_kafka + one.compacted_away == 12
    last = json.loads(lane.records[0][-1][1])["metadata"]["position"]
    lane.publish(lambda records: records[:-1])
    first = lane.verify().partitions[0].first_difference
    assert (first.kind, f"{name}:0:{first.offset}") == ("missing", last)


def test_raw_values_of_a_compacted_topic_are_compared_with_a_note(kafka, rivven, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1, **{"cleanup.policy": "compact,delete"})
    fill(kafka.bootstrap, name, {0: rows_of(0, range(20))})
    report = Verified(kafka, rivven, name, count=20, value_format="raw").verify()
    assert report.equal
    assert any(note.startswith(f"{name} is compacted: what Kafka has removed") for note in report.notes)


def test_transforms_by_key_and_a_topic_that_is_not_there(kafka, rivven, topic_name):
    keep = {"type": "add_field", "config": {"field": "data.seen", "value": True}}
    drop = {"type": "filter", "config": {"field": "data.n", "equals": "3"}}
    name = topic_name()
    filled(kafka, name, 6, 6)
    document = source_file(
        kafka.bootstrap, rivven.bootstrap, name, f"{name}-copy", f"r-{name}", **QUICK, partitioning="key"
    )
    document["sources"]["in"] |= {"transforms": [keep, drop], "topic_config": {"partitions": 3}}
    config = ConnectConfig.model_validate(document)

    def verify(**options):
        return verify_source("in", config.sources["in"], config.broker, config.settings, **options)

    first, second = verify(to_end=True).partitions
    assert [(p.missing, p.left_out, p.equal) for p in (first, second)] == [(1, 5, False), (1, 5, False)]
    assert (first.first_difference.kind, first.first_difference.offset) == ("missing", 3)
    assert first.first_difference.kafka.value == b'{"n": 3,"seen":true}'
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() >= 2 or running.error, 30, running.describe)
        # Beside the running source.
        assert verify(to_end=True).equal
    assert verify().equal


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_nothing_is_proved_where_nothing_tells_where_the_source_began(
    kafka, rivven, topic_name, value_format
):
    lane = Verified(kafka, rivven, topic_name(), value_format=value_format)
    lane.config["start_offset"] = "latest"
    lane.publish(lambda records: records[8:])
    if value_format == "event":
        report = lane.verify()
        assert report.equal
        assert [p.start for p in report.partitions] == [8, 0]
    lane.copy = f"{lane.origin}-nothing"
    report = lane.verify()
    assert not report.equal
    assert [p.undecided for p in report.partitions] == [40, 30]
    assert any(f"{lane.origin}:1: nothing tells where the source began" in note for note in report.notes)


def test_events_in_the_wrong_partition_are_a_difference(kafka, rivven, topic_name, tmp_path):
    lane = Verified(kafka, rivven, topic_name())
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(f"{lane.origin}-split", 2)
        client.publish(f"{lane.origin}-split", 0, lane.records[0][::2])
        client.publish(f"{lane.origin}-split", 1, lane.records[0][1::2] + lane.records[1])
    lane.copy = f"{lane.origin}-split"
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(lane.document()))
    code, out, _ = command("-c", path, "verify", "--source", "in")
    assert code == 3
    assert "MISPLACED" in out
    assert f"first difference in {lane.origin}:0: offset 1 is in the wrong partition, at Rivven 1:0" in out
    first, second = lane.verify().partitions
    assert (first.misplaced, first.out_of_order, second.misplaced, second.equal) == (20, 0, 0, True)
    lane.config["partitioning"] = "key"
    assert lane.verify().equal


def test_marks_and_echoes_of_loop_protection_are_no_difference(kafka, rivven, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    marks = [None, b"rivven:elsewhere/other", f"rivven:middle/{name}-copy".encode(), None]
    rows = [
        Row(NOW + n, b"k", b'{"n": %d}' % n, [] if mark is None else [("rivven_kafka_via", mark)])
        for n, mark in enumerate(marks)
    ]
    fill(kafka.bootstrap, name, {0: rows})
    document = source_file(kafka.bootstrap, rivven.bootstrap, name, f"{name}-copy", f"r-{name}", **QUICK)
    document["broker"]["cluster_name"] = "middle"
    document["sources"]["in"]["loop_protection"] = True
    config = ConnectConfig.model_validate(document)
    arguments = "in", config.sources["in"], config.broker, config.settings
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() >= 3 or running.error, 30, running.describe)
    report = verify_source(*arguments)
    [one] = report.partitions
    assert report.equal
    assert (one.records_kafka, one.records_rivven, one.left_out) == (3, 3, 1)
    # Without the protection, the echo would have to be there.
    document["sources"]["in"]["loop_protection"] = False
    config = ConnectConfig.model_validate(document)
    [one] = verify_source("in", config.sources["in"], config.broker, config.settings).partitions
    assert (one.missing, one.equal) == (1, False)


def test_what_the_source_leaves_out_is_named_so(kafka, rivven, topic_name):
    lane = Verified(kafka, rivven, topic_name(), (5,))
    document = lane.document()
    drop = {"type": "filter", "config": {"field": "data.n", "equals": "3"}}
    document["sources"]["in"]["transforms"] = [drop]
    config = ConnectConfig.model_validate(document)
    report = verify_source("in", config.sources["in"], config.broker, config.settings)
    [one] = report.partitions
    assert (one.left_out, one.extra) == (4, 4)
    assert "Rivven has offset 0, which the source leaves out, at 0:0" in one.first_difference.text


def test_what_cannot_be_read_is_a_difference(kafka, topic_name):
    """As after a crash of rivvend with its write-ahead log kept."""
    with RivvenBroker() as rivven:
        lane = Verified(kafka, rivven, topic_name(), (400,))
        rivven.kill()
        rivven.start(keep_wal=True).wait_ready()
        report = lane.verify()
        assert not report.equal
        assert report.unreadable
        assert report.partitions[0].first_difference is not None


@pytest.mark.parametrize(
    ("config", "entry", "problem"),
    [
        (
            {"value_format": "raw", "partitioning": "key"},
            {},
            "config.partitioning: got key: values in raw format can only be compared with preserve",
        ),
        (
            {},
            {"transforms": [{"type": "remove_field", "config": {"field": "metadata.position"}}]},
            "transforms: they change metadata.position",
        ),
        (
            {},
            {"transforms": [{"type": "remove_field", "config": {"field": "stream"}}]},
            "transforms: they take stream out of the events",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(kafka, rivven, topic_name, config, entry, problem):
    document = source_file(kafka.bootstrap, rivven.bootstrap, topic_name(), "copy", "g", **config)
    document["sources"]["in"] |= entry
    loaded = ConnectConfig.model_validate(document)
    with pytest.raises(ConfigError, match=f"^sources.in.{problem}"):
        verify_source("in", loaded.sources["in"], loaded.broker, loaded.settings)


@pytest.mark.parametrize(
    "given", ["orders", "orders:x", "orders:1@5", "orders:1@5-4", ":1", "orders:1 orders:1"]
)
def test_a_range_has_to_make_sense(kafka, rivven, tmp_path, given):
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(source_file(kafka.bootstrap, rivven.bootstrap, "t", "copy", "g")))
    options = [part for one in given.split() for part in ("--partition", one)]
    code, _, err = command("-c", path, "verify", "--source", "in", *options)
    assert code == 78
    assert f"--partition: got '{given.split()[-1]}'" in err


def test_a_source_has_to_be_named(kafka, rivven, tmp_path):
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(source_file(kafka.bootstrap, rivven.bootstrap, "t", "copy", "g")))
    code, _, err = command("-c", path, "verify", "--source", "other")
    assert code == 78
    assert "--source: got 'other': expected one of: in" in err
