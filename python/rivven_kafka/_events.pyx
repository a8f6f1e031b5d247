# cython: boundscheck=False, wraparound=False
"""Python objects that are made per record.

A block crosses from Rust once, as columns (lists); the loop that makes one `SourceEvent` per record runs here.
"""

import asyncio
import base64
import json


cdef class SourceEvent:
    """One Kafka record as an event.

    Attributes:
        topic: Kafka topic.
        partition: Kafka partition.
        offset: Offset in the partition (records).
        timestamp_ms: Milliseconds since the epoch, -1 if the record carries none.
        key: Key bytes or None.
        value: Value bytes; None is a tombstone.
        headers: (name, value or None) in order; names may repeat.
    """

    cdef readonly str topic
    cdef readonly int partition
    cdef readonly long long offset
    cdef readonly long long timestamp_ms
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly list headers

    def __init__(
        self,
        topic,
        value,
        *,
        key=None,
        headers=(),
        partition=0,
        offset=-1,
        timestamp_ms=-1,
    ):
        self.topic = topic
        self.value = value
        self.key = key
        self.headers = list(headers)
        self.partition = partition
        self.offset = offset
        self.timestamp_ms = timestamp_ms

    @property
    def event_type(self):
        """Kind of the event: always `record` for Kafka."""
        return "record"

    @property
    def stream(self):
        """The Kafka topic, by the name that events use."""
        return self.topic

    @property
    def namespace(self):
        """Where the event comes from: always `kafka`."""
        return "kafka"

    @property
    def position(self):
        """`topic:partition:offset`."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def data(self):
        """The value: parsed if it is JSON, else as text if it is UTF-8, else the bytes. Parsed at each use."""
        if self.value is None:
            return None
        try:
            return json.loads(self.value)
        except (ValueError, RecursionError):
            pass
        try:
            return self.value.decode()
        except UnicodeDecodeError:
            return self.value

    def to_dict(self):
        """The event in the form of its JSON: bytes that are not UTF-8 stand in base64."""
        data = self.data
        if isinstance(data, bytes):
            data = base64.b64encode(data).decode()
        metadata = {
            "position": self.position,
            "kafka_timestamp": self.timestamp_ms,
            "kafka_partition": self.partition,
            "kafka_offset": self.offset,
        }
        if self.key is not None:
            metadata["kafka_key"] = self.key.decode(errors="replace")
        if self.headers:
            metadata["kafka_headers"] = {
                name: None if value is None else value.decode(errors="replace") for name, value in self.headers
            }
        return {
            "event_type": self.event_type,
            "stream": self.topic,
            "namespace": self.namespace,
            "data": data,
            "metadata": metadata,
        }

    def __repr__(self):
        # The value may hold anything, secrets included; its size is enough to recognise it.
        size = "null" if self.value is None else f"{len(self.value)} bytes"
        return f"SourceEvent({self.position}, {size})"


cdef class EventReader:
    """Iterates over the events of blocks that `next_block` supplies, synchronously or asynchronously."""

    cdef list _offsets
    cdef list _timestamps
    cdef list _keys
    cdef list _values
    cdef list _headers
    cdef str _topic
    cdef int _partition
    cdef Py_ssize_t _index
    cdef Py_ssize_t _count
    cdef readonly SourceEvent last_event

    def __init__(self):
        self._index = 0
        self._count = 0
        self.last_event = None

    def next_block(self):
        """The next block with records, or None at the end. Supplied by the subclass."""
        raise NotImplementedError

    cdef bint _load(self, block) except -1:
        if block is None:
            return False
        self._topic = block.topic
        self._partition = block.partition
        self._offsets = block.offsets()
        self._timestamps = block.timestamps()
        self._keys = block.keys()
        self._values = block.values()
        self._headers = block.headers()
        self._index = 0
        self._count = len(self._offsets)
        return True

    cdef SourceEvent _event(self):
        cdef Py_ssize_t index = self._index
        cdef SourceEvent event = SourceEvent.__new__(SourceEvent)
        event.topic = self._topic
        event.partition = self._partition
        event.offset = self._offsets[index]
        event.timestamp_ms = self._timestamps[index]
        event.key = self._keys[index]
        event.value = self._values[index]
        event.headers = self._headers[index]
        self._index = index + 1
        self.last_event = event
        return event

    def __iter__(self):
        return self

    def __next__(self):
        while self._index >= self._count:
            if not self._load(self.next_block()):
                raise StopIteration
        return self._event()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while self._index >= self._count:
            # Only the fetch of a block blocks; events of a loaded block need no other thread.
            block = await asyncio.get_running_loop().run_in_executor(None, self.next_block)
            if not self._load(block):
                raise StopAsyncIteration
        return self._event()


def rows(events):
    """What the native encoder needs of `events`, by partition.

    Args:
        events: Objects with `key`, `value`, `headers`, `partition` and `timestamp_ms`, as `SourceEvent` has.

    Returns:
        {partition: [(timestamp, key, value, headers), ...]}, in the order of `events`.
    """
    cdef dict by_partition = {}
    cdef list target
    cdef int partition
    for event in events:
        partition = event.partition
        target = by_partition.get(partition)
        if target is None:
            target = by_partition[partition] = []
        target.append((event.timestamp_ms, event.key, event.value, event.headers))
    return by_partition
