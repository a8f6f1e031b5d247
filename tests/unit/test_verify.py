"""What `verify` decides and shows, without a broker."""

import threading

import pytest
from rivven_kafka.errors import ConfigError, RetriableBrokerError
from rivven_kafka.kafka.group_state import PartitionState
from rivven_kafka.reading.patience import patiently
from rivven_kafka.verify.ranges import Range, Wanted, notes_on, range_of
from rivven_kafka.verify.report import Difference, PartitionResult, RecordCopy, VerifyReport
from rivven_kafka.verify.shown import MOST_BYTES, shown
from rivven_kafka.verify.tasks import Meter, Stopped, go_on, run_jobs

PLACE = ("orders", 3)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, None),
        (b"", ""),
        ("grün 🌱".encode(), "grün 🌱"),
        (b"a\x1b[2J\r\n\x00", r"a\x1b[2J\r\n\x00"),
        (b"\xff\x00", r"\xff\x00"),
        ("a\u202eb\u200b".encode(), r"a\u202eb\u200b"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_shown(data, text):
    assert shown(data) == text


def test_long_values_are_shown_where_they_differ():
    data = b"x" * 1000 + b"!" + b"y" * 1000
    assert shown(data) == "x" * MOST_BYTES + " [1801 more bytes]"
    assert shown(data, 1000) == "[960 bytes] " + "x" * 40 + "!" + "y" * 159 + " [841 more bytes]"
    assert shown(data, 2000).endswith("y" * 41)


@pytest.mark.parametrize(
    ("start", "end", "committed", "first_copied", "wanted", "found"),
    [
        (0, 50, 40, 0, Wanted({}, {}), Range(0, 40)),
        (10, 50, 40, 0, Wanted({}, {}), Range(10, 40)),
        (0, 0, None, 0, Wanted({}, {}), Range(0, 0)),
        (0, 50, 0, 0, Wanted({}, {}), Range(0, 0)),
        # Nobody has committed anything: nothing is proved.
        (10, 50, None, 0, Wanted({}, {}), Range(10, 10, undecided=40)),
        (0, 50, None, 0, Wanted({}, {}, to_end=True), Range(0, 50)),
        (0, 50, None, 8, Wanted({}, {}), Range(8, 8, undecided=42)),
        (0, 50, None, None, Wanted({}, {}), Range(0, 0, undecided=50, unknown_start=True)),
        (0, 50, 40, 0, Wanted({}, {}, to_end=True), Range(0, 50)),
        (0, 50, 40, 0, Wanted({PLACE: 5}, {PLACE: 20}), Range(5, 20)),
        (10, 50, 40, 0, Wanted({PLACE: 5}, {PLACE: 20}), Range(10, 20)),
        (0, 50, 40, 8, Wanted({}, {}), Range(8, 40)),
        (0, 50, 40, None, Wanted({}, {}), Range(40, 40, undecided=40, unknown_start=True)),
        (0, 50, 40, None, Wanted({PLACE: 5}, {}), Range(5, 40)),
        # Deleted before the group had committed it.
        (45, 50, 40, 0, Wanted({}, {}), Range(45, 45, undecided=5)),
        (45, 50, 40, 0, Wanted({}, {}, to_end=True), Range(45, 50, undecided=5)),
        # All that was copied is deleted: there is nothing to prove.
        (50, 50, 50, 0, Wanted({}, {}), Range(50, 50)),
        (50, 50, 50, 0, Wanted({}, {}, to_end=True), Range(50, 50)),
        # All that was asked for is deleted.
        (50, 50, None, 0, Wanted({}, {}, to_end=True), Range(50, 50, undecided=50)),
        (20, 50, 50, 0, Wanted({PLACE: 5}, {PLACE: 20}), Range(20, 20, undecided=15)),
        (30, 50, 50, 0, Wanted({PLACE: 5}, {PLACE: 20}), Range(30, 30, undecided=15)),
        (50, 50, 50, 0, Wanted({}, {PLACE: 50}), Range(50, 50, undecided=50)),
        (50, 50, 50, 0, Wanted({}, {PLACE: 50}, due={PLACE: 20}), Range(50, 50, undecided=30)),
        # Nothing of it was there when the end was noted; or a part of it is still there.
        (50, 50, 50, 0, Wanted({}, {PLACE: 50}, due={PLACE: 50}), Range(50, 50)),
        (40, 50, 50, 0, Wanted({}, {PLACE: 50}, due={PLACE: 20}), Range(40, 50)),
    ],
)
def test_the_range_of_a_partition(start, end, committed, first_copied, wanted, found):
    assert range_of(PLACE, PartitionState(start, end, committed), wanted, first_copied) == found


@pytest.mark.parametrize(
    "wanted", [Wanted({PLACE: 51}, {}), Wanted({}, {PLACE: 51}), Wanted({PLACE: -1}, {})]
)
def test_a_range_that_is_not_there_is_refused(wanted):
    with pytest.raises(
        ConfigError, match="range of orders:3: got offset .*: expected at least 0 and at most"
    ):
        range_of(PLACE, PartitionState(0, 50, 40), wanted, 0)


@pytest.mark.parametrize(
    ("state", "wanted", "note"),
    [
        ((0, 50, 40), Wanted({}, {}), None),
        ((10, 50, 40), Wanted({}, {}), None),
        ((0, 50, None), Wanted({}, {}), "group 'g' has no committed offset in orders:3"),
        ((15, 50, 10), Wanted({}, {}), "and the group had committed 10 only: nothing tells what became of 5"),
        (
            (20, 50, 50),
            Wanted({PLACE: 5}, {PLACE: 20}),
            "nothing is left of 15 offsets that were to be compared",
        ),
        ((50, 50, 50), Wanted({}, {}), "deleted orders:3 before 50: nothing of it is left to compare"),
        ((10, 50, 50), Wanted({PLACE: 5}, {PLACE: 20}), "of offsets 5-9 nothing is proved"),
        ((10, 50, 50), Wanted({}, {PLACE: 20}), "of offsets 0-9 nothing is proved"),
        ((10, 50, 50), Wanted({}, {PLACE: 20}, due={PLACE: 6}), "of offsets 6-9 nothing is proved"),
        ((10, 50, 50), Wanted({}, {PLACE: 20}, due={PLACE: 10}), None),
    ],
)
def test_what_is_not_compared_is_noted(state, wanted, note):
    states = {PLACE: PartitionState(*state)}
    notes = notes_on("g", {PLACE: range_of(PLACE, states[PLACE], wanted, 0)}, states, wanted)
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_an_unknown_beginning_is_noted():
    states, wanted = {PLACE: PartitionState(0, 50, 40)}, Wanted({}, {})
    [note] = notes_on("g", {PLACE: range_of(PLACE, states[PLACE], wanted, None)}, states, wanted)
    assert note.startswith("start_offset is latest, and Rivven holds nothing of orders:3")
    assert "so 40 offsets of it are not compared" in note


def test_a_coordinator_that_moves_is_asked_again():
    answers = iter([RetriableBrokerError("moving"), RetriableBrokerError("moving"), None])
    asked = []

    def ask():
        asked.append(True)
        error = next(answers)
        if error is not None:
            raise error
        return 7

    assert patiently(ask) == 7
    assert len(asked) == 3


def test_patience_ends():
    def ask():
        raise RetriableBrokerError("moving")

    with pytest.raises(RetriableBrokerError, match="moving"):
        patiently(ask, 0.0)


def test_the_first_job_that_fails_ends_the_others():
    began = threading.Barrier(2, timeout=10)
    ended = []

    def patient(stop):
        began.wait()
        while True:
            stop.wait(0.01)
            try:
                go_on(stop)
            except Stopped:
                ended.append(True)
                raise

    def failing(_):
        began.wait()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_jobs([patient, failing, lambda _: ended.append(False)], 2)
    assert ended == [True]


def test_jobs_are_shared_out():
    done = []
    run_jobs([lambda _, n=n: done.append(n) for n in range(20)], 3)
    assert sorted(done) == list(range(20))


def test_progress_is_told_now_and_then():
    told = []
    meter = Meter(5000, told.append)
    for _ in range(1000):
        meter.add(kafka=2, rivven=1)
    assert told[0] == "comparing: 2 of about 5000 records of Kafka, 1 of Rivven"
    assert len(told) < 100


def result(**changes):
    return PartitionResult("orders", 3, "copy", 0, 10, 10, 10, "ab", "ab", **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"missing": 1},
        {"extra": 1},
        {"doubled": 1},
        {"out_of_order": 1},
        {"misplaced": 1},
        {"undecided": 1},
        {"first_difference": Difference("altered", 5, "x")},
    ],
)
def test_each_of_these_is_a_difference(changes):
    assert result().equal
    assert result(left_out=1, bad=1, compacted_away=1, missing=None).equal
    assert not result(**changes).equal
    assert not VerifyReport("in", [result(), result(**changes)]).equal
    assert VerifyReport("in", [result()]).equal
    assert not VerifyReport("in", []).equal, "nothing is proved of nothing"


def test_a_report_in_json_hides_what_it_is_told_to():
    kafka = RecordCopy(3, 5, 7, 0, b"key", b"secret 1", ((b"name", b"header"),))
    rivven = RecordCopy(3, 9, 7, 1, None, None)
    report = VerifyReport("in", [result(first_difference=Difference("altered", 5, "x", (), kafka, rivven))])
    told = report.to_dict()["partitions"][0]["first_difference"]
    assert told["kafka"] == {
        "partition": 3,
        "offset": 5,
        "timestamp": 7,
        "timestamp_type": 0,
        "key_bytes": 3,
        "value_bytes": 8,
        "key": "key",
        "value": "secret 1",
        "headers": [["name", "header"]],
    }
    assert (told["rivven"]["key"], told["rivven"]["value_bytes"]) == (None, None)
    hidden = repr(report.to_dict(values=False))
    assert not any(text in hidden for text in ("secret", "header", "'key'"))
