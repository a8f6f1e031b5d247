"""Where a damaged Rivven log can be read again."""

import pytest
from rivven_kafka.reading import rivven_log
from rivven_kafka.reading.rivven_log import next_readable


@pytest.fixture(autouse=True)
def few_probes(monkeypatch):
    monkeypatch.setattr(rivven_log, "_PROBES", 8)


@pytest.mark.parametrize("readable", [11, 12, 17, 18, 19, 20, 500, 997, 998, 999])
def test_the_lowest_offset_that_can_be_read(readable):
    asked = []

    def first_from(offset):
        asked.append(offset)
        return offset if offset >= readable else None

    assert next_readable(first_from, 10, 1000) == readable
    assert max(asked) < 1000
    assert len(asked) < 8 + 2 * 10, "steps double, and halving goes back"


def test_an_answer_that_jumps_tells_where():
    assert next_readable(lambda offset: 700 if offset >= 300 else None, 10, 1000) == 700
    assert next_readable(lambda offset: 0 if offset >= 300 else None, 10, 1000) == 300


@pytest.mark.parametrize(("offset", "end"), [(10, 11), (10, 12), (10, 1000)])
def test_nothing_can_be_read_up_to_the_end(offset, end):
    assert next_readable(lambda _: None, offset, end) == end
