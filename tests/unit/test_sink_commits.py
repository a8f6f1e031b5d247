"""What a sink commits in its group in Rivven."""

import pytest
from rivven_kafka.errors import ConnectError
from rivven_kafka.pipeline.sink_commits import SinkCommits


class Group:
    """The group, and the positions that moved."""

    def __init__(self):
        self.committed = {}
        self.away = False
        self.moved = []

    def commit_offsets(self, group, offsets, *, durable):
        assert (group, durable) == ("g", True)
        if self.away:
            raise ConnectError("away")
        self.committed.update({(topic, partition): offset for topic, partition, offset in offsets})

    def take(self):
        moved, self.moved = self.moved, []
        return moved


@pytest.fixture
def group():
    return Group()


@pytest.fixture
def commits(group):
    return SinkCommits(group, "g", group.take)


def test_each_position_is_committed_once(group, commits):
    group.moved = [("t", 0, 5), ("t", 1, 6)]
    assert sorted(commits.commit()) == [("t", 0, 5), ("t", 1, 6)]
    assert group.committed == {("t", 0): 5, ("t", 1): 6}
    assert commits.commit() == []


def test_what_a_failed_commit_held_goes_into_the_next(group, commits):
    group.moved, group.away = [("t", 0, 5), ("t", 1, 6)], True
    with pytest.raises(ConnectError):
        commits.commit()
    group.moved, group.away = [("t", 1, 8)], False
    commits.commit()
    assert group.committed == {("t", 0): 5, ("t", 1): 8}
