"""Reading the dead letters of a connector, and sending their records again."""

from __future__ import annotations

import enum
import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import DeliveryError, UnknownTopicError
from rivven_kafka.pipeline.letter import Letter, parse
from rivven_kafka.pipeline.resend import Place, Resend

log = logging.getLogger(__name__)

# An answer holds 4096 bytes per record that is asked for, and one record more: a letter of 10 MB fits.
_FETCH_RECORDS = 100
_GROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{,199}")


def replay_group(connector: str) -> str:
    """The Rivven consumer group that holds how far the letters of a connector were sent again."""
    if _GROUP_NAME.fullmatch(connector) and ".." not in connector:
        return f"rivven-kafka-dlq.{connector}"
    # Rivven takes no other characters; two names may not end in the same group.
    return f"rivven-kafka-dlq-hash.{hashlib.sha256(connector.encode()).hexdigest()}"


class Status(enum.StrEnum):
    """What became of a letter."""

    FOUND = "found"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """A letter, and what became of it.

    Attributes:
        place: Where the letter lies.
        position: Where its record was read; None if the letter does not tell.
        written: When the letter was written; None if it does not tell.
        retry_count: How often the record was sent again before.
        status: What became of the record.
        reason: Why it failed: this time, or when the letter was written.
        size: Bytes of key and value.
        notes: What the letter does not tell about the record.
    """

    place: Place
    position: Place | None
    written: datetime | None
    retry_count: int
    status: Status
    reason: str
    size: int
    notes: tuple[str, ...]


@dataclass
class Summary:
    """What was read.

    Attributes:
        outcomes: The letters of the connector that were selected, in their order.
        others: How many letters of other connectors lay between them.
        unreadable: How many records were no letters.
        too_old: How many letters of the connector were passed over, because they are older than asked for.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    others: int = 0
    unreadable: int = 0
    too_old: int = 0

    def count(self, status: Status) -> int:
        """How many letters ended like that."""
        return sum(outcome.status is status for outcome in self.outcomes)


@dataclass(frozen=True)
class Selection:
    """Which letters are wanted.

    Attributes:
        since: Only those written then or later.
        limit: At most so many (letters).
        from_start: Also those that were sent again before.
    """

    since: datetime | None = None
    limit: int | None = None
    from_start: bool = False


@dataclass
class _Chunk:
    """Some letters of one partition, and the offset behind them and all that was passed over."""

    letters: list[tuple[Place, Letter]]
    next_offset: int


class DeadLetterReplay:
    """The dead letters of one connector.

    Args:
        client: Connection to Rivven.
        topic: The dead letter topic.
        connector: Name of the connector.
    """

    def __init__(self, client: RivvenClient, topic: str, connector: str) -> None:
        self._client = client
        self._topic = topic
        self._connector = connector
        self._group = replay_group(connector)

    def partitions(self) -> int:
        """The partitions of the dead letter topic.

        Raises:
            UnknownTopicError: It does not exist.
        """
        count = self._client.partition_count(self._topic)
        if count is None:
            raise UnknownTopicError(f"Rivven topic {self._topic!r} does not exist", topic=self._topic)
        return count

    def run(self, selection: Selection, resend: Resend | None = None) -> Summary:
        """Reads the letters up to the end that the topic has now, and sends their records again.

        Delivery guarantee: at least once. A letter counts as done when its record is stored, or when a new
        letter is; that is committed durably after at most 100 letters. What was done after the last commit
        is done again after a crash.

        Args:
            selection: Which letters.
            resend: Where to send their records; None only reads, and writes and commits nothing.

        Raises:
            UnknownTopicError: The topic does not exist.
            RivvenKafkaError: A broker cannot be reached, or refuses.
        """
        # Letters that are written from here on, by this run among others, are left to the next one.
        ends = [self._client.offset_bounds(self._topic, partition) for partition in range(self.partitions())]
        summary = Summary()
        for partition, (first, end) in enumerate(ends):
            for chunk in self._chunks(partition, first, end, selection, summary):
                if resend is None:
                    summary.outcomes += [_outcome(*each, None, sent=False) for each in chunk.letters]
                    continue
                summary.outcomes += self._send(chunk.letters, resend)
                self._client.commit_offsets(
                    self._group, [(self._topic, partition, chunk.next_offset)], durable=True
                )
        return summary

    def _chunks(
        self, partition: int, first: int, end: int, selection: Selection, summary: Summary
    ) -> Iterator[_Chunk]:
        """The selected letters of a partition; counts what is passed over."""
        done = self._client.committed_offset(self._group, self._topic, partition)
        position = first if selection.from_start or done is None else max(first, done)
        found = len(summary.outcomes)
        while position < end and (selection.limit is None or found < selection.limit):
            block = self._client.fetch(self._topic, partition, position, _FETCH_RECORDS)
            chunk = _Chunk([], position)
            for offset, key, value in zip(block.offsets(), block.keys(), block.values(), strict=True):
                # A log that a crash has damaged returns records again.
                if not position <= offset < end:
                    continue
                if found == selection.limit:
                    break
                letter = self._selected(parse(key, value), selection, summary)
                if letter is not None:
                    found += 1
                    chunk.letters.append(((self._topic, partition, offset), letter))
                chunk.next_offset = offset + 1
            else:
                # The offsets of markers of transactions hold no record.
                chunk.next_offset = max(chunk.next_offset, min(block.next_offset, end))
            if chunk.next_offset == position:
                raise DeliveryError(
                    "the log goes on, but its next record cannot be read",
                    topic=self._topic,
                    partition=partition,
                    offset=position,
                )
            yield chunk
            position = chunk.next_offset

    def _selected(self, letter: Letter | None, selection: Selection, summary: Summary) -> Letter | None:
        if letter is None:
            summary.unreadable += 1
        elif letter.connector != self._connector:
            summary.others += 1
        elif selection.since is not None and letter.written is not None and letter.written < selection.since:
            summary.too_old += 1
        else:
            return letter
        return None

    def _send(self, letters: list[tuple[Place, Letter]], resend: Resend) -> list[Outcome]:
        whole = [index for index, (_, letter) in enumerate(letters) if not letter.omitted]
        reasons = {index: letter.reason for index, (_, letter) in enumerate(letters) if letter.omitted}
        if whole:
            failed = resend.send([letters[index] for index in whole])
            reasons |= {whole[index]: reason for index, reason in failed.items()}
        for index, reason in sorted(reasons.items()):
            place, letter = letters[index]
            self._client.publish(self._topic, 0, [letter.again(reason)])
            log.warning(
                "the record of a dead letter failed again: %s",
                reason,
                extra={
                    "connector": self._connector,
                    "topic": place[0],
                    "partition": place[1],
                    "offset": place[2],
                },
            )
        return [
            _outcome(place, letter, reasons.get(index), sent=True)
            for index, (place, letter) in enumerate(letters)
        ]


def _outcome(place: Place, letter: Letter, failure: str | None, *, sent: bool) -> Outcome:
    status = Status.FAILED if failure is not None else Status.SENT if sent else Status.FOUND
    notes = letter.notes
    if letter.omitted:
        notes = (*notes, "the record is not in the letter: it was too large")
    return Outcome(
        place,
        letter.position,
        letter.written,
        letter.retry_count,
        status,
        failure or letter.reason,
        len(letter.key or b"") + len(letter.value or b""),
        notes,
    )
