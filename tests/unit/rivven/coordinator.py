"""A group coordinator in memory that follows rivvend's, rule by rule.

Source: rivvend 0.0.22, `group_coordinator.rs`; rivven-core 0.0.22, `consumer_group.rs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rivven_kafka.errors import RebalanceNeededError
from rivven_kafka.rivven.group import Assignments

EMPTY, COMPLETING, STABLE, DEAD = "empty", "completing", "stable", "dead"


class FollowerHangsError(AssertionError):
    """A member synced where rivvend would let it wait for the leader, for up to 30 s."""


@dataclass
class _Member:
    topics: list[str]
    last_heartbeat: float
    assignment: list[tuple[str, list[int]]] = field(default_factory=list)


@dataclass
class _Group:
    session_timeout_s: float
    state: str = EMPTY
    generation: int = 0
    leader: str | None = None
    members: dict[str, _Member] = field(default_factory=dict)

    def disrupt(self) -> None:
        """Only a stable group starts a new generation."""
        if self.state == STABLE:
            self.generation += 1
        self.state = COMPLETING

    def remove(self, member_id: str, elect: Callable[[list[str]], str]) -> None:
        del self.members[member_id]
        if self.members:
            self.disrupt()
            if self.leader == member_id:
                self.leader = elect(sorted(self.members))
        else:
            self.state, self.generation, self.leader = EMPTY, 0, None


class Coordinator:
    """All groups of one broker.

    Args:
        clock: Seconds.
        counts: Partitions of each topic.
        elect: Picks the next leader: rivvend takes the first of a hash map.
    """

    def __init__(
        self, clock: Callable[[], float], counts: dict[str, int], elect: Callable[[list[str]], str] = min
    ) -> None:
        self.counts = counts
        self._clock = clock
        self._elect = elect
        self._groups: dict[str, _Group] = {}

    def restart(self) -> None:
        """Groups are kept in memory only."""
        self._groups.clear()

    def check_timeouts(self) -> None:
        """What rivvend does every second."""
        for name, group in list(self._groups.items()):
            if group.state in (DEAD, EMPTY):
                del self._groups[name]
                continue
            now = self._clock()
            expired = [
                member_id
                for member_id, member in group.members.items()
                if now - member.last_heartbeat > group.session_timeout_s
            ]
            for member_id in expired:
                group.remove(member_id, self._elect)

    def join_group(
        self,
        group: str,
        member_id: str,
        session_timeout_ms: int,
        rebalance_timeout_ms: int,
        topics: Sequence[str],
    ) -> tuple[int, str, str, list[tuple[str, list[str]]]]:
        found = self._groups.get(group)
        if found is None or found.state == DEAD:
            found = self._groups[group] = _Group(session_timeout_ms / 1000)
        # A member that joins again loses its assignment.
        found.members[member_id] = _Member(list(topics), self._clock())
        found.leader = found.leader or member_id
        found.disrupt()
        members = [(name, member.topics) for name, member in found.members.items()]
        return found.generation, member_id, found.leader, members

    def sync_group(
        self, group: str, generation: int, member_id: str, assignments: Assignments
    ) -> list[tuple[str, list[int]]]:
        found = self._member_of("SYNC_GROUP_FAILED", group, generation, member_id)
        if found.leader == member_id and assignments:
            for name, _ in assignments:
                if name not in found.members:
                    raise RebalanceNeededError(f"SYNC_GROUP_FAILED: INCONSISTENT_GROUP_PROTOCOL: {name}")
            for name, partitions in assignments:
                found.members[name].assignment = partitions
            found.state = STABLE
        elif found.state != STABLE:
            raise FollowerHangsError(f"{member_id} synced before the leader")
        return found.members[member_id].assignment

    def heartbeat(self, group: str, generation: int, member_id: str) -> int:
        found = self._member_of("HEARTBEAT_FAILED", group, generation, member_id)
        found.members[member_id].last_heartbeat = self._clock()
        return 0 if found.state == STABLE else 27

    def leave_group(self, group: str, member_id: str) -> None:
        found = self._groups.get(group)
        if found is None or member_id not in found.members:
            raise RebalanceNeededError("LEAVE_GROUP_FAILED: UNKNOWN_MEMBER_ID")
        found.remove(member_id, self._elect)
        if not found.members:
            found.state = DEAD

    def partition_count(self, topic: str) -> int | None:
        return self.counts.get(topic)

    def _member_of(self, operation: str, group: str, generation: int, member_id: str) -> _Group:
        found = self._groups.get(group)
        if found is None:
            raise RebalanceNeededError(f"{operation}: UNKNOWN_GROUP: '{group}'")
        if member_id not in found.members:
            raise RebalanceNeededError(f"{operation}: UNKNOWN_MEMBER_ID: '{member_id}'")
        if generation != found.generation:
            text = f"{operation}: ILLEGAL_GENERATION: expected {found.generation}, got {generation}"
            raise RebalanceNeededError(text)
        return found
