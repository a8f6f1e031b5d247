"""Places in a log as a user writes them: `orders:3@1000`, or a time instead of the offset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_PLACE = re.compile(r"(?P<topic>[A-Za-z0-9._-]+):(?P<partition>[0-9]{1,9})@(?P<at>.+)", re.DOTALL)
_MILLISECONDS = "ms:"
_DIGITS = 18
"""Most digits of an offset or a time: they stay below 2**63."""


@dataclass(frozen=True)
class Place:
    """An offset of a partition, or the first one whose record is not older than a time.

    Attributes:
        topic: Topic.
        partition: Its partition.
        offset: The offset; None if a time is given.
        time_ms: The time (ms since 1970); None if an offset is given.
    """

    topic: str
    partition: int
    offset: int | None = None
    time_ms: int | None = None

    def __str__(self) -> str:
        at = f"{_MILLISECONDS}{self.time_ms}" if self.offset is None else str(self.offset)
        return f"{self.topic}:{self.partition}@{at}"


def parse_place(text: str) -> Place:
    """Reads a place, as `orders:3@1000`, `orders:3@2026-11-26T10:00:00Z` or `orders:3@ms:1790000000000`.

    Raises:
        ValueError: It is none of these; says what was expected.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"got {text!r}: expected topic:partition@offset, or a time behind the @, as in "
            f"orders:3@1000 and orders:3@2026-01-31T12:00:00Z"
        )
    topic, partition, at = match["topic"], int(match["partition"]), match["at"]
    if re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", at):
        return Place(topic, partition, offset=int(at))
    if at.startswith(_MILLISECONDS):
        digits = at.removeprefix(_MILLISECONDS)
        if re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", digits):
            return Place(topic, partition, time_ms=int(digits))
        raise ValueError(f"got {text!r}: expected milliseconds since 1970 behind ms:")
    try:
        time = datetime.fromisoformat(at)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(
            f"got {text!r}: expected an offset, a time with its offset from UTC, as 2026-01-31T12:00:00Z, or "
            f"ms: and milliseconds since 1970 behind the @"
        )
    return Place(topic, partition, time_ms=max(0, int(time.timestamp() * 1000)))
