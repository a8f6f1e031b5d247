"""The positions of a sink in its group in Rivven.

rivvend takes every commit, also from who is no member any more, and to lower offsets. A sink that was away
for longer than its session would set the positions back that its successor has committed meanwhile, and a
successor with nothing more to deliver would not repair that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from rivven_kafka.pipeline.lag import Partition, Positions

log = logging.getLogger(__name__)


class OffsetClient(Protocol):
    """The requests of `_native.RivvenClient` that commits need."""

    def commit_offsets(self, group: str, offsets: Positions, *, durable: bool) -> None:
        """Commits the next offsets to read."""

    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """The next offset to read, None if there is none."""


class SinkCommits:
    """Commits what is delivered. What a failed commit held goes into the next one.

    Args:
        client: Connection to Rivven.
        group: Consumer group of the sink.
        take_positions: Returns the positions that moved since its last call.
    """

    def __init__(self, client: OffsetClient, group: str, take_positions: Callable[[], Positions]) -> None:
        self._client = client
        self._group = group
        self._take = take_positions
        self._waiting: dict[Partition, int] = {}
        self._known: dict[Partition, int] = {}

    def starts(self, positions: Mapping[Partition, int]) -> None:
        """The partitions that are read from now on, and from where."""
        self._known = dict(positions)

    def commit(self, *, member: bool) -> Positions:
        """Commits all positions that are not known to be committed, durably, and returns them.

        Args:
            member: Whether the partitions are this sink's for certain. If not, positions are left out
                which another sink has taken further.

        Raises:
            RivvenKafkaError: Rivven does not answer, or refuses.
        """
        for topic, partition, offset in self._take():
            self._waiting[topic, partition] = offset
        if not member:
            self._waiting = {place: at for place, at in self._waiting.items() if not self._passed(place, at)}
        positions = [(topic, partition, offset) for (topic, partition), offset in self._waiting.items()]
        if positions:
            self._client.commit_offsets(self._group, positions, durable=True)
        self._known.update(self._waiting)
        self._waiting.clear()
        return positions

    def _passed(self, place: Partition, offset: int) -> bool:
        found = self._client.committed_offset(self._group, *place)
        # What this sink itself has committed may be higher: of a topic that was made anew since.
        if found is None or found <= offset or found == self._known.get(place):
            return False
        log.info("another sink has committed %d of %s:%d, and this one has %d", found, *place, offset)
        return True
