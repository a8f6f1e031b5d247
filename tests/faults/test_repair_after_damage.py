"""From a damaged rivvend to a Rivven topic that has everything again."""

import json
from contextlib import closing

import pytest
import yaml
from rivven_kafka._native import RivvenClient

from tests.integration.test_cli_commands import command
from tests.support.connector import Connector, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, numbered, rivven_values
from tests.support.rivven_wire import RivvenWire
from tests.support.topics import TopicWriter, committed_offsets

pytestmark = pytest.mark.faults

PARTITIONS, COUNT = 2, 300
LATER = b"later" * 40


def copied(kafka, rivven, origin, copy, directory, count=COUNT, **options):
    """Runs a source until it has copied everything; returns the file."""
    fill_kafka(kafka.bootstrap, origin, PARTITIONS, count)
    options |= {"auto_commit_interval_ms": 100}
    config = source_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", **options)
    path = directory / f"{copy}.yaml"
    path.write_text(yaml.safe_dump(config))
    run_until_copied(kafka, path, origin, count)
    return path


def run_until_copied(kafka, path, origin, count):
    """Runs a source until it has committed `count` records of each partition."""
    group = f"g-{origin}"

    def complete():
        assert connector.running, connector.log_tail()
        return sum(committed_offsets(kafka.bootstrap, group, origin).values()) == PARTITIONS * count

    with Connector(path.parent, yaml.safe_load(path.read_text()), path.stem) as connector:
        wait_until(complete, 60, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()


def repair(path, *options):
    code, out, err = command("-c", path, "repair", "--source", "in", "--format", "json", *options)
    return code, json.loads(out) if out else err


def forget_index(rivven):
    """The step of the runbook, between a stop and a start."""
    for pattern in ("**/*.index", "wal/*.wal"):
        for file in rivven.data_dir.glob(pattern):
            file.unlink()


@pytest.mark.timeout(180)
def test_from_damage_to_completeness(kafka, own_rivven, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    path = copied(kafka, own_rivven, origin, copy, tmp_path)
    assert repair(path)[0] == 0
    own_rivven.kill()
    own_rivven.restart(keep_wal=True)
    with closing(RivvenClient([own_rivven.bootstrap])) as client:
        for partition in range(PARTITIONS):
            # Written after the replay, as a source that goes on does: the log keeps its end.
            client.publish(copy, partition, [(None, LATER)] * 50)
    _, report = repair(path)
    # What the replay has hidden or doubled differs from run to run.
    assert all(partition["missing"] or partition["doubled"] for partition in report["partitions"]), report
    assert bool(report["unreadable"]) == any(partition["missing"] for partition in report["partitions"])

    own_rivven.stop()
    forget_index(own_rivven)
    # And a disk that has lost a file.
    [lost] = own_rivven.data_dir.glob(f"**/{copy}/*1/*.log")
    lost.unlink()
    own_rivven.restart()
    code, report = repair(path)
    assert code == 3
    assert report["unreadable"] == []
    assert report["beyond_end"] == []
    found = [(p["present"], p["missing"], p["missing_ranges"]) for p in report["partitions"]]
    assert found == [(COUNT, 0, []), (0, COUNT, [[0, COUNT - 1]])]

    code, report = repair(path, "--apply")
    assert (code, report["published"]) == (0, COUNT), report
    code, report = repair(path)
    assert code == 0
    assert [p["missing"] for p in report["partitions"]] == [0, 0]
    values = rivven_values(own_rivven, copy, PARTITIONS)
    events = {p: [value for value in held if value != LATER] for p, held in values.items()}
    arrivals = Arrivals.of(events, PARTITIONS, COUNT)
    assert (arrivals.lost, arrivals.strayed, arrivals.overtaken) == ([], [], [])


@pytest.mark.timeout(120)
def test_it_does_not_write_into_a_damaged_log(kafka, own_rivven, topic_name, tmp_path):
    origin, copy = topic_name(), topic_name()
    path = copied(kafka, own_rivven, origin, copy, tmp_path)
    own_rivven.kill()
    own_rivven.restart(keep_wal=True)
    code, text = repair(path, "--apply")
    assert code == 1
    assert "delete <data-dir>/wal/*.wal before it starts again" in text
    # Nothing was published behind the copies of the replay, and the last of them has offset 0.
    own_rivven.stop()
    forget_index(own_rivven)
    own_rivven.restart()
    code, text = repair(path, "--apply")
    assert code == 1
    assert "the log holds records behind its end, and new ones would hide behind them" in text
    code, report = repair(path)
    assert [(span["partition"], span["first"]) for span in report["beyond_end"]] == [(0, 1), (1, 1)]


@pytest.mark.timeout(180)
def test_the_source_goes_on_after_the_repair(kafka, own_rivven, topic_name, tmp_path):
    """Copies of the replay stay in every log, also in those that are read whole at each start."""
    later = 10
    lanes = {}
    for guarantee in ("at_least_once", "exactly_once"):
        for count in (5, 50, 500):
            origin, copy = topic_name(), f"{guarantee}-{count}"
            path = copied(kafka, own_rivven, origin, copy, tmp_path, count, delivery_guarantee=guarantee)
            lanes[copy] = (origin, count, path)
    own_rivven.kill()
    own_rivven.restart(keep_wal=True)
    with closing(RivvenClient([own_rivven.bootstrap])) as client:
        for copy in lanes:
            for partition in range(PARTITIONS):
                client.publish(copy, partition, [(None, LATER)] * 5)
    own_rivven.stop()
    forget_index(own_rivven)
    for copy in lanes:
        [lost] = own_rivven.data_dir.glob(f"**/{copy}/*1/*.log")
        lost.unlink()
    own_rivven.restart()
    for copy, (origin, count, path) in lanes.items():
        code, report = repair(path, "--apply")
        assert code == 0, (copy, report)
        assert report["published"] == count, report
        with TopicWriter(kafka.bootstrap, origin, PARTITIONS) as writer:
            for partition in range(PARTITIONS):
                writer.write(partition, numbered(partition, range(count, count + later)))
        run_until_copied(kafka, path, origin, count + later)
        with RivvenWire("127.0.0.1", own_rivven.port) as wire:
            held = [wire.read_all(copy, partition) for partition in range(PARTITIONS)]
        first = {p: {} for p in range(PARTITIONS)}
        copies = 0
        for partition, records in enumerate(held):
            for record in records:
                copies += first[partition].setdefault(record.offset, record.value) is not record.value
                assert record.offset == 0 or first[partition][record.offset] is record.value
        assert copies == count, "those of the partition that lost nothing"
        values = {p: [value for value in found.values() if value != LATER] for p, found in first.items()}
        arrivals = Arrivals.of(values, PARTITIONS, count + later)
        assert arrivals == Arrivals([], [], [], 0), copy
