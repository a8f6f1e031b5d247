"""Where reading begins is found once for each assignment, and committed until it is overtaken."""

from types import SimpleNamespace

from rivven_kafka._native import KafkaSourceMetrics
from rivven_kafka.errors import ConnectError
from rivven_kafka.kafka import Position
from rivven_kafka.pipeline.commits import OffsetCommits
from rivven_kafka.pipeline.first_positions import FirstPositions


def block(partition, first, after):
    return SimpleNamespace(topic="t", partition=partition, first_offset=first, next_offset=after)


class Consumer:
    """Knows positions, and notes what is committed."""

    def __init__(self):
        self.positions = {}
        self.resets = {}
        self.commits = []

    def position(self, topic, partition):
        return self.positions.get((topic, partition))

    def take_resets(self):
        resets, self.resets = self.resets, {}
        return resets

    def commit_async(self, positions, done):
        self.commits.append((positions, done))


def test_the_start_is_before_what_was_taken():
    consumer = Consumer()
    first = FirstPositions(consumer)
    first.assigned([("t", 0), ("t", 1), ("t", 2), ("t", 3)])
    consumer.positions |= {("t", 0): 5, ("t", 1): 20, ("t", 2): 9}
    blocks = [block(1, 10, 15), block(1, 15, 20), block(2, None, 9)]
    assert first.take(blocks) == {("t", 0): 5, ("t", 1): 10, ("t", 2): 9}
    # The position of the last one is not known yet; those of the others move on.
    consumer.positions |= {("t", 0): 6, ("t", 3): 0}
    assert first.take([block(0, 5, 6)]) == {("t", 3): 0}
    first.assigned([("t", 0)])
    first.forget([("t", 0)])
    assert first.take([]) == {}


def test_a_new_position_waits_for_what_was_read_before():
    consumer, in_flight = Consumer(), {}
    first = FirstPositions(consumer)

    def resets(*blocks):
        return first.take_resets(blocks, lambda *partition: in_flight.get(partition, 0))

    assert resets() == {}
    in_flight["t", 1] = 3
    consumer.resets = {("t", 0): 50, ("t", 1): 60, ("t", 2): 70, ("t", 3): 80, ("t", 4): 90}
    # What was read before the reset, and what was read after it.
    first.forget([("t", 4)])
    assert resets(block(2, 7, 9), block(3, 80, 85)) == {("t", 0): 50, ("t", 4): 90}
    assert resets() == {("t", 2): 70}
    in_flight["t", 1] = 0
    first.forget([("t", 1)])
    assert resets() == {}


def test_a_new_position_of_a_partition_whose_first_is_unknown_is_that_first_one():
    consumer = Consumer()
    first = FirstPositions(consumer)
    first.assigned([("t", 0)])
    consumer.resets = {("t", 0): 50}
    assert first.take([]) == {}
    assert first.take_resets([], lambda *_: 0) == {}
    consumer.positions["t", 0] = 50
    assert first.take([]) == {("t", 0): 50}


def commits(moved, interval_ms=60_000):
    def take():
        taken = list(moved)
        moved.clear()
        return taken

    return OffsetCommits(take, Position, interval_ms, KafkaSourceMetrics())


def test_a_start_is_committed_at_once_and_until_it_was_accepted():
    consumer = Consumer()
    kept = commits([])
    kept.commit_if_due(consumer)
    kept.begin({("t", 0): 5})
    kept.commit_if_due(consumer)
    [(positions, done)] = consumer.commits
    assert positions == [Position("t", 0, 5)]
    done(ConnectError("away"))
    assert kept.positions() == positions
    kept.begin({("t", 1): 0})
    kept.commit_if_due(consumer)
    positions, done = consumer.commits[1]
    assert sorted(positions) == [Position("t", 0, 5), Position("t", 1, 0)]
    done(None)
    assert kept.positions() == []


def test_a_start_never_goes_behind_what_was_delivered():
    moved = [("t", 0, 8)]
    kept = commits(moved)
    assert kept.positions() == [Position("t", 0, 8)]
    kept.begin({("t", 0): 5, ("t", 1): 3})
    assert sorted(kept.positions()) == [Position("t", 0, 8), Position("t", 1, 3)]
    moved.append(("t", 1, 4))
    assert sorted(kept.positions()) == [Position("t", 0, 8), Position("t", 1, 4)]
    kept.forget([("t", 0), ("t", 1)])
    assert kept.positions() == []


def test_a_new_position_takes_the_place_of_what_was_delivered_before_it():
    moved = [("t", 0, 8)]
    kept = commits(moved)
    assert kept.positions() == [Position("t", 0, 8)]
    moved.append(("t", 0, 9))
    kept.go_on({("t", 0): 5})
    assert kept.positions() == [Position("t", 0, 5)]
    moved.append(("t", 0, 6))
    assert kept.positions() == [Position("t", 0, 6)]
