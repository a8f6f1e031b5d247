"""`rivven-kafka groups migrate`: consumers go on in Rivven where they stopped in Kafka."""

import json
from contextlib import closing, contextmanager

import pytest
import yaml
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.offsets import copied, migrate_groups, return_groups
from rivven_kafka.reading import patience

from tests.integration.connector_kit import filled, rows_of
from tests.integration.offset_kit import Copy, in_process
from tests.integration.pipelines import rivven_records
from tests.support.connector import wait_until
from tests.support.topics import create_topic, fill

pytestmark = pytest.mark.integration


def consume(copy, group, count):
    """A Kafka consumer that reads so many records, commits and leaves; returns what it has read."""
    options = {"bootstrap_servers": copy.kafka, "group_id": group, "enable_auto_commit": False}
    options |= {"auto_offset_reset": "earliest", "metrics_enabled": False, "session_timeout_ms": 6000}
    read = []
    with closing(KafkaConsumer(copy.origin, **options, max_poll_records=count)) as consumer:
        while len(read) < count:
            for records in consumer.poll(timeout_ms=500, max_records=count - len(read)).values():
                read += [(record.partition, record.offset) for record in records]
        consumer.commit()
    return read


def read_on(copy, group):
    """What a reader of that group gets in Rivven, as Kafka partitions and offsets."""
    held = copy.copied()
    found = []
    for partition, log in held.items():
        start = copy.in_rivven(group, partition)
        found += [at[1:] for at in log[start or 0 :]]
    return found


def test_a_reader_goes_on_exactly_where_the_consumer_stopped(kafka, rivven, topic_name, tmp_path, capsys):
    command = in_process(capsys)
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 40, 30))
    copy.run(70)
    # Doubled records in front: the same number means nothing.
    copy.commit(copy.group, {0: 15})
    copy.run(25)
    group = f"app-{copy.origin}"
    # As many that it is behind the first copies, whichever partition comes first.
    read = consume(copy, group, 47)
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(copy.document))
    migrate = ("-c", path, "groups", "migrate", "--source", "in", "--group", group)

    code, out, err = command(*migrate, "--format", "json")
    assert code == 3, err
    report = json.loads(out)
    assert [(at["move"], at["status"], at["now"]) for at in report["positions"]] == [
        ("to move", "exact", None)
    ] * 2
    assert copy.in_rivven(group, 0) is copy.in_rivven(group, 1) is None, "a dry run writes nothing"

    code, out, err = command(*migrate, "--apply")
    assert code == 0, err
    assert out.count("  moved\n") == 2
    everything = {(partition, offset) for partition, count in ((0, 40), (1, 30)) for offset in range(count)}
    assert sorted(read_on(copy, group)) == sorted(everything - set(read)), "once each, and none that was read"

    code, out, err = command(*migrate, "--apply")
    assert code == 0, err
    assert out.count("  same\n") == 2

    # The consumer has gone on in Kafka meanwhile, and once more to the end.
    read += consume(copy, group, 13)
    assert command(*migrate, "--apply")[0] == 0
    assert sorted(read_on(copy, group)) == sorted(everything - set(read))
    consume(copy, group, 10)
    assert command(*migrate, "--apply")[0] == 0
    assert read_on(copy, group) == []


def test_no_position_is_ever_set_back(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 20))
    copy.run(20)
    copy.commit("g-back", {0: 8})
    with closing(RivvenClient([copy.rivven])) as client:
        client.commit_offsets("g-back", [(copy.topic, 0, 12)])
    for _ in range(2):
        assert copy.migrate("g-back", apply=True) == [("g-back", 0, 12, 8, "exact", "would rewind, kept")]
        assert copy.in_rivven("g-back", 0) == 12
    copy.commit("g-back", {0: 13})
    assert copy.migrate("g-back", apply=True) == [("g-back", 0, 12, 13, "exact", "moved")]
    assert copy.in_rivven("g-back", 0) == 13


@pytest.mark.symptom('A group is "not copied yet".')
def test_who_is_ahead_of_the_copy_waits_for_it(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 20))
    copy.run(20)
    fill(kafka.bootstrap, copy.origin, {0: rows_of(0, range(20, 30))})
    copy.commit("g-ahead", {0: 25})
    waiting = ("g-ahead", 0, None, 20, "not copied yet", "not copied yet")
    assert copy.migrate("g-ahead", apply=True) == [waiting]
    assert copy.in_rivven("g-ahead", 0) is None
    assert copy.migrate("g-ahead", apply=True, partial=True) == [(*waiting[:5], "moved")]
    copy.run(10)
    assert copy.migrate("g-ahead", apply=True) == [("g-ahead", 0, 20, 25, "exact", "moved")]


def test_groups_that_read_on_are_left_alone(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 10))
    copy.run(10)
    group = f"live-{copy.origin}"
    consume(copy, group, 4)
    options = {"bootstrap_servers": kafka.bootstrap, "group_id": group, "metrics_enabled": False}
    with closing(KafkaConsumer(copy.origin, **options, enable_auto_commit=False)) as consumer:
        wait_until(lambda: bool(consumer.poll(timeout_ms=100) or consumer.assignment()), 30)
        assert copy.migrate(group, apply=True) == [(group, 0, None, 4, "exact", "has active members")]
        assert copy.in_rivven(group, 0) is None
        moved = copy.migrate(group, apply=True, allow_active=True)
        assert moved == [(group, 0, None, 4, "exact", "moved")]
    assert copy.migrate(group, apply=True) == [(group, 0, 4, 4, "exact", "same")]


def test_by_key_each_rivven_partition_has_what_none_of_kafkas_misses(kafka, rivven, topic_name):
    copy = Copy(
        kafka.bootstrap,
        rivven.bootstrap,
        filled(kafka, topic_name(), 50, 50),
        partitioning="key",
        ordering="key",
    )
    copy.document["sources"]["in"]["topic_config"] = {"partitions": 3}
    copy.run(100)
    copy.commit("g-key", {0: 30, 1: 10})
    moved = copy.migrate("g-key", apply=True)
    assert [at[5] for at in moved] == ["moved"] * 3
    ahead = {(0, offset) for offset in range(30, 50)} | {(1, offset) for offset in range(10, 50)}
    assert set(read_on(copy, "g-key")) >= ahead
    for _, partition, _, new, _, _ in moved:
        log = copy.copied()[partition]
        assert log[new][1:] in ahead, "no lower than it has to be"
    # It has never committed in one of them: nothing of that counts as read.
    copy.commit("g-half", {0: 50})
    copy.migrate("g-half", apply=True)
    assert {at for at in read_on(copy, "g-half") if at[0] == 1} == {(1, offset) for offset in range(50)}


def test_the_way_back_leaves_nothing_out_either(kafka, rivven, topic_name, tmp_path, capsys):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 30, 20))
    copy.run(50)
    copy.commit(copy.group, {0: 25})
    copy.run(5)
    group = f"back-{copy.origin}"
    command, path = in_process(capsys), tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(copy.document))
    back = ("-c", path, "groups", "migrate", "--back", "--source", "in", "--group", group)
    code, out, _ = command(*back, "--apply")
    assert code == 3, "a name that is not right must not pass for done"
    assert f"note: group {group!r} has committed nothing in Rivven" in out
    copy.commit(group, {0: 5, 1: 15})
    with closing(RivvenClient([copy.rivven])) as client:
        client.commit_offsets(group, [(copy.topic, 0, 12), (copy.topic, 1, 11)])
    assert command(*back)[0] == 3
    code, out, err = command(*back, "--apply")
    assert code == 0, err
    assert [line.split()[3:] for line in out.splitlines()[1:]] == [
        ["5", "12", "exact", "moved"],
        ["15", "11", "exact", "would", "rewind,", "kept"],
    ]
    assert sorted(consume(copy, group, 23)) == [
        *((0, n) for n in range(12, 30)),
        *((1, n) for n in range(15, 20)),
    ]
    # To the end of the doubled records.
    with closing(RivvenClient([copy.rivven])) as client:
        client.commit_offsets(group, [(copy.topic, 0, 35), (copy.topic, 1, 20)])
    code, out, err = command(*back, "--apply")
    assert (code, out.count("  same\n")) == (0, 2)
    with pytest.raises(SystemExit) as stop:
        command(*back, "--partial")
    assert stop.value.code == 2


def test_the_way_back_out_of_order_counts_what_comes_again(kafka, rivven, topic_name):
    copy = Copy(
        kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 50), partitioning="key", ordering="key"
    )
    copy.document["sources"]["in"]["topic_config"] = {"partitions": 3}
    copy.run(50)
    held = copy.copied()
    read = {partition: len(log) // (partition + 1) for partition, log in held.items()}
    with closing(RivvenClient([copy.rivven])) as client:
        client.commit_offsets("g-back-key", [(copy.topic, partition, at) for partition, at in read.items()])
    [at] = return_groups(*copy.arguments, ["g-back-key"], apply=True).positions
    done = {each[2] for partition, log in held.items() for each in log[: read[partition]]}
    expected = min(set(range(50)) - done)
    assert (at.offset, at.again) == (expected, sum(offset > expected for offset in done))
    assert at.move == "moved"
    assert min(offset for _, offset in consume(copy, "g-back-key", 50 - expected)) == expected


@pytest.mark.parametrize(
    ("options", "layout", "source", "read"),
    [
        # The lane of offset 5 is slow, and the source was killed or goes on.
        ({"ordering": "key"}, [[0, 1, 2, 3, 4, 6, 7, 8, 9]], 5, 5),
        # Offset 4 is still on its way to another partition.
        ({"partitioning": "key"}, [[5, 6, 7, 8, 9], [0, 1, 2, 3]], 4, 4),
    ],
    ids=["lanes", "partitions"],
)
def test_the_way_back_stops_at_what_was_never_in_rivven(
    kafka, rivven, topic_name, options, layout, source, read
):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 10))
    copy.run(10)
    records = rivven_records(rivven.bootstrap, copy.topic)[0]
    holed = Copy(kafka.bootstrap, rivven.bootstrap, copy.origin, **options)
    holed.topic = holed.document["sources"]["in"]["topic"] = f"{copy.topic}-holed"
    group = f"hole-{copy.origin}"
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(holed.topic, len(layout))
        for partition, offsets in enumerate(layout):
            client.publish(holed.topic, partition, [records[offset] for offset in offsets])
        client.commit_offsets(group, [(holed.topic, n, len(offsets)) for n, offsets in enumerate(layout)])
    holed.commit(holed.group, {0: source})
    [at] = return_groups(*holed.arguments, [group], apply=True).positions
    assert (at.offset, str(at.status), str(at.move)) == (read, "read again", "moved")
    assert at.again == sum(offset > read for offsets in layout for offset in offsets)
    assert min(consume(holed, group, 10 - read)) == (0, read)


@pytest.mark.parametrize(
    ("how", "kept", "read", "expected"),
    [
        ("partition", [0, 1, 2, 3, 4, 8, 9], 5, (5, "missing in Rivven")),
        ("partition", [0, 1, 2, 3, 4], 5, (5, "missing in Rivven")),
        ("key", [0, 2, 1, 3, 4], 5, (5, "missing in Rivven")),
        ("partition", [8, 9], 0, (1, "missing in Rivven")),
        ("filter", [3], 0, (3, "exact")),
        ("filter", [3], 1, (10, "exact")),
    ],
    ids=["middle", "end", "lanes", "beginning", "filter", "filtered end"],
)
def test_the_way_back_leads_to_what_rivven_has_lost(kafka, rivven, topic_name, how, kept, read, expected):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 10))
    copy.run(10)
    records = rivven_records(rivven.bootstrap, copy.topic)[0]
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(copy.origin, 0): 1})
    ordering = "key" if how == "key" else "partition"
    damaged = Copy(kafka.bootstrap, rivven.bootstrap, copy.origin, ordering=ordering)
    damaged.topic = damaged.document["sources"]["in"]["topic"] = f"{copy.topic}-damaged"
    if how == "filter":
        three = {"field": "data.n", "equals": "3"}
        damaged.document["sources"]["in"]["transforms"] = [{"type": "filter", "config": three}]
    group = f"lost-{copy.origin}"
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(damaged.topic, 1)
        client.publish(damaged.topic, 0, [records[offset] for offset in kept])
        client.commit_offsets(group, [(damaged.topic, 0, read)])
    damaged.commit(damaged.group, {0: 10})
    [at] = return_groups(*damaged.arguments, [group], apply=True).positions
    assert ((at.offset, str(at.status)), at.again, str(at.move)) == (expected, 0, "moved")


def test_the_way_back_does_not_lead_into_an_earlier_topic_of_the_name(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 20))
    copy.run(20)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics([copy.origin])
        wait_until(lambda: copy.origin not in admin.list_topics(), 30)
    create_topic(kafka.bootstrap, copy.origin, 1)
    fill(kafka.bootstrap, copy.origin, {0: rows_of(0, range(8))})
    copy.run(8)
    assert len(copy.copied()[0]) == 28
    group = f"anew-{copy.origin}"
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.commit_offsets(group, [(copy.topic, 0, 24)])
    problem = rf"^Kafka {copy.origin}:0 ends at offset 8, but was copied as far as offset 19: .*earlier topic of the name"
    for apply in (False, True):
        with pytest.raises(RivvenKafkaError, match=problem):
            return_groups(*copy.arguments, [group], apply=apply)
    assert group not in {at["group_id"] for at in _groups(kafka)}, "nothing was committed"


def _groups(kafka):
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        return admin.list_groups()


def test_the_way_back_takes_a_running_source_for_no_earlier_topic(kafka, rivven, topic_name, monkeypatch):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 10))
    copy.run(10)
    group = f"grows-{copy.origin}"
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.commit_offsets(group, [(copy.topic, 0, 10)])
    whole = copied.CopiedLogs.whole

    def grown(logs, topic, partition):
        # Kafka was asked how it stands; it grows, and is copied, before Rivven is read.
        fill(kafka.bootstrap, copy.origin, {0: rows_of(0, range(10, 15))})
        copy.run(5)
        return whole(logs, topic, partition)

    monkeypatch.setattr(copied.CopiedLogs, "whole", grown)
    [at] = return_groups(*copy.arguments, [group]).positions
    assert (at.offset, str(at.status), str(at.move)) == (10, "exact", "to move")


def test_who_has_read_an_open_transaction_waits_for_its_end(kafka, rivven, topic_name):
    copy = Copy(
        kafka.bootstrap,
        rivven.bootstrap,
        filled(kafka, topic_name(), 10),
        isolation_level="read_committed",
    )
    copy.run(10)
    options = {"bootstrap_servers": kafka.bootstrap, "metrics_enabled": False}
    with closing(KafkaProducer(**options, transactional_id=f"open-{copy.origin}")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        for number in range(5):
            producer.send(copy.origin, b'{"n": %d}' % number)
        producer.flush()
        # As a consumer with read_uncommitted does.
        group = f"dirty-{copy.origin}"
        copy.commit(group, {0: 15})
        waiting = (group, 0, None, 10, "not copied yet", "not copied yet")
        assert copy.migrate(group, apply=True) == [waiting]
        assert copy.in_rivven(group, 0) is None
        producer.commit_transaction()
    copy.run(5)
    assert copy.migrate(group, apply=True) == [(group, 0, None, 15, "exact", "moved")]


def test_echoes_that_come_next_are_not_missing(kafka, rivven, topic_name):
    name = topic_name()
    create_topic(kafka.bootstrap, name, 1)
    copy = Copy(kafka.bootstrap, rivven.bootstrap, name)
    copy.document["broker"]["cluster_name"] = "here"
    copy.document["sources"]["in"]["loop_protection"] = True
    mark = [("rivven_kafka_via", b"rivven:here/" + copy.topic.encode())]
    rows = [row._replace(headers=mark if n in (4, 5) else []) for n, row in enumerate(rows_of(0, range(8)))]
    fill(kafka.bootstrap, name, {0: rows})
    copy.run(6)
    assert [at[2] for at in copy.copied()[0]] == [0, 1, 2, 3, 6, 7]
    copy.commit("g-echo", {0: 4})
    assert copy.migrate("g-echo", apply=True) == [("g-echo", 0, None, 4, "exact", "moved")]


def test_a_name_that_no_group_has_is_left(kafka, rivven, topic_name, tmp_path, capsys):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 5))
    copy.run(5)
    copy.commit("g-there", {0: 2})
    command, path = in_process(capsys), tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(copy.document))
    migrate = ("-c", path, "groups", "migrate", "--source", "in", "--apply", "--group", "g-there")
    code, out, err = command(*migrate, "--group", "g-typo")
    assert code == 3, err
    assert "note: group 'g-typo' has no committed offset in" in out
    assert out.count("  moved\n") == 1
    assert command(*migrate)[0] == 0


@contextmanager
def open_transaction(kafka, copy):
    """A producer with a transaction under way, and a position that can be put into it."""
    options = {"bootstrap_servers": kafka.bootstrap, "metrics_enabled": False}
    with closing(KafkaProducer(**options, transactional_id=f"tx-{copy.origin}")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        yield producer, {TopicPartition(copy.origin, 0): OffsetAndMetadata(1, "", -1)}


def test_a_group_in_an_open_transaction_does_not_hold_up_others(kafka, rivven, topic_name, monkeypatch):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 5))
    copy.run(5)
    good, bad = f"good-{copy.origin}", f"open-{copy.origin}"
    own = f"rivven-kafka:s:{copy.origin}"
    copy.commit(good, {0: 2})
    with open_transaction(kafka, copy) as (producer, place):
        producer.send_offsets_to_transaction(place, own)
        report = migrate_groups(*copy.arguments, apply=True)
        assert [(at.group, str(at.move)) for at in report.positions] == [(good, "moved")]
        assert (report.left, report.notes) == (0, []), "one that is left out anyway is not asked"
        producer.send_offsets_to_transaction(place, bad)
        with monkeypatch.context() as hurried:
            hurried.setattr(patience, "_PATIENCE_S", 0.5)
            report = migrate_groups(*copy.arguments, apply=True)
        assert [(at.group, str(at.move)) for at in report.positions] == [(good, "same")]
        assert (report.left, report.unsettled) == (1, [bad])
        assert "a transaction is open" in report.notes[0]
        assert repr(bad) in report.notes[0]
        producer.commit_transaction()
    moved = {at[0]: at[5] for at in copy.migrate(apply=True)}
    assert moved == {good: "same", bad: "moved"}


def test_the_way_back_of_a_group_in_an_open_transaction_does_not_hold_up_others(
    kafka, rivven, topic_name, monkeypatch
):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 5))
    copy.run(5)
    good, bad = f"good-{copy.origin}", f"open-{copy.origin}"
    with closing(RivvenClient([rivven.bootstrap])) as client:
        for group in (good, bad):
            client.commit_offsets(group, [(copy.topic, 0, 3)])
    with open_transaction(kafka, copy) as (producer, place):
        producer.send_offsets_to_transaction(place, bad)
        with monkeypatch.context() as hurried:
            hurried.setattr(patience, "_PATIENCE_S", 0.5)
            report = return_groups(*copy.arguments, [bad, good], apply=True)
        assert [(at.group, at.offset, str(at.move)) for at in report.positions] == [(good, 3, "moved")]
        assert (report.left, report.unsettled, report.unknown) == (1, [bad], [])
        assert f"group {bad!r}: Kafka does not tell its offsets now: a transaction is open" in report.notes[0]
        producer.commit_transaction()
    report = return_groups(*copy.arguments, [bad, good], apply=True)
    assert [(at.group, at.now, str(at.move)) for at in report.positions] == [
        (bad, 1, "moved"),
        (good, 3, "same"),
    ]
    assert report.left == 0


def test_topics_that_are_not_copied_yet_are_named(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 3))
    copy.commit("g-early", {0: 2})
    report = migrate_groups(*copy.arguments, ["g-early"], apply=True)
    assert (report.positions, report.absent, report.left) == ([], [copy.origin], 1)
    assert report.notes == [f"Kafka topic {copy.origin!r}: Rivven topic {copy.topic!r} does not exist yet"]


def test_which_groups_and_under_which_names(kafka, rivven, topic_name):
    copy = Copy(kafka.bootstrap, rivven.bootstrap, filled(kafka, topic_name(), 5))
    copy.run(5)
    for group in ("one", "two", "has space"):
        copy.commit(f"{group} {copy.origin}" if " " in group else f"{group}-{copy.origin}", {0: 2})
    copy.commit(f"rivven-kafka:x:{copy.origin}", {0: 2})
    one, two, spaced = f"one-{copy.origin}", f"two-{copy.origin}", f"has space {copy.origin}"
    found = {at[0]: at[5] for at in copy.migrate(apply=True, to_group="r-{group}")}
    assert found == {one: "moved", two: "moved", spaced: "name not allowed in Rivven"}
    assert copy.in_rivven(f"r-{one}", 0) == 2
    assert copy.migrate(spaced, apply=True, to_group=f"space-{copy.origin}")[0][5] == "moved"
    with pytest.raises(ConfigError, match=r"^to_group: got 'x' for 2 groups: expected \{group\} in it"):
        copy.migrate(one, two, to_group="x")
    with pytest.raises(ConfigError, match=f"^groups: got '{copy.group}', which belongs to a connector"):
        copy.migrate(copy.group)
    with pytest.raises(ConfigError, match="the group of a sink"):
        copy.migrate(one, reserved=[one])
    assert copy.migrate("nobody") == []
