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
    LEFT_OUT = "left_out"
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
        notes: What the letter does not tell about the record, and why it was left out.
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
        not_noted: How many letters were dealt with and not noted as such, because one that was passed over
            for its age lies before them: the next run deals with them again.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    others: int = 0
    unreadable: int = 0
    too_old: int = 0
    not_noted: int = 0

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
    """Some letters of one partition.

    Attributes:
        letters: The letters that were selected.
        next_offset: The offset behind them and all that was passed over.
        done_before: Everything before it is dealt with once these letters are.
    """

    letters: list[tuple[Place, Letter]]
    next_offset: int
    done_before: int


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

        Delivery guarantee: at least once. A letter counts as done when its record is stored, when a new
        letter is, or when the connector does not deliver the record (a filter, loop protection); that is
        committed durably after at most 100 letters, up to the first letter that was passed over for its age.
        What was done after the last commit is done again after a crash.

        Args:
            selection: Which letters.
            resend: Where to send their records; None only reads, and writes and commits nothing.

        Raises:
            UnknownTopicError: The topic does not exist.
            DeliveryError: Another run sends the same letters, or a letter cannot be read.
            RivvenKafkaError: A broker cannot be reached, or refuses.
        """
        # Letters that are written from here on, by this run among others, are left to the next one.
        ends = [self._client.offset_bounds(self._topic, partition) for partition in range(self.partitions())]
        summary = Summary()
        for partition, (first, end) in enumerate(ends):
            done = self._done(partition)
            start = first if selection.from_start or done is None else max(first, done)
            for chunk in self._chunks(partition, start, end, done or 0, selection, summary):
                if resend is None:
                    summary.outcomes += [_outcome(*each, Status.FOUND) for each in chunk.letters]
                    continue
                # Before the letters too: what another run has sent is not to be sent twice.
                self._require_alone(partition, done)
                summary.outcomes += self._send(chunk.letters, resend)
                done = self._commit(partition, done, chunk.done_before)
                summary.not_noted += sum(place[2] >= (done or 0) for place, _ in chunk.letters)
        return summary

    def _done(self, partition: int) -> int | None:
        """Before which offset all letters were sent again; None if none were."""
        return self._client.committed_offset(self._group, self._topic, partition)

    def _require_alone(self, partition: int, done: int | None) -> None:
        """Stops this run when another one has moved the progress from where this one has left it."""
        found = self._done(partition)
        if found != done:
            raise DeliveryError(
                f"another replay sends these letters: the progress is at {_text(found)}, not at "
                f"{_text(done)} any more; run one at a time",
                topic=self._topic,
                partition=partition,
            )

    def _commit(self, partition: int, done: int | None, done_before: int) -> int | None:
        """Notes the progress, if it is one; returns what is noted then."""
        self._require_alone(partition, done)
        # From the start, letters come by that were noted long ago.
        if done_before <= (done or 0):
            return done
        self._client.commit_offsets(self._group, [(self._topic, partition, done_before)], durable=True)
        return done_before

    def _chunks(
        self, partition: int, start: int, end: int, done: int, selection: Selection, summary: Summary
    ) -> Iterator[_Chunk]:
        """The selected letters of a partition; counts what is passed over."""
        position = start
        passed_over: int | None = None
        found = len(summary.outcomes)
        while position < end and (selection.limit is None or found < selection.limit):
            block = self._client.fetch(self._topic, partition, position, _FETCH_RECORDS)
            chunk = _Chunk([], position, position)
            for offset, key, value in zip(block.offsets(), block.keys(), block.values(), strict=True):
                # A log that a crash has damaged returns records again.
                if not position <= offset < end:
                    continue
                if found == selection.limit:
                    break
                too_old = summary.too_old
                letter = self._selected(parse(key, value), selection, summary)
                if summary.too_old > too_old and passed_over is None and offset >= done:
                    passed_over = offset
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
            chunk.done_before = chunk.next_offset if passed_over is None else passed_over
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
        left_out = {}
        if whole:
            unsent = resend.send([letters[index] for index in whole])
            reasons |= {whole[index]: reason for index, reason in unsent.failed.items()}
            left_out = {whole[index]: note for index, note in unsent.left_out.items()}
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
            _outcome(place, letter, Status.FAILED, reason=reasons[index])
            if index in reasons
            else _outcome(place, letter, Status.LEFT_OUT, note=left_out[index])
            if index in left_out
            else _outcome(place, letter, Status.SENT)
            for index, (place, letter) in enumerate(letters)
        ]


def _text(done: int | None) -> str:
    return "the start" if done is None else f"offset {done}"


def _outcome(
    place: Place, letter: Letter, status: Status, *, reason: str | None = None, note: str | None = None
) -> Outcome:
    notes = letter.notes
    if letter.omitted:
        notes = (*notes, "the record is not in the letter: it was too large")
    if note is not None:
        notes = (*notes, note)
    return Outcome(
        place,
        letter.position,
        letter.written,
        letter.retry_count,
        status,
        reason or letter.reason,
        len(letter.key or b"") + len(letter.value or b""),
        notes,
    )
