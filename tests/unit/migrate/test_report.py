"""The report of a migration: what it stores, what it refuses, and what its page shows."""

import html.parser
import json
import re

import pytest
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.migrate.files import ReportFiles
from rivven_kafka.migrate.page import page
from rivven_kafka.migrate.report import Outcome, Report
from rivven_kafka.migrate.resume import resume

from tests.unit.migrate.reports import report

FINISHED = [outcome for outcome in Outcome if outcome.is_copied]


def test_it_comes_back_as_it_was(tmp_path):
    files = ReportFiles.of(str(tmp_path / "deep" / "r.json"), "in", alone=True)
    assert files.load() is None
    stored = report(notes=["ümlaut"], verification={"partitions": [{"equal": True}]})
    stored.settle(Outcome.FAILED, "away")
    files.save(stored, with_page=True)
    assert files.load() == stored
    assert files.page.name == "r.html"
    assert sorted(each.name for each in files.json.parent.iterdir()) == ["r.html", "r.json"]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (None, "migration-in%2F2.json"),
        ("there", "there/migration-in%2F2.json"),
        ("there.json", "there.json"),
    ],
)
def test_where_it_lies(place, name):
    assert str(ReportFiles.of(place, "in/2", alone=True).json) == name


def test_sources_of_like_names_have_files_of_their_own():
    names = ["a b", "a_b", "a%20b", "ä", "a/b", "a-b"]
    assert len({ReportFiles.of(None, name, alone=False).json for name in names}) == len(names)
    assert {ReportFiles.of(None, name, alone=False).json.parent.name for name in names} == {""}


def test_one_file_is_not_for_several_sources():
    with pytest.raises(
        ConfigError, match=r"--report: got 'r.json' for several sources: expected a directory"
    ):
        ReportFiles.of("r.json", "in", alone=False)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "topics": [3]}', "[" * 100_000, "\xff"],
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"r.json is not the report of a migration .* or --restart"):
        ReportFiles.of(str(path), "in", alone=True).load()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    files = ReportFiles.of(str(tmp_path / "file" / "deep" / "r.json"), "in", alone=True)
    with pytest.raises(RivvenKafkaError, match=r"--report: cannot write .*r.json: Not a directory"):
        files.save(report(), with_page=False)


def test_a_write_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    files = ReportFiles.of(str(tmp_path / "r.json"), "in", alone=True)
    files.save(report(group="old"), with_page=False)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rivven_kafka.migrate.files.os.fsync", full)
    with pytest.raises(RivvenKafkaError, match="No space left"):
        files.save(report(group="new"), with_page=False)
    assert files.load().group == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["r.json"]


def test_what_is_copied_is_complete():
    found = report()
    for outcome in (Outcome.RUNNING, Outcome.INTERRUPTED, Outcome.FAILED):
        found.settle(outcome, "why")
        assert (found.finished, found.done) == (None, 0)
    found.settle(Outcome.COPIED)
    first = found.finished
    assert first is not None
    assert (found.error, found.done, found.total) == (None, 400, 400)
    found.settle(Outcome.DIFFERENT)
    assert found.finished == first


def test_positions_never_go_back_and_count_to_the_end_only():
    found = report()
    found.reach({("orders", 0): 60, ("orders", 1): 500, ("other", 0): 7})
    found.reach({("orders", 0): 20})
    assert [each.done for each in found.topics[0].partitions] == [50, 100]


def resumed(earlier, found, *, by_pattern=False):
    return resume(earlier, found, "r.json", by_pattern=by_pattern)


def test_it_goes_on_to_the_same_ends_from_what_is_committed():
    earlier, found = report(), report(snapshot="later")
    earlier.reach({("orders", 0): 100, ("orders", 1): 100})
    for _, each in found.partitions():
        each.start, each.end, each.committed = 40, 999, 40
    after = resumed(earlier, found)
    assert after.snapshot == report().snapshot
    assert after.ends == report().ends
    assert [each.position for each in after.topics[0].partitions] == [40, 40], "not what the file says"


def test_what_is_complete_stays_so_when_kafka_has_forgotten_the_group():
    earlier = report()
    earlier.settle(Outcome.VERIFIED)
    assert resumed(earlier, report()).done == earlier.total


def test_what_kafka_has_deleted_unread_is_not_progress():
    earlier, found = report(), report()
    (_, first), (_, second), (_, third), (_, fourth) = found.partitions()
    for each, log_start, committed in (
        (first, 60, None),
        (second, 60, 30),
        (third, 60, 80),
        (fourth, 500, 110),
    ):
        each.log_start, each.committed, each.position = log_start, committed, max(log_start, committed or 0)
    for _ in range(2):
        after = resumed(earlier, found)
        assert [each.lost for _, each in after.partitions()] == [50, 30, 0, 0], "also the second time"
        assert [each.position for _, each in after.partitions()] == [10, 30, 80, 110]
    first.log_start = 70
    assert [each.lost for _, each in resumed(earlier, found).partitions()] == [60, 30, 0, 0]
    assert after.losses == ["Kafka has deleted 90 of 200 offsets of topic orders before they were copied"]


@pytest.mark.parametrize(
    ("lost", "outcome"), [(0, Outcome.COPIED), (5, Outcome.INCOMPLETE)], ids=["whole", "incomplete"]
)
def test_what_could_not_be_compared_is_not_copied_again(lost, outcome):
    earlier, found = report(), report()
    earlier.topics[0].partitions[0].lose(10, 10 + lost)
    earlier.settle(Outcome.COPIED)
    earlier.settle(Outcome.FAILED, "cannot verify")
    for _, each in found.partitions():
        # Kafka has forgotten the group meanwhile.
        each.log_start = 90
    after = resumed(earlier, found)
    assert (after.outcome, after.error) == (outcome, None)
    assert (after.lost, after.done) == (lost, after.total - lost)


@pytest.mark.parametrize("outcome", [Outcome.COPIED, Outcome.VERIFIED])
def test_what_lacks_a_part_is_incomplete(outcome):
    found = report()
    partition = found.topics[0].partitions[0]
    assert partition.lose(10, 60)
    assert not partition.lose(0, 60), "known"
    assert partition.lose(40, 70), "ten of them are known"
    assert partition.lose(105, 999), "up to the end"
    found.settle(outcome)
    assert (found.outcome, found.lost, found.done) == (Outcome.INCOMPLETE, 65, 335)
    assert found.finished is not None
    text = shown(found)
    assert "Kafka has deleted 65 of 200 offsets of topic orders" in text
    assert "67.5 %" in text
    found.settle(Outcome.DIFFERENT)
    assert found.outcome is Outcome.DIFFERENT
    assert Report.from_dict(found.to_dict("1")) == found


def recreated(found):
    found.topics[0].topic_id = "another"


def elsewhere(found):
    found.topics[0].destination = "x.orders"


def gone(found):
    del found.topics[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kafka_cluster": "b"}, "its Kafka cluster is 'cluster', not 'b'"),
        ({"rivven": ["r2:1"]}, "its Rivven is 'rivven1:9092', not 'r2:1'"),
        ({"group": "h"}, "its consumer group is 'g', not 'h'"),
        ({"source": "out"}, "its source is 'in', not 'out'"),
        (recreated, "topic 'orders' was deleted and created again since"),
        (elsewhere, "topic 'orders' went to Rivven topic 'mirror.orders', and now to 'x.orders'"),
        (gone, "topic 'orders' is in it, and is not to be copied now, or does not exist"),
    ],
)
def test_another_migration_is_refused_by_name(change, message):
    found = report(**change) if isinstance(change, dict) else report()
    if callable(change):
        change(found)
    with pytest.raises(ConfigError, match=re.escape(f"r.json is the report of another migration: {message}")):
        resumed(report(), found)


def test_new_topics_are_told_with_a_pattern_and_refused_without():
    earlier = report()
    del earlier.topics[1]
    with pytest.raises(ConfigError, match="topic 'pay' is not in it"):
        resumed(earlier, report())
    for _ in range(2):
        after = resumed(earlier, report(), by_pattern=True)
    assert after.notes == ["not in the snapshot, because they appeared later: pay"]
    assert len(after.topics) == 1


class _Checker(html.parser.HTMLParser):
    """Collects text, and fails at tags that are not closed in order or load something."""

    def __init__(self):
        super().__init__()
        self.text, self.open = [], []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe"), tag
        assert not {"src", "href", "onclick"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def shown(found):
    checker = _Checker()
    checker.feed(page(found))
    assert checker.open == []
    return " ".join(" ".join(checker.text).split())


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_page_tells_every_outcome(outcome):
    found = report()
    found.settle(outcome, None if outcome.is_copied else "the cause")
    text = shown(found)
    assert f"Migration of in {outcome.capitalize()}" in text
    assert ("the cause" in text) is not outcome.is_copied
    assert "cleanup.policy=compact" in text


def test_everything_on_the_page_is_escaped():
    evil = "<script>alert(1)</script>\"'&"
    found = report(source=evil, group=evil, rivven=[evil], kafka=[evil], kafka_cluster=evil, notes=[evil])
    topic = found.topics[0]
    topic.topic = topic.destination = evil
    topic.configs = {evil: evil}
    found.options = {evil: evil}
    partition = {"topic": evil, "partition": 0, "equal": False, evil: [evil, {evil: evil}]}
    found.verification = {"partitions": [{**partition, "digest_kafka": evil}], "notes": [evil], evil: evil}
    found.settle(Outcome.FAILED, evil)
    made = page(found)
    assert "<script" not in made
    assert "alert(1)" in shown(found)


def test_the_page_shows_where_both_sides_differ():
    found = report()
    found.settle(Outcome.DIFFERENT)
    same = {
        "equal": True,
        "records_kafka": 100,
        "records_rivven": 100,
        "digest_kafka": "aa",
        "digest_rivven": "aa",
    }
    other = {**same, "equal": False, "records_rivven": 99, "first_difference": {"kafka_offset": 42}}
    found.verification = {
        "partitions": [
            {"topic": "orders", "partition": 0, **same},
            {"topic": "orders", "partition": 1, **other},
        ]
    }
    text = shown(found)
    assert "orders:1" in text
    assert "first difference kafka offset 42" in text
    assert "equal" in text
    assert "different" in text


def test_the_page_shows_what_was_found_besides_and_the_notes_of_the_comparison():
    found = report(notes=["of the copy"])
    found.settle(Outcome.VERIFIED)
    found.verification = {"partitions": [], "foreign": {"mirror.orders": 0}, "notes": ["of both sides"]}
    text = shown(found)
    assert "Notes of the copy of both sides Topics" in text
    assert "did not come from" not in text
    found.verification["foreign"] = {"mirror.orders": 0, "mirror.pay": 7}
    assert "did not come from these topics mirror.pay 7" in shown(found)
    assert "mirror.orders 0" not in shown(found)


def test_very_many_partitions_leave_a_page_that_a_browser_can_show():
    found = report()
    found.topics[0].partitions *= 2_000
    assert "And 2002 more" in shown(found)
    assert json.loads(json.dumps(found.to_dict("1")))["format"] == 1


def test_a_report_of_the_same_form_only():
    with pytest.raises(ValueError, match="not of its form"):
        Report.from_dict({**report().to_dict("1"), "unknown": 1})
