"""Reading all of a Rivven partition, also of a damaged one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rivven_kafka._native import Fetcher, RecordBlock, RivvenClient
from rivven_kafka.errors import LogDamagedError, RecordTooLargeError

_POLL_MS = 300
_PROBES = 10_000
"""Offsets that are tried one by one behind what cannot be read (about 60 us each), before larger steps."""


@dataclass(frozen=True)
class OffsetRange:
    """Offsets of a Rivven partition, both ends included.

    Attributes:
        topic: Rivven topic.
        partition: Its partition.
        first: First offset.
        last: Last offset.
    """

    topic: str
    partition: int
    first: int
    last: int


class LogReader:
    """Reads Rivven partitions from their first record to their present end.

    Args:
        arguments: Arguments of the native clients, see `client_arguments`.
        max_buffered_bytes: Most bytes that wait to be looked at.
    """

    def __init__(self, arguments: dict[str, Any], max_buffered_bytes: int) -> None:
        self._client = RivvenClient(**arguments)
        self._fetcher = Fetcher(
            **arguments, connections=1, max_buffered_bytes=max_buffered_bytes, on_log_damage="continue"
        )

    def partition_count(self, topic: str) -> int | None:
        """How many partitions a topic has, None if it does not exist."""
        return self._client.partition_count(topic)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset of a partition, and the offset that its next record will get."""
        return self._client.offset_bounds(topic, partition)

    def record(self, topic: str, partition: int, offset: int) -> RecordBlock | None:
        """A block that begins with the record at an offset, None if there is none that can be read."""
        block = self._client.fetch(topic, partition, offset, 1)
        return block if block.first_offset == offset else None

    def require_sound(self, topic: str, partition: int) -> None:
        """Makes sure that what is written next can be read.

        Raises:
            LogDamagedError: The end of the log cannot be read, or lies before records that it holds.
        """
        beyond = self.beyond_end(topic, partition)
        if beyond is not None:
            raise LogDamagedError(
                "the log holds records behind its end, and new ones would hide behind them; fill another "
                "Rivven topic, see docs/delivery.md",
                topic=topic,
                partition=partition,
                offset=beyond.first,
            )
        self._client.check_tail(topic, partition)

    def beyond_end(self, topic: str, partition: int) -> OffsetRange | None:
        """The first record at or behind the end of the log, which can only be what a replay has left."""
        _, end = self._client.offset_bounds(topic, partition)
        offset = self._client.fetch(topic, partition, end, 1).first_offset
        # What was appended in between moved the end.
        if offset is None or offset < self._client.offset_bounds(topic, partition)[1]:
            return None
        return OffsetRange(topic, partition, offset, offset)

    def read(
        self,
        topic: str,
        partition: int,
        take: Callable[[RecordBlock], None],
        start: int | None = None,
        end: int | None = None,
    ) -> list[OffsetRange]:
        """Hands every record that can be read to `take`.

        Args:
            topic: Rivven topic.
            partition: Its partition.
            take: Gets the blocks, in order.
            start: Where to begin; at the first record if None.
            end: Where to stop; the last block may reach beyond it. At the present end if None.

        Returns:
            What cannot be read: answers start behind the offset that was asked for, or hold nothing.

        Raises:
            ConnectError: Rivven cannot be reached any more.
        """
        offset, present_end = self._client.offset_bounds(topic, partition)
        offset = offset if start is None else max(offset, start)
        end = present_end if end is None else min(end, present_end)
        unreadable: list[OffsetRange] = []

        def skip(start: int, to: int) -> None:
            if unreadable and unreadable[-1].last + 1 == start:
                start = unreadable.pop().first
            unreadable.append(OffsetRange(topic, partition, start, to - 1))

        while offset < end:
            self._fetcher.assign([(topic, partition, offset)])
            try:
                while offset < end:
                    blocks = self._fetcher.poll(_POLL_MS)
                    if not blocks and not len(self._client.fetch(topic, partition, offset, 1)):
                        break
                    for block in blocks:
                        for start, to in _gaps(block, offset):
                            skip(start, to)
                        take(block)
                        offset = block.next_offset
            except RecordTooLargeError:
                # Stored, and in no answer ever: the next one may be there.
                skip(offset, offset + 1)
                offset += 1
                continue
            if offset < end:
                found = next_readable(
                    lambda at: self._client.fetch(topic, partition, at, 1).first_offset, offset, end
                )
                skip(offset, found)
                offset = found
        self._fetcher.assign([])
        return unreadable

    def close(self) -> None:
        """Closes the connections."""
        self._fetcher.close()
        self._client.close()


def next_readable(first_from: Callable[[int], int | None], offset: int, end: int) -> int:
    """The lowest offset above `offset` that gets an answer, or the end.

    Behind `_PROBES` empty answers it is found by halving, which takes it that all before it are empty.

    Args:
        first_from: The first offset of the answer to a read, None if that is empty.
        offset: One that gets no answer.
        end: The end of the log.
    """
    empty, step = offset, 1
    while empty + 1 < end:
        tried = min(empty + step, end - 1)
        first = first_from(tried)
        if first is None:
            empty = tried
            step = 1 if empty - offset < _PROBES else 2 * step
            continue
        found = max(first, tried)
        while tried - empty > 1:
            middle = (empty + tried) // 2
            first = first_from(middle)
            if first is None:
                empty = middle
            else:
                tried, found = middle, max(first, middle)
        return found
    return end


def _gaps(block: RecordBlock, offset: int) -> Iterator[tuple[int, int]]:
    """The offsets from `offset` on that a block jumps over: the first of each gap, and where it goes on."""
    if len(block) == block.next_offset - offset == (block.last_offset or 0) + 1 - offset:
        return
    for at in block.offsets():
        if at > offset:
            yield offset, at
        offset = max(offset, at + 1)
