"""`rivven-kafka repair`: what is missing in Rivven is found, and published once."""

import json
from contextlib import closing

import pytest
import yaml
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConfigError
from rivven_kafka.repair import repair_source

from tests.integration.connector_kit import QUICK, filled, rows_of, through_rivven
from tests.integration.pipelines import Running, rivven_records
from tests.integration.test_cli_commands import command
from tests.support.connector import source_file, wait_until
from tests.support.kafka_tap import ApiKey, changed
from tests.support.topics import TopicWriter, committed_offsets

pytestmark = pytest.mark.integration


class Repaired:
    """A source that has copied its topic once, and a second Rivven topic to be repaired."""

    def __init__(self, kafka, rivven, name, counts, **config):
        self.kafka, self.rivven, self.origin, self.copy = kafka, rivven, name, f"{name}-again"
        filled(kafka, name, *counts)
        self.transforms = config.pop("transforms", [])
        options = {**QUICK, **config}
        self.document = source_file(
            kafka.bootstrap, rivven.bootstrap, name, self.copy, f"r-{name}", **options
        )
        self.document["sources"]["in"]["transforms"] = self.transforms
        self.records, _ = through_rivven(kafka, rivven, name, f"{name}-copy", sum(counts), **config)

    def publish(self, partition, records, partitions):
        with closing(RivvenClient([self.rivven.bootstrap])) as client:
            client.create_topic(self.copy, partitions)
            client.publish(self.copy, partition, records)

    def add_to_kafka(self, partition, sequence, partitions):
        with TopicWriter(self.kafka.bootstrap, self.origin, partitions) as writer:
            writer.write(partition, rows_of(partition, sequence))

    def committed(self):
        return committed_offsets(self.kafka.bootstrap, f"r-{self.origin}", self.origin)

    def held(self):
        return rivven_records(self.rivven.bootstrap, self.copy)

    def repair(self, *, apply=False):
        config = ConnectConfig.model_validate(self.document)
        report = repair_source("in", config.sources["in"], config.broker, config.settings, apply=apply)
        return report, [(p.records, p.present, p.missing) for p in report.partitions]


def place(record):
    return json.loads(record[1])["metadata"]["position"].rpartition(":")[2]


def test_missing_events_are_listed_and_then_published(kafka, rivven, topic_name, tmp_path):
    lane = Repaired(kafka, rivven, topic_name(), (40, 30))
    first, second = lane.records[0], lane.records[1]
    # Without 5 to 9 and 20; with one twice and one that is of no Kafka record.
    lane.publish(0, [*first[:5], *first[10:20], *first[21:], first[3], (None, b"hello")], 2)
    lane.publish(1, second, 2)
    lane.add_to_kafka(1, range(30, 37), 2)
    before, committed = lane.held(), lane.committed()
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(lane.document))

    code, out, err = command("-c", path, "repair", "--source", "in", "--format", "json")
    assert code == 3, err
    report = json.loads(out)
    counts = {"left_out": 0, "bad": 0, "before_start": 0, "undecided": 0, "more_ranges": 0}
    common = {"topic": lane.origin, "destination": lane.copy, **counts}
    assert report["partitions"] == [
        common
        | {"partition": 0, "records": 40, "present": 34, "missing": 6, "doubled": 1, "not_copied": 0}
        | {"missing_ranges": [[5, 9], [20, 20]]},
        common
        | {"partition": 1, "records": 37, "present": 30, "missing": 0, "doubled": 0, "not_copied": 7}
        | {"missing_ranges": []},
    ]
    assert (report["unreadable"], report["beyond_end"], report["published"]) == ([], [], None)
    assert report["foreign"] == {lane.copy: 1}
    assert lane.held() == before, "a dry run writes nothing"

    code, out, err = command("-c", path, "repair", "--source", "in", "--apply")
    assert (code, err) == (0, "")
    assert f"missing in {lane.origin}:0: 5-9, 20\n" in out
    assert out.endswith("published 6 records\n")
    after = lane.held()
    assert (after[0][: len(before[0])], after[1]) == (before[0], before[1])
    assert [place(record) for record in after[0][len(before[0]) :]] == ["5", "6", "7", "8", "9", "20"]
    assert [key for key, _ in after[0][len(before[0]) :]] == [first[n][0] for n in (5, 6, 7, 8, 9, 20)]
    assert lane.committed() == committed, "positions are not its business"

    code, out, err = command("-c", path, "repair", "--source", "in")
    assert (code, err) == (0, "")
    assert "missing in" not in out


def test_a_topic_that_is_gone_is_filled_again_as_the_source_would(kafka, rivven, topic_name):
    keep = {"type": "filter", "config": {"field": "data.n", "equals": "3"}}
    lane = Repaired(kafka, rivven, topic_name(), (6, 6), partitioning="key", transforms=[keep])
    lane.document["sources"]["in"]["topic_config"] = {"partitions": 3}
    report, counts = lane.repair()
    assert counts == [(6, 0, 1), (6, 0, 1)]
    assert [p.left_out for p in report.partitions] == [5, 5]
    assert lane.held() == {}, "a dry run creates nothing"
    assert lane.repair(apply=True)[0].published == 2
    held = [record for records in lane.held().values() for record in records]
    assert len(lane.held()) == 3
    assert sorted(key for key, _ in held) == [b"k3", b"k3"]
    assert lane.repair()[1] == [(6, 1, 0), (6, 1, 0)]


def test_raw_values_are_compared_by_what_they_are(kafka, rivven, topic_name):
    lane = Repaired(kafka, rivven, topic_name(), (20, 5), value_format="raw")
    first, second = lane.records[0], lane.records[1]
    lane.publish(0, [*first[:7], first[6], *first[9:], (b"k1", b"x")], 2)
    lane.publish(1, second, 2)
    report, counts = lane.repair()
    assert counts == [(20, 18, 2), (5, 5, 0)]
    assert report.partitions[0].missing_ranges == [(7, 8)]
    assert [p.doubled for p in report.partitions] == [1, 0]
    assert report.foreign == {lane.copy: 1}
    assert any("cannot be told apart" in note for note in report.notes)
    assert lane.repair(apply=True)[0].published == 2
    assert lane.held()[0][-2:] == first[7:9]
    assert lane.repair()[1] == [(20, 20, 0), (5, 5, 0)]


def test_a_source_that_began_at_the_end_lacks_nothing_before(kafka, rivven, topic_name):
    lane = Repaired(kafka, rivven, topic_name(), (20,))
    lane.document["sources"]["in"]["config"]["start_offset"] = "latest"
    lane.publish(0, [*lane.records[0][8:12], *lane.records[0][13:]], 1)
    report, counts = lane.repair()
    assert counts == [(20, 11, 1)]
    assert report.partitions[0].before_start == 8


@pytest.mark.parametrize("value_format", ["event", "raw"])
def test_nothing_tells_where_a_source_began_that_has_left_nothing(
    kafka, rivven, topic_name, tmp_path, value_format
):
    """It may have begun behind all of it."""
    lane = Repaired(kafka, rivven, topic_name(), (20, 10), value_format=value_format)
    lane.document["sources"]["in"]["config"]["start_offset"] = "latest"
    lane.publish(0, [*lane.records[0][8:12], *lane.records[0][13:]], 2)
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(lane.document))
    # Raw values do not tell where they were, so that all before the first count as missing.
    missing = 1 if value_format == "event" else 9
    report, counts = lane.repair()
    assert counts == [(20, 11, missing), (10, 0, 0)]
    assert [p.undecided for p in report.partitions] == [0, 10]
    assert any(f"Rivven holds nothing of {lane.origin}:1" in note for note in report.notes)
    code, out, err = command("-c", path, "repair", "--source", "in", "--apply")
    assert (code, err) == (3, "")
    assert out.endswith(f"published {missing} records\n")
    assert lane.held()[1] == []


def test_it_does_not_write_beside_a_running_source(kafka, rivven, topic_name, tmp_path):
    lane = Repaired(kafka, rivven, topic_name(), (5,))
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(lane.document))
    with Running(lane.document) as running:
        wait_until(lambda: running.pipeline.assigned_since is not None, 30, running.describe)
        code, out, err = command("-c", path, "repair", "--source", "in", "--apply")
    assert (code, out) == (1, "")
    assert f"Kafka group 'r-{lane.origin}' has 1 active members: stop the source before --apply" in err
    assert lane.held() == {0: []}


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
            {"transforms": [{"type": "rename_field", "config": {"from": "metadata", "to": "about"}}]},
            "transforms: they change metadata.position",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(kafka, rivven, topic_name, config, entry, problem):
    document = source_file(kafka.bootstrap, rivven.bootstrap, topic_name(), "copy", "g", **config)
    document["sources"]["in"] |= entry
    loaded = ConnectConfig.model_validate(document)
    with pytest.raises(ConfigError, match=f"^sources.in.{problem}"):
        repair_source("in", loaded.sources["in"], loaded.broker, loaded.settings, apply=False)


def test_a_source_has_to_be_named(kafka, rivven, tmp_path):
    path = tmp_path / "connect.yaml"
    path.write_text(yaml.safe_dump(source_file(kafka.bootstrap, rivven.bootstrap, "t", "copy", "g")))
    code, _, err = command("-c", path, "repair", "--source", "other")
    assert code == 78
    assert "--source: got 'other': expected one of: in" in err
    assert command("-c", path, "repair")[0] == 2


@pytest.mark.parametrize(
    "api", [ApiKey.DescribeGroups, ApiKey.OffsetFetch], ids=["members", "committed offsets"]
)
def test_it_waits_for_a_coordinator_that_moves(tapped, rivven, topic_name, api):
    lane = Repaired(tapped, rivven, topic_name(), (5,), delivery_guarantee="exactly_once")
    lane.publish(0, lane.records[0][:3], 1)
    lane.document["sources"]["in"]["config"]["brokers"] = tapped.tap.address

    def moving(answer):
        for group in answer.groups:
            group.error_code = 14  # COORDINATOR_LOAD_IN_PROGRESS

    with tapped.tap.fault(api, changed(moving), 2) as fault:
        assert lane.repair(apply=True)[0].published == 2
    assert len(fault.hits) == 2
