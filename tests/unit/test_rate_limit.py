"""The token bucket: the rate holds over any time, whatever the size of the blocks."""

from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka.pipeline.rate_limit import RateLimit


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_no_limit_allows_everything():
    limit = RateLimit(0)
    limit.spend(1_000_000)
    assert limit.allowed(500) == 500
    assert limit.wait_ms(100) == 0


def test_a_burst_passes_at_once_and_then_the_rate_holds():
    clock = Clock()
    limit = RateLimit(100, 20, clock)
    assert limit.allowed(500) == 20
    limit.spend(20)
    assert limit.allowed(500) == 0
    assert limit.wait_ms(1_000) == 11
    clock.now = 0.1
    assert limit.allowed(500) == 10


def test_quiet_time_is_not_saved_beyond_the_burst():
    clock = Clock()
    limit = RateLimit(100, clock=clock)
    clock.now = 60.0
    assert limit.allowed(500) == 10


@given(st.integers(1, 1000), st.lists(st.tuples(st.floats(0, 2), st.integers(1, 300)), max_size=50))
def test_the_rate_is_never_exceeded_for_long(rate, steps):
    clock = Clock()
    limit = RateLimit(rate, clock=clock)
    passed = largest = 0
    for pause, block in steps:
        clock.now += pause
        if limit.allowed(block):
            limit.spend(block)
            passed += block
            largest = max(largest, block)
    assert passed <= max(1, rate / 10) + clock.now * rate + largest + 1
