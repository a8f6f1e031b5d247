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
        self.commits = []

    def position(self, topic, partition):
        return self.positions.get((topic, partition))

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
