"""How fast records are delivered, and when the last one was, with the time told by hand."""

from rivven_kafka.pipeline.pace import Pace


class Time:
    def __init__(self):
        self.now = 50.0
        self.pace = Pace(lambda: self.now)

    def pass_(self, seconds, records, size=0):
        self.now += seconds
        return self.pace.note(records, size)


def test_the_mean_of_the_last_ten_seconds():
    time = Time()
    assert time.pass_(1, 100, 1_000) == (100, 1_000)
    for second in range(2, 31):
        rate = time.pass_(1, 100 * second, 1_000 * second)
    assert rate == (100, 1_000)
    for _ in range(5):
        rate = time.pass_(1, 3_000, 30_000)
    assert rate == (50, 500)
    for _ in range(5):
        rate = time.pass_(1, 3_000, 30_000)
    assert rate == (0, 0)


def test_without_looks_the_mean_is_of_the_time_since_the_last_one():
    time = Time()
    time.pass_(1, 10)
    assert time.pass_(99, 1_000).records_per_second == 10
    assert time.pass_(100, 1_000).records_per_second == 0


def test_the_last_progress_is_when_records_moved():
    time = Time()
    time.pass_(1, 0)
    assert time.pace.last_progress is None
    time.pass_(1, 5)
    first = time.pace.last_progress
    assert first is not None
    time.pass_(1, 5)
    assert time.pace.last_progress == first
    time.pass_(1, 6)
    assert time.pace.last_progress > first


def test_what_counts_less_for_a_moment_is_no_negative_rate():
    time = Time()
    time.pass_(1, 100)
    assert time.pass_(1, 90) == (45, 0)
    time.pass_(20, 100)
    assert time.pass_(1, 80).records_per_second == 0
