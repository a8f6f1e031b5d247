from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Protocol

from typing_extensions import disjoint_base

from rivven_kafka._native import RecordBlock

__all__ = ["EventReader", "SourceEvent", "rows"]

@disjoint_base
class SourceEvent:
    """One Kafka record as an event."""

    def __init__(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        partition: int = 0,
        offset: int = -1,
        timestamp_ms: int = -1,
    ) -> None: ...
    @property
    def topic(self) -> str:
        """Kafka topic."""
    @property
    def partition(self) -> int:
        """Kafka partition."""
    @property
    def offset(self) -> int:
        """Offset in the partition (records)."""
    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since the epoch, -1 if the record carries none."""
    @property
    def key(self) -> bytes | None:
        """Key bytes or None."""
    @property
    def value(self) -> bytes | None:
        """Value bytes; None is a tombstone."""
    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """Headers in order; names may repeat."""
    @property
    def read_at_ms(self) -> int:
        """When the event was read or made, in milliseconds since the epoch."""
    @property
    def event_type(self) -> str:
        """Kind of the event: always `record` for Kafka."""
    @property
    def stream(self) -> str:
        """The Kafka topic, by the name that events use."""
    @property
    def namespace(self) -> str:
        """Where the event comes from: always `kafka`."""
    @property
    def position(self) -> str:
        """`topic:partition:offset`."""
    @property
    def data(self) -> Any:
        """The value: parsed if it is JSON, else as text if it is UTF-8, else the bytes."""
    def to_dict(self) -> dict[str, Any]:
        """The event in the form of its JSON."""

@disjoint_base
class EventReader(Iterator[SourceEvent], AsyncIterator[SourceEvent]):
    """Iterates over the events of blocks that `next_block` supplies."""

    def __init__(self, *, include_key: bool = True, include_headers: bool = True) -> None: ...
    @property
    def last_event(self) -> SourceEvent | None:
        """The event handed out last."""
    def next_block(self) -> RecordBlock | None:
        """The next block with records, or None at the end. Supplied by the subclass."""
    def drop_fetch(self) -> bool:
        """Waits for a fetch whose waiter was cancelled, and drops its block; True if there was one."""
    def __iter__(self) -> EventReader: ...
    def __next__(self) -> SourceEvent: ...
    def __aiter__(self) -> EventReader: ...
    async def __anext__(self) -> SourceEvent: ...

class _Event(Protocol):
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...
    @property
    def partition(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...

def rows(
    events: Iterable[_Event],
) -> dict[int, list[tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]]]:
    """What the native encoder needs of `events`, by partition."""
