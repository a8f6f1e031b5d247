"""The positions of a sink in its group in Rivven."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rivven_kafka.pipeline.lag import Partition, Positions


class OffsetClient(Protocol):
    """The requests of `_native.RivvenClient` that commits need."""

    def commit_offsets(self, group: str, offsets: Positions, *, durable: bool) -> None:
        """Commits the next offsets to read."""


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

    def commit(self) -> Positions:
        """Commits all positions that are not known to be committed, durably, and returns them.

        Raises:
            RivvenKafkaError: Rivven does not answer, or refuses.
        """
        for topic, partition, offset in self._take():
            self._waiting[topic, partition] = offset
        positions = [(topic, partition, offset) for (topic, partition), offset in self._waiting.items()]
        if positions:
            self._client.commit_offsets(self._group, positions, durable=True)
        self._waiting.clear()
        return positions
