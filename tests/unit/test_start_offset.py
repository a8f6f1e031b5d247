"""A sink looks where it starts for as long as the partitions are its own."""

from types import SimpleNamespace

import pytest
from rivven_kafka.config import StartOffset
from rivven_kafka.pipeline.start_offset import start_positions, warn_of_deleted

PARTITIONS = [("t", partition) for partition in range(3)]
ENTRY = SimpleNamespace(consumer_group="g", start_offset=StartOffset.EARLIEST)


class Rivven:
    """Three partitions without a committed position, whose first records were deleted."""

    def __init__(self):
        self.asked = 0
        self.committed = []

    def committed_offset(self, *_):
        self.asked += 1

    def offset_bounds(self, *_):
        self.asked += 1
        return 5, 9

    def commit_offsets(self, group, offsets, *, durable):
        self.committed += offsets


def beats_until(number):
    answers = [True] * number + [False]
    return lambda: answers.pop(0)


def test_first_positions_are_committed():
    rivven = Rivven()
    assert start_positions(rivven, ENTRY, PARTITIONS, {}, beats_until(3)) == dict.fromkeys(PARTITIONS, 5)
    assert rivven.committed == [(*place, 5) for place in PARTITIONS]


@pytest.mark.parametrize("number", [0, 2])
def test_nothing_is_committed_once_the_partitions_belong_to_others(number):
    rivven = Rivven()
    assert start_positions(rivven, ENTRY, PARTITIONS, {}, beats_until(number)) is None
    assert (rivven.asked, rivven.committed) == (2 * number, [])


def test_what_was_deleted_is_looked_for_as_long_as_the_session_lasts():
    rivven = Rivven()
    assert warn_of_deleted(rivven, dict.fromkeys(PARTITIONS, 2), "copy", beats_until(2)) == 6
    assert rivven.asked == 2
