"""Membership in a Rivven consumer group: several sink processes share the partitions.

The broker's coordinator (`rivvend` 0.0.22, `group_coordinator.rs`) keeps groups in memory, answers a join at
once with the members known so far, and leaves the assignment to the leader. Its traps, and what is done
about them here:

* A join in a *stable* group starts a new generation; one during a rebalance does not. So a member that was
  left behind by a generation first looks whether the group is stable again and then only syncs.
* The leader would sync before the others have noticed the rebalance and finished their work. It waits
  `settle_ms` and joins once more just before, for the latest list of members.
* A follower that syncs before the leader can hang for 30 s. It polls with heartbeats and syncs when the group
  is stable.
* A follower that joined after the leader read the list gets nothing; it joins again.
* Nobody is told of new partitions: the leader looks for them and starts a new generation.
"""

from __future__ import annotations

import enum
import math
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from rivven_kafka.errors import RebalanceNeededError

Partition = tuple[str, int]
Assignments = list[tuple[str, list[tuple[str, list[int]]]]]

_STABLE = 0
_GENERATION = re.compile(r"ILLEGAL_GENERATION: expected (\d+)")


class GroupClient(Protocol):
    """The requests of `_native.RivvenClient` that membership needs."""

    def join_group(
        self,
        group: str,
        member_id: str,
        session_timeout_ms: int,
        rebalance_timeout_ms: int,
        topics: Sequence[str],
    ) -> tuple[int, str, str, list[tuple[str, list[str]]]]:
        """Joins: generation, own id, leader's id, members with their topics."""

    def sync_group(
        self, group: str, generation: int, member_id: str, assignments: Assignments
    ) -> list[tuple[str, list[int]]]:
        """Gives (leader) or gets (all) the assignment."""

    def heartbeat(self, group: str, generation: int, member_id: str) -> int:
        """0 when the group is stable, anything else during a rebalance."""

    def leave_group(self, group: str, member_id: str) -> None:
        """Leaves, so that the others need not wait for the session to expire."""

    def partition_count(self, topic: str) -> int | None:
        """Partitions of the topic, None if it does not exist."""


class Change(enum.Enum):
    """What `GroupMember.tick` wants from its caller."""

    NONE = enum.auto()
    REVOKED = enum.auto()
    """Finish and commit the work on all partitions, then call `released`."""
    ASSIGNED = enum.auto()
    """Start on `GroupMember.assignment`."""


class _State(enum.Enum):
    UNJOINED = enum.auto()
    LEADING = enum.auto()
    FOLLOWING = enum.auto()
    STABLE = enum.auto()
    REVOKING = enum.auto()


def assign_ranges(members: Sequence[tuple[str, Sequence[str]]], counts: Mapping[str, int]) -> Assignments:
    """Splits the partitions of each topic into contiguous ranges over the members that want the topic.

    Args:
        members: Member id and the topics it subscribes to.
        counts: Partitions of each topic.

    Returns:
        For every member (also one that gets nothing) its topics and partitions.
    """
    result: dict[str, list[tuple[str, list[int]]]] = {member: [] for member, _ in sorted(members)}
    load = dict.fromkeys(result, 0)
    for topic, count in sorted(counts.items()):
        wanting = [member for member, topics in members if topic in topics]
        # Who has least comes first and gets the remainder: nobody ends with nothing while another has two.
        wanting.sort(key=lambda member: (load[member], member))
        start = 0
        for index, member in enumerate(wanting):
            share = count // len(wanting) + (index < count % len(wanting))
            if share:
                result[member].append((topic, list(range(start, start + share))))
                load[member] += share
            start += share
    return list(result.items())


class GroupMember:
    """One member, driven by `tick` from the loop of its owner.

    Args:
        client: Connection used for this membership only.
        group: Consumer group.
        topics: Topics to share with the other members.
        session_timeout_ms: How long the others wait for a member that died (ms).
        heartbeat_interval_ms: Time between heartbeats (ms).
        settle_ms: How long the leader waits for the others at a rebalance (ms).
        metadata_refresh_ms: How often the leader looks for new partitions (ms).
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        client: GroupClient,
        group: str,
        topics: Sequence[str],
        *,
        session_timeout_ms: int = 10_000,
        heartbeat_interval_ms: int = 500,
        settle_ms: int = 1_000,
        metadata_refresh_ms: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._group = group
        self._topics = list(topics)
        self._session_timeout_ms = session_timeout_ms
        self._interval_s = heartbeat_interval_ms / 1000
        self._settle_s = settle_ms / 1000
        self._count_interval_s = metadata_refresh_ms / 1000
        self._clock = clock
        self._member_id = f"rivven-kafka-{uuid.uuid4()}"
        self._state = _State.UNJOINED
        self._generation = 0
        self._members = 1
        self._due = 0.0
        self._heard = -math.inf
        self._waiting_since = 0.0
        self._leader = False
        self._counts: dict[str, int] = {}
        self._next_count = 0.0
        self._joined = False
        self._rejoined_empty = False
        self._newer_generation: int | None = None
        self.assignment: list[Partition] = []

    def tick(self) -> Change:
        """Does what is due; cheap when nothing is.

        Raises:
            RivvenKafkaError: The broker cannot be reached or refuses for a reason other than a rebalance.
        """
        now = self._clock()
        if self._state is _State.REVOKING or now < self._due:
            return Change.NONE
        try:
            return self._step(now)
        except RebalanceNeededError as error:
            return self._left_behind(str(error))

    def confirm(self) -> bool:
        """Asks the broker whether the assignment still holds; if not, the next `tick` says what has changed.

        Raises:
            RivvenKafkaError: The broker cannot be reached or refuses for a reason other than a rebalance.
        """
        if self._state is not _State.STABLE:
            return False
        now = self._clock()
        try:
            stable = self._client.heartbeat(self._group, self._generation, self._member_id) == _STABLE
        except RebalanceNeededError:
            stable = False
        self._due = now + self._interval_s if stable else now
        if stable:
            self._heard = now
        return stable

    def beat(self) -> bool:
        """Like `confirm`, but asks only when a heartbeat is due: for work between two of `tick`."""
        if self._state is _State.STABLE and self._clock() < self._due:
            return True
        return self.confirm()

    @property
    def certain(self) -> bool:
        """Whether the broker has confirmed the assignment just now, in the last two heartbeat intervals.

        Also while it is revoked, as long as the leader of the next generation waits for the other members.
        """
        silent = self._clock() - self._heard
        if self._state is _State.REVOKING:
            return silent <= min(2 * self._interval_s, self._settle_s)
        return self._state is _State.STABLE and silent <= 2 * self._interval_s

    def released(self) -> None:
        """The work on the revoked partitions is finished and committed."""
        self.assignment = []
        self._due = 0.0
        self._adopt(self._newer_generation if not self._leader else None)

    def leave(self) -> None:
        """Leaves the group; errors are the caller's to ignore when it is going away."""
        if self._state is not _State.UNJOINED:
            self._client.leave_group(self._group, self._member_id)
            self._state = _State.UNJOINED

    def _step(self, now: float) -> Change:
        match self._state:
            case _State.UNJOINED:
                return self._join(now)
            case _State.LEADING:
                return self._lead(now)
            case _State.FOLLOWING:
                return self._follow(now)
            case _:
                code = self._client.heartbeat(self._group, self._generation, self._member_id)
                self._due = now + self._interval_s
                if code != _STABLE:
                    return self._left_behind("")
                self._heard = now
                return self._look_for_partitions(now)

    def _look_for_partitions(self, now: float) -> Change:
        if not self._leader or now < self._next_count:
            return Change.NONE
        self._next_count = now + self._count_interval_s
        return Change.NONE if self._count(self._counts) == self._counts else self._left_behind("")

    def _count(self, topics: Iterable[str]) -> dict[str, int]:
        return {topic: self._client.partition_count(topic) or 0 for topic in topics}

    def _join(self, now: float) -> Change:
        generation, member_id, leader, members = self._client.join_group(
            self._group, self._member_id, self._session_timeout_ms, 30_000, self._topics
        )
        self._generation, self._member_id, self._members = generation, member_id, len(members)
        self._waiting_since, self._joined, self._leader = now, True, leader == member_id
        if leader != member_id:
            self._state, self._due = _State.FOLLOWING, now + self._interval_s / 5
            return Change.NONE
        if len(members) > 1:
            self._state, self._due = _State.LEADING, now + self._settle_s
            return Change.NONE
        return self._lead(now)

    def _lead(self, now: float) -> Change:
        generation, _, leader, members = self._client.join_group(
            self._group, self._member_id, self._session_timeout_ms, 30_000, self._topics
        )
        self._generation, self._leader = generation, leader == self._member_id
        if not self._leader:
            self._state, self._due = _State.FOLLOWING, now
            return Change.NONE
        wanted = sorted({topic for _, topics in members for topic in topics})
        self._counts, self._next_count = self._count(wanted), now + self._count_interval_s
        assignments = assign_ranges(members, self._counts)
        mine = self._client.sync_group(self._group, generation, self._member_id, assignments)
        return self._assigned(mine, now)

    def _follow(self, now: float) -> Change:
        code = self._client.heartbeat(self._group, self._generation, self._member_id)
        self._due = now + self._interval_s / 5
        if code != _STABLE:
            # During a rebalance a join does no harm, and it tells whether this member leads now.
            if not self._joined or now - self._waiting_since > 3 * self._settle_s:
                self._state = _State.UNJOINED
            return Change.NONE
        mine = self._client.sync_group(self._group, self._generation, self._member_id, [])
        if mine:
            self._rejoined_empty = False
        elif not self._rejoined_empty and sum(self._count(self._topics).values()) >= self._members:
            # Once only: members of other topics may rightly leave nothing for this one.
            self._rejoined_empty = True
            self._state = _State.UNJOINED
            return Change.NONE
        return self._assigned(mine, now)

    def _assigned(self, mine: Sequence[tuple[str, Sequence[int]]], now: float) -> Change:
        self.assignment = [(topic, partition) for topic, partitions in mine for partition in partitions]
        self._state, self._due, self._heard = _State.STABLE, now + self._interval_s, now
        return Change.ASSIGNED

    def _left_behind(self, reason: str) -> Change:
        """A new generation has begun, or the broker has forgotten the group."""
        newer = _GENERATION.search(reason)
        self._newer_generation = int(newer[1]) if newer else None
        if reason and newer is None:
            # Forgotten: who is alone in the group that is made anew waits for nobody.
            self._heard = -math.inf
        if self._state is _State.STABLE:
            self._state = _State.REVOKING
            return Change.REVOKED
        self._adopt(self._newer_generation)
        return Change.NONE

    def _adopt(self, generation: int | None) -> None:
        """Goes on in a generation that others have begun; without one, joins."""
        self._joined = False
        if generation is None:
            self._state = _State.UNJOINED
        else:
            self._state, self._generation = _State.FOLLOWING, generation
