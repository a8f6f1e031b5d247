"""When a partition counts as stalled, with the time told by hand."""

from contextlib import contextmanager

import pytest
from rivven_kafka.errors import StalledError
from rivven_kafka.pipeline.watchdog import Watchdog

A, B = ("orders", 0), ("orders", 1)


class Time:
    """A loop that looks, and a judge, twice a second."""

    def __init__(self, timeout_ms=10_000):
        self.now = 100.0
        self.dog = Watchdog(timeout_ms, lambda: self.now)
        self.done = self.in_flight = 0
        self.held = set()
        self.reasons = []

    def pass_(self, seconds, *, looking=True):
        """Returns what was found to be stalled meanwhile, at the first time."""
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            if looking:
                self.dog.look(self.done, self.in_flight, self.held.__contains__)
            found = self.dog.judge(lambda partition: f"reason of {partition[1]}")
            if found:
                return found
        return []

    def hear(self, **ends):
        self.dog.ends({A: ends.get("a", 0), B: ends.get("b", 0)})


@pytest.fixture
def time():
    made = Time()
    made.dog.assign([A, B])
    for partition in (A, B):
        made.dog.starts(partition, 0)
    made.hear()
    return made


def test_what_is_behind_and_does_not_move_is_stalled(time):
    time.hear(a=5)
    assert not time.pass_(9.5)
    time.hear(a=5)
    [stall] = time.pass_(0.5)
    assert (stall.topic, stall.partition, stall.position, stall.end) == ("orders", 0, 0, 5)
    assert stall.reason == "reason of 0"
    assert time.dog.stalled == [stall]
    with pytest.raises(StalledError) as error:
        time.dog.check()
    assert str(error.value) == "no progress for 10 s at position 0, log end 5: reason of 0 [orders:0@0]"
    assert error.value.retriable


def test_what_moves_is_not_however_slowly(time):
    time.hear(a=100)
    for position in range(1, 6):
        time.hear(a=100)
        assert not time.pass_(9)
        time.dog.moved([(*A, position)])
    time.hear(a=100)
    assert not time.pass_(9.5)
    assert time.pass_(0.5)


def test_what_has_nothing_to_deliver_is_not(time):
    for _ in range(10):
        time.hear()
        assert not time.pass_(5)
    # It falls behind now: the time before does not count.
    time.hear(b=1)
    assert not time.pass_(9.5)
    time.hear(b=1)
    assert [stall.partition for stall in time.pass_(0.5)] == [1]


def test_an_end_that_cannot_be_learned_counts_as_being_behind(time):
    assert not time.pass_(9.5)
    found = time.pass_(0.5)
    assert [(stall.position, stall.end) for stall in found] == [(0, 0), (0, 0)]
    time.pass_(1)
    assert len(time.dog.stalled) == 2
    time.hear()
    time.pass_(1)
    assert time.dog.stalled == []
    assert "; and 1 more partitions" in str(time.dog.error)


def test_a_position_that_was_never_learned():
    time = Time()
    time.dog.assign([A])
    assert not time.pass_(9.5)
    [stall] = time.pass_(0.5)
    assert (stall.position, stall.end) == (None, None)
    assert "at position unknown, log end unknown" in str(time.dog.error)


def test_nothing_is_stalled_before_its_time_since_the_assignment(time):
    time.hear(a=5)
    time.pass_(9)
    time.dog.forget([A])
    time.dog.assign([A])
    time.dog.starts(A, 0)
    time.hear(a=5)
    assert not time.pass_(9.5)


def test_zero_turns_it_off():
    time = Time(0)
    time.dog.assign([A])
    assert not time.pass_(100)
    time.dog.check()


def test_one_that_waits_its_turn_behind_others_is_not_stalled(time):
    """A thousand records were on their way at a time: so many may come first."""
    time.hear(a=5, b=10_000)
    time.in_flight = 1_000
    for _ in range(99):
        time.hear(a=5, b=10_000)
        time.done += 10
        time.dog.moved([(*B, time.done)])
        assert not time.pass_(1)
    time.done += 20
    time.dog.moved([(*B, time.done)])
    assert [stall.partition for stall in time.pass_(1)] == [0]


def test_one_that_waits_its_turn_is_stalled_when_nothing_moves(time):
    time.hear(a=5, b=10_000)
    time.in_flight = 1_000
    time.done = 1
    time.dog.moved([(*B, 1)])
    assert not time.pass_(9.5)
    time.hear(a=5, b=10_000)
    assert {stall.partition for stall in time.pass_(1.5)} == {0, 1}


def test_one_that_a_limit_holds_back_is_not_stalled_while_others_move(time):
    time.held = {A}
    for _ in range(100):
        time.hear(a=5, b=10_000)
        time.done += 1
        time.dog.moved([(*B, time.done)])
        assert not time.pass_(1)
    assert [stall.partition for stall in time.pass_(12)] == [1]
    assert {stall.partition for stall in time.pass_(1)} == {0, 1}


def test_records_of_earlier_runs_do_not_count_as_a_turn():
    time = Time()
    time.done = 1_000_000
    time.dog.assign([A, B])
    for partition in (A, B):
        time.dog.starts(partition, 0)
    time.in_flight = 500
    for position in range(1, 15):
        time.hear(a=5, b=10_000)
        time.done += 10
        time.dog.moved([(*B, position)])
        assert not time.pass_(1)


def test_a_process_that_was_stopped_itself_has_seen_no_stall(time):
    time.hear(a=5)
    time.pass_(5)
    time.now += 3_600
    assert not time.pass_(4.5)
    time.hear(a=5)
    assert [stall.partition for stall in time.pass_(1)] == [0]


def test_nothing_is_stalled_while_it_is_prepared(time):
    time.hear(a=5)
    time.pass_(8)
    with time.dog.preparing():
        assert not time.pass_(60, looking=False)
        # The judge may be kept too.
        time.now += 60
        assert not time.pass_(1, looking=False)
    # What came before counts, and what comes behind.
    assert not time.pass_(1.5)
    time.hear(a=5)
    [stall] = time.pass_(0.5)
    assert (stall.partition, stall.reason) == (0, "reason of 0")


def test_one_that_is_assigned_while_others_are_prepared_has_all_its_time():
    time = Time()
    with time.dog.preparing():
        time.pass_(30, looking=False)
        time.dog.assign([A])
        time.pass_(5, looking=False)
    assert not time.pass_(9.5)
    assert time.pass_(0.5)


def test_what_keeps_the_loop_is_the_reason(time):
    time.hear(a=5)

    @contextmanager
    def inside():
        with time.dog.doing("outer"), time.dog.doing("Rivven does not take a dead letter"):
            yield

    with inside():
        [stall, _] = time.pass_(10, looking=False)
    assert stall.reason == "Rivven does not take a dead letter"


def test_a_stall_lasts_beyond_the_run_until_the_partition_moves(time):
    time.hear(a=5)
    time.pass_(9)
    time.hear(a=5)
    [first] = time.pass_(1)
    time.dog.reset()
    assert time.dog.stalled == [first]
    assert time.dog.lag == []
    time.dog.check()

    time.dog.assign([A, B])
    time.dog.starts(A, 0)
    time.pass_(1)
    time.hear(a=6)
    time.pass_(1)
    assert time.dog.stalled == [first]
    time.dog.moved([(*A, 1)])
    time.pass_(1)
    assert time.dog.stalled == []
    assert time.dog.stalls == 1


def test_what_stands_still_after_another_error_is_not_its_cause(time):
    time.hear(a=5)
    time.pass_(9)
    time.dog.ends_run()
    assert not time.pass_(20)
    time.dog.check()
    time.dog.reset()
    time.dog.assign([A])
    assert time.pass_(10)


def test_a_stall_goes_on_counting_from_its_beginning(time):
    time.hear(a=5)
    time.pass_(9)
    time.hear(a=5)
    [first] = time.pass_(1)
    time.dog.reset()
    time.dog.assign([A])
    time.dog.starts(A, 0)
    time.hear(a=5)
    time.pass_(9)
    time.hear(a=5)
    [second] = time.pass_(1)
    assert second.since == first.since
    assert time.dog.stalls == 2


@pytest.mark.parametrize("how", ["nothing to deliver", "someone else's"])
def test_a_stall_ends_without_a_move(time, how):
    time.hear(a=5)
    time.pass_(9)
    time.hear(a=5)
    time.pass_(1)
    time.dog.reset()
    if how == "nothing to deliver":
        time.dog.assign([A, B])
        time.dog.starts(A, 5)
        time.hear(a=5)
    else:
        time.dog.assign([])
    time.pass_(1)
    assert time.dog.stalled == []


def test_lag(time):
    time.dog.ends({A: 7})
    time.dog.moved([(*A, 3)])
    time.dog.reaches(B, 9)
    time.dog.reaches(B, 4)
    time.dog.moved([(*B, 12), ("others", 0, 1)])
    assert [(lag.topic, lag.partition, lag.position, lag.end, lag.records) for lag in time.dog.lag] == [
        ("orders", 0, 3, 7, 4),
        ("orders", 1, 12, 12, 0),
    ]
    time.dog.assign([("more", 0)])
    assert time.dog.lag[0].records is None


def test_what_was_read_does_not_tell_where_the_log_ends(time):
    time.dog.fresh_s = 5
    time.dog.assign([A, B])
    time.dog.reaches(B, 9)
    assert [lag.fresh for lag in time.dog.lag] == [False, False]
    time.dog.ends({B: 20})
    time.dog.reaches(B, 30)
    assert [lag.fresh for lag in time.dog.lag] == [False, True]
    time.pass_(4)
    time.dog.reaches(B, 40)
    time.pass_(2)
    assert [(lag.end, lag.fresh) for lag in time.dog.lag] == [(None, False), (40, False)]


def test_what_rests_is_never_stalled_and_has_the_whole_time_afterwards(time):
    time.hear(a=5)
    assert not time.pass_(9)
    for _ in range(10):
        time.dog.rest()
        time.hear(a=5)
        assert not time.pass_(5)
    assert [lag.records for lag in time.dog.lag] == [5, 0]
    # The last rest was 5 s ago.
    time.hear(a=5)
    assert not time.pass_(4.5)
    time.hear(a=5)
    assert time.pass_(0.5)


class Ages:
    """One partition that is read from 0 on, with both clocks told by hand."""

    def __init__(self):
        self.now, self.wall = 100.0, 1_000_000.0
        self.dog = Watchdog(10_000, lambda: self.now, lambda: self.wall)
        self.dog.fresh_s = 12.0
        self.dog.assign([A])
        self.dog.starts(A, 0)

    def pass_(self, seconds):
        self.now += seconds
        self.wall += seconds

    def times(self, oldest_s=None, newest_s=None):
        ms = [None if at is None else round(at * 1000) for at in (oldest_s, newest_s)]
        self.dog.times([(*A, *ms)])

    @property
    def lag(self):
        [lag] = self.dog.lag
        return lag


def test_a_record_that_was_read_tells_the_age():
    ages = Ages()
    ages.dog.ends({A: 9})
    assert ages.lag.seconds is None, "nothing is known of its records"
    ages.times(oldest_s=ages.wall - 90)
    ages.pass_(5)
    assert ages.lag.seconds == pytest.approx(95)
    ages.pass_(60)
    lag = ages.lag
    assert (lag.records, lag.seconds) == (None, pytest.approx(155)), "it waits, whatever came behind it"
    assert lag.behind


def test_before_a_record_is_read_it_is_no_older_than_what_is_before_it():
    ages = Ages()
    ages.dog.ends({A: 9})
    ages.times(newest_s=ages.wall - 30)
    assert ages.lag.seconds == pytest.approx(30)
    ages.dog.moved([(*A, 9)])
    ages.dog.ends({A: 9})
    assert ages.lag.seconds == 0
    ages.pass_(1_000)
    ages.dog.ends({A: 9})
    ages.pass_(4)
    ages.dog.ends({A: 10})
    assert ages.lag.seconds == pytest.approx(4), "4 s ago there was nothing to deliver"


def test_a_timestamp_in_the_future_is_now():
    ages = Ages()
    ages.dog.ends({A: 9})
    ages.times(oldest_s=ages.wall + 3_600)
    assert ages.lag.seconds == 0
    # And tells nothing about the record behind it.
    ages.times(newest_s=ages.wall + 3_600)
    assert ages.lag.seconds is None


def test_an_end_that_was_not_heard_of_lately_is_not_known():
    ages = Ages()
    ages.dog.ends({A: 0})
    assert (ages.lag.records, ages.lag.seconds) == (0, 0)
    ages.pass_(12.5)
    lag = ages.lag
    assert (lag.records, lag.seconds, lag.behind) == (None, None, False)
    ages.dog.ends({A: 0})
    assert ages.lag.records == 0


def test_commits_are_those_of_partitions_that_are_ours():
    ages = Ages()
    assert ages.lag.committed is None
    ages.dog.commits([(*A, 7), (*B, 3)])
    assert [(lag.partition, lag.committed) for lag in ages.dog.lag] == [(0, 7)]
    ages.dog.forget([A])
    ages.dog.assign([A])
    assert ages.lag.committed is None, "another process may have committed since"


def test_what_keeps_the_loop_and_for_how_long(time):
    with time.dog.doing("asks"):
        time.pass_(5, looking=False)
        assert time.dog.kept() == (5.0, "asks")
        # The process itself was stopped.
        time.now += 60
        time.dog.judge(str)
        assert time.dog.kept() == (5.0, "asks")
    time.pass_(0.5)
    assert time.dog.kept() == (0.0, None)
    time.hear()
    time.pass_(5, looking=False)
    with time.dog.preparing():
        assert time.dog.kept() == (0.0, None)
        time.now += 60
    assert time.dog.kept() == (5.0, None)
    time.dog.assign([B])
    assert time.dog.kept() == (0.0, None)


def test_an_end_that_is_only_presumed_is_not_known_and_does_not_stall(time):
    """The leader is gone: nothing can move, and what was written before it went is not heard of."""
    time.dog.fresh_s = 12.0
    for partition in (A, B):
        time.dog.starts(partition, 0)
    for _ in range(60):
        time.dog.ends({A: 0, B: 0}, told=False)
        assert not time.pass_(1)
    assert [(lag.records, lag.seconds, lag.fresh) for lag in time.dog.lag] == [(None, None, False)] * 2
    time.hear(a=1)
    assert [lag.records for lag in time.dog.lag] == [1, 0]
