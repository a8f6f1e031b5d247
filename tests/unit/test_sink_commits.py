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

    def committed_offset(self, group, topic, partition):
        assert group == "g"
        return self.committed.get((topic, partition))

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
    assert sorted(commits.commit(member=True)) == [("t", 0, 5), ("t", 1, 6)]
    assert group.committed == {("t", 0): 5, ("t", 1): 6}
    assert commits.commit(member=True) == []


def test_what_a_failed_commit_held_goes_into_the_next(group, commits):
    group.moved, group.away = [("t", 0, 5), ("t", 1, 6)], True
    with pytest.raises(ConnectError):
        commits.commit(member=True)
    group.moved, group.away = [("t", 1, 8)], False
    commits.commit(member=True)
    assert group.committed == {("t", 0): 5, ("t", 1): 8}


@pytest.mark.parametrize(
    ("committed", "left"),
    [(None, 5), (4, 5), (5, 5), (6, 6)],
    ids=["nothing", "less", "as much", "more"],
)
def test_who_may_be_no_member_any_more_takes_nothing_back(group, commits, committed, left):
    commits.starts({("t", 0): 2})
    group.committed = {} if committed is None else {("t", 0): committed}
    group.moved = [("t", 0, 5), ("t", 1, 7)]
    commits.commit(member=False)
    assert group.committed == {("t", 0): left, ("t", 1): 7}
    assert commits.commit(member=True) == [], "nor later"


def test_a_member_goes_back_where_it_has_to(group, commits):
    group.committed = {("t", 0): 9}
    group.moved = [("t", 0, 5)]
    commits.commit(member=True)
    assert group.committed == {("t", 0): 5}


@pytest.mark.parametrize("known", ["read", "committed"])
def test_a_topic_that_was_made_anew_is_begun_anew_by_who_may_be_no_member(group, commits, known):
    if known == "read":
        commits.starts({("t", 0): 9})
        group.committed = {("t", 0): 9}
    else:
        group.moved = [("t", 0, 9)]
        commits.commit(member=True)
    group.moved = [("t", 0, 5)]
    commits.commit(member=False)
    assert group.committed == {("t", 0): 5}
