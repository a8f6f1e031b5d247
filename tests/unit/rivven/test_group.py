"""Members of a Rivven group always end up with each partition owned exactly once."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka.errors import RebalanceNeededError
from rivven_kafka.rivven.group import Change, GroupMember, assign_ranges

from tests.unit.rivven.coordinator import Coordinator

TOPICS = {"a": 8, "b": 3}
EVERYTHING = sorted((topic, partition) for topic, count in TOPICS.items() for partition in range(count))
TICK_S = 0.05
MEMBERS = 3


class _Client:
    """The coordinator as one member sees it: the world goes on between two of its requests."""

    def __init__(self, coordinator, between):
        self._coordinator = coordinator
        self._between = between

    def __getattr__(self, name):
        self._between(name)
        return getattr(self._coordinator, name)


class World:
    """A broker and up to three members, driven by a schedule."""

    def __init__(self, elect=min):
        self.now = 0.0
        self.broker = Coordinator(lambda: self.now, dict(TOPICS), elect)
        self.members = {}
        self.owned = {}
        self.interference = []
        self.before = {}
        self._busy = set()
        self._checked = 0.0

    def start(self, name):
        if name not in self.members:
            client = _Client(self.broker, self._interfere)
            self.members[name] = GroupMember(
                client, "g", list(TOPICS), session_timeout_ms=3_000, clock=lambda: self.now
            )
            self.owned[name] = []

    def kill(self, name):
        if name not in self._busy:
            self.members.pop(name, None)
            self.owned.pop(name, None)

    def leave(self, name):
        if name in self.members and name not in self._busy:
            member = self.members[name]
            # As its owner does: the group may have forgotten it already.
            with contextlib.suppress(RebalanceNeededError):
                member.leave()
            self.kill(name)

    def restart_broker(self, _=None):
        self.broker.restart()

    def tick(self, name):
        member = self.members.get(name)
        if member is None or name in self._busy:
            return
        self._busy.add(name)
        change = member.tick()
        self._busy.discard(name)
        if change is Change.REVOKED:
            self.owned[name] = []
            member.released()
        elif change is Change.ASSIGNED:
            self.owned[name] = list(member.assignment)

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.now += TICK_S
            if self.now - self._checked >= 1:
                self._checked = self.now
                self.broker.check_timeouts()
            for name in list(self.members):
                self.tick(name)

    def _interfere(self, request):
        for action, argument in self.before.pop(request, ()):
            getattr(self, action)(argument)
        if self.interference:
            action, argument = self.interference.pop()
            getattr(self, action)(argument)

    def ownership(self):
        return sorted(partition for partitions in self.owned.values() for partition in partitions)

    def check_converged(self):
        """Whatever happened, a minute later all is in order, and stays so."""
        self.interference.clear()
        self.run(60)
        assert self.ownership() == (EVERYTHING if self.members else [])
        before = {name: list(partitions) for name, partitions in self.owned.items()}
        self.run(20)
        assert self.owned == before, "nothing changes without a reason"


names = st.integers(0, MEMBERS - 1)
actions = st.one_of(
    st.tuples(st.sampled_from(["start", "kill", "leave", "tick"]), names),
    st.tuples(st.just("restart_broker"), st.none()),
    st.tuples(st.just("run"), st.sampled_from([0.05, 0.3, 0.6, 1.1, 2.0, 3.5, 5.0])),
)
between = st.lists(st.tuples(st.sampled_from(["start", "kill", "leave", "tick"]), names), max_size=8)


@given(
    schedule=st.lists(actions, max_size=30),
    interference=between,
    elect=st.sampled_from([min, max]),
)
def test_any_schedule_converges(schedule, interference, elect):
    world = World(elect)
    world.interference = list(interference)
    for action, argument in schedule:
        getattr(world, action)(argument)
    world.check_converged()


@given(schedule=st.lists(actions, max_size=20), interference=between)
def test_all_three_share_in_the_end(schedule, interference):
    world = World()
    world.interference = list(interference)
    for action, argument in schedule:
        getattr(world, action)(argument)
    world.interference.clear()
    for name in range(MEMBERS):
        world.start(name)
    world.check_converged()
    assert all(world.owned.values()), "each of the three has some"


@pytest.mark.parametrize("order", [(0,), (0, 1), (0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_members_join_one_after_the_other(order):
    world = World()
    for name in order:
        world.start(name)
        world.run(0.7)
    world.check_converged()
    assert all(world.owned.values())


def test_a_member_that_comes_after_the_leader_read_the_list_gets_its_share():
    """The leader's assignment does not name it, and makes the group stable all the same."""
    world = World()
    world.start(0)
    world.before["sync_group"] = [("start", 1), ("tick", 1)]
    world.run(5)
    assert world.ownership() == EVERYTHING
    assert all(world.owned.values())


@pytest.mark.parametrize("victim", range(MEMBERS))
def test_the_dead_are_replaced_within_two_sessions(victim):
    """The first member leads: its death is that of the leader."""
    world = World()
    for name in range(MEMBERS):
        world.start(name)
        world.run(3)
    world.kill(victim)
    world.run(2 * 3 + 2)
    assert world.ownership() == EVERYTHING


def test_a_member_that_leaves_is_replaced_at_once():
    world = World()
    for name in range(2):
        world.start(name)
        world.run(3)
    world.leave(0)
    world.run(1)
    assert world.ownership() == EVERYTHING


def lose_to_another(world):
    world.start(1)
    world.members[1].tick()


def lose_by_silence(world):
    world.now += 3.5
    world.broker.check_timeouts()


@pytest.mark.parametrize("lose", [lose_to_another, lose_by_silence, World.restart_broker])
def test_who_has_lost_its_partitions_is_told_when_it_asks(lose):
    world = World()
    world.start(0)
    world.run(5)
    member = world.members[0]
    assert member.confirm()
    assert member.confirm(), "asking changes nothing"
    lose(world)
    assert not member.confirm()
    assert member.tick() is Change.REVOKED, "at once"
    assert not member.confirm()
    member.released()
    world.check_converged()


def test_who_is_busy_for_longer_than_a_session_keeps_its_partitions_with_beats():
    world = World()
    world.start(0)
    world.run(5)
    member = world.members[0]
    asked = []
    world.members[0]._client._between = asked.append
    for _ in range(100):
        world.now += 0.1
        world.broker.check_timeouts()
        assert member.beat()
    assert 15 <= asked.count("heartbeat") <= 21, "one for each interval"
    lose_by_silence(world)
    assert not member.beat()
    assert not member.beat()
    assert member.tick() is Change.REVOKED, "at once"
    assert not member.beat()


def test_who_was_away_is_not_certain_of_its_partitions():
    world = World()
    world.start(0)
    member = world.members[0]
    assert not member.certain
    for _ in range(3):
        world.run(5)
        assert member.certain
        world.now += 1.1
        assert not member.certain
        assert member.confirm()
        assert member.certain
    world.broker.restart()
    world.now += 0.5
    assert member.tick() is Change.REVOKED
    assert not member.certain


@pytest.mark.parametrize("late", [False, True])
def test_who_has_to_let_go_is_certain_for_as_long_as_the_next_leader_waits(late):
    world = World()
    world.start(0)
    world.run(5)
    member = world.members[0]
    world.start(1)
    world.members[1].tick()
    world.now += 1.1 if late else 0.5
    assert member.tick() is Change.REVOKED
    assert member.certain is not late
    world.now += 0.6
    assert not member.certain
    member.released()
    assert not member.certain


def test_a_restarted_broker_gets_its_group_back():
    world = World()
    for name in range(MEMBERS):
        world.start(name)
    world.run(10)
    world.restart_broker()
    world.run(5)
    assert world.ownership() == EVERYTHING
    assert all(world.owned.values())


def test_new_partitions_are_shared_out():
    world = World()
    for name in range(2):
        world.start(name)
    world.run(10)
    world.broker.counts["a"] = 10
    world.run(20)
    assert world.ownership() == sorted([*EVERYTHING, ("a", 8), ("a", 9)])


@given(
    wishes=st.dictionaries(st.text(min_size=1, max_size=3), st.lists(st.sampled_from("ab")), min_size=1),
    counts=st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.integers(0, 9)}),
)
def test_ranges_cover_each_partition_once_and_evenly(wishes, counts):
    result = dict(assign_ranges(list(wishes.items()), counts))
    assert set(result) == set(wishes)
    for topic, count in counts.items():
        shares = {
            member: [partition for name, partitions in mine if name == topic for partition in partitions]
            for member, mine in result.items()
        }
        wanting = [member for member, topics in wishes.items() if topic in topics]
        everything = sorted(partition for share in shares.values() for partition in share)
        assert everything == (list(range(count)) if wanting else [])
        assert all(not shares[member] for member in shares if member not in wanting)
        if wanting:
            sizes = [len(shares[member]) for member in wanting]
            assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("counts", "members"), [({"x": 1, "y": 1}, 2), ({"x": 3, "y": 3}, 4)])
def test_nobody_ends_with_nothing_while_another_has_two(counts, members):
    wishes = [(f"m{number}", tuple(counts)) for number in range(members)]
    sizes = [sum(len(partitions) for _, partitions in mine) for _, mine in assign_ranges(wishes, counts)]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
