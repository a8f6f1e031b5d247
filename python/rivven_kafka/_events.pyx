# cython: boundscheck=False, wraparound=False, auto_pickle=False
"""Python objects that are made per record.

A block crosses from Rust as columns, some hundred records at a time: what is made of them is still in the
processor's cache when it is used, and few objects are alive when Python collects garbage. The loop that makes
one `SourceEvent` per record runs here.
"""

import base64
import contextlib
import json
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from rivven_kafka._native import read_headers

__all__ = ["EventReader", "SourceEvent", "rows"]


def _no_constant(name):
    """Python reads NaN and Infinity as numbers; JSON has none of them."""
    raise ValueError(name)


cdef object _decoder = json.JSONDecoder(parse_constant=_no_constant)
cdef object _scan = _decoder.scan_once

# Records that cross from Rust at once, and what stands of each in their numbers: offset, timestamp, and count
# of headers.
cdef enum:
    ROWS = 256
    NUMBERS = 3


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
        read_at_ms: When the event was read or made, in milliseconds since the epoch.
    """

    cdef readonly str topic
    cdef readonly int partition
    cdef readonly long long offset
    cdef readonly long long timestamp_ms
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly long long read_at_ms
    # As Kafka encodes them, until somebody asks.
    cdef bytes _raw_headers
    cdef int _header_count
    cdef list _headers
    cdef bint _with_key
    cdef bint _with_headers

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
        self._headers = list(headers)
        self.partition = partition
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self.read_at_ms = _now_ms()
        self._with_key = True
        self._with_headers = True

    def __reduce__(self):
        return _restore, (
            self.topic,
            self.value,
            self.key,
            self.headers,
            self.partition,
            self.offset,
            self.timestamp_ms,
            self.read_at_ms,
            self._with_key,
            self._with_headers,
        )

    @property
    def headers(self):
        """Headers in order; names may repeat."""
        if self._headers is None:
            self._headers = [] if self._raw_headers is None else read_headers(self._raw_headers, self._header_count)
            self._raw_headers = None
        return self._headers

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
            # Decoded first: on bytes, `json` also guesses at UTF-16 and UTF-32.
            text = self.value.decode()
        except UnicodeDecodeError:
            return self.value
        try:
            # Most values are JSON from the first character to the last.
            try:
                data, end = _scan(text, 0)
            except StopIteration:
                end = -1
            if end == len(text):
                return data
            return _decoder.decode(text)
        except (ValueError, RecursionError):
            return text

    def to_dict(self):
        """The event in the form of its JSON: bytes that are not UTF-8 stand in base64.

        Key and headers are there unless the source leaves them out (`include_key`, `include_headers`).
        """
        data = self.data
        if isinstance(data, bytes):
            data = base64.b64encode(data).decode()
        metadata = {"position": self.position}
        if self.headers and self._with_headers:
            metadata["kafka_headers"] = {
                name: None if value is None else value.decode(errors="replace") for name, value in self.headers
            }
        metadata["kafka_timestamp"] = self.timestamp_ms
        metadata["kafka_partition"] = self.partition
        if self.key is not None and self._with_key:
            metadata["kafka_key"] = self.key.decode(errors="replace")
        metadata["kafka_offset"] = self.offset
        read_at = datetime.fromtimestamp(self.read_at_ms / 1000, UTC)
        return {
            "event_type": self.event_type,
            "stream": self.topic,
            "namespace": self.namespace,
            "timestamp": read_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": data,
            "metadata": metadata,
        }

    def __repr__(self):
        # The value may hold anything, secrets included; its size is enough to recognise it.
        size = "null" if self.value is None else f"{len(self.value)} bytes"
        return f"SourceEvent({self.position}, {size})"


cdef long long _now_ms():
    return <long long> (time.time() * 1000)


def _restore(topic, value, key, headers, partition, offset, timestamp_ms, read_at_ms, with_key, with_headers):
    """The inverse of `SourceEvent.__reduce__`."""
    cdef SourceEvent event = SourceEvent(
        topic, value, key=key, headers=headers, partition=partition, offset=offset, timestamp_ms=timestamp_ms
    )
    event.read_at_ms = read_at_ms
    event._with_key = with_key
    event._with_headers = with_headers
    return event


cdef class EventReader:
    """Iterates over the events of blocks that `next_block` supplies, synchronously or asynchronously.

    Args:
        include_key: Whether `SourceEvent.to_dict` shows the key.
        include_headers: Whether `SourceEvent.to_dict` shows the headers.
    """

    cdef object _block
    cdef Py_ssize_t _next_row
    cdef Py_ssize_t _rows
    cdef bytes _numbers
    cdef list _keys
    cdef list _values
    cdef list _headers
    cdef str _topic
    cdef int _partition
    cdef Py_ssize_t _index
    cdef Py_ssize_t _count
    cdef long long _read_at_ms
    cdef bint _with_key
    cdef bint _with_headers
    cdef object _fetch
    cdef readonly SourceEvent last_event

    def __init__(self, *, include_key=True, include_headers=True):
        self._index = 0
        self._count = 0
        self._next_row = 0
        self._rows = 0
        self._with_key = include_key
        self._with_headers = include_headers
        self._fetch = None
        self.last_event = None

    def next_block(self):
        """The next block with records, or None at the end. Supplied by the subclass."""
        raise NotImplementedError

    cdef bint _load(self, block) except -1:
        if block is None:
            return False
        self._block = block
        self._topic = block.topic
        self._partition = block.partition
        self._read_at_ms = _now_ms()
        self._next_row = 0
        self._rows = len(block)
        return True

    cdef bint _load_rows(self) except -1:
        """The next records of the block; False if there are none."""
        if self._next_row >= self._rows:
            self._block = None
            return False
        stop = min(self._next_row + ROWS, self._rows)
        self._numbers, self._keys, self._values, self._headers = self._block.columns(self._next_row, stop)
        self._index = 0
        self._count = PyBytes_GET_SIZE(self._numbers) // (NUMBERS * <Py_ssize_t> sizeof(long long))
        self._next_row = stop
        return True

    cdef SourceEvent _event(self):
        cdef Py_ssize_t index = self._index
        cdef const long long *numbers = (<const long long *> PyBytes_AS_STRING(self._numbers)) + NUMBERS * index
        cdef SourceEvent event = SourceEvent.__new__(SourceEvent)
        event.topic = self._topic
        event.partition = self._partition
        event.offset = numbers[0]
        event.timestamp_ms = numbers[1]
        event.key = self._keys[index]
        event.value = self._values[index]
        event._raw_headers = self._headers[index]
        event._header_count = <int> numbers[2]
        event.read_at_ms = self._read_at_ms
        event._with_key = self._with_key
        event._with_headers = self._with_headers
        self._index = index + 1
        self.last_event = event
        return event

    def drop_fetch(self):
        """Waits for a fetch whose waiter was cancelled, and drops its block; True if there was one."""
        fetch, self._fetch = self._fetch, None
        if fetch is None:
            return False
        fetch.exception()
        return True

    def __iter__(self):
        return self

    def __next__(self):
        while self._index >= self._count:
            if self._load_rows():
                continue
            fetch, self._fetch = self._fetch, None
            if not self._load(self.next_block() if fetch is None else fetch.result()):
                raise StopIteration
        return self._event()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while self._index >= self._count:
            if self._load_rows():
                continue
            # Only the fetch of a block blocks; events of a loaded block need no other thread.
            if self._fetch is None:
                self._fetch = _in_thread(self.next_block)
            fetch = self._fetch
            # A waiter that is cancelled, by a timeout for example, leaves the fetch to the next one: dropping
            # its block would lose events.
            await _done(fetch)
            if self._fetch is not fetch:
                # Another task has waited for it too and was the first to take it, or it was dropped.
                continue
            self._fetch = None
            if not self._load(fetch.result()):
                raise StopAsyncIteration
        return self._event()


def _in_thread(function):
    """The future result of `function`, run by a thread that does not keep the interpreter from ending."""
    future = Future()

    def run():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="rivven-kafka-fetch", daemon=True).start()
    return future


def _done(future):
    """An asyncio future that ends when `future` does, and may be cancelled without it."""
    # Only who iterates asynchronously has it; it takes long to import.
    import asyncio

    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_):
        # The loop is closed when the program has given up waiting.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: waiter.done() or waiter.set_result(None))

    future.add_done_callback(wake)
    return waiter


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
