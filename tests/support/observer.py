"""Watches a topic fill from outside: how much has arrived, how fast, and what is still missing."""

from __future__ import annotations

import bisect
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from tests.support.numbered import place_of
from tests.support.rivven_wire import RivvenRecord, RivvenWire, RivvenWireError

_LOOK_S = 0.05
_TIMEOUT_S = 2.0
_WINDOW_S = 1.0
_STRIDE_S = 0.05
# Records that a crash took back, whose offsets others have now, are among the last.
_STEP_BACK = 2_000


class Timeline:
    """How a counter grew, from zero at `begin` (s, monotonic)."""

    def __init__(self, begin: float) -> None:
        self._times = [begin]
        self._counts = [0]

    def add(self, when: float, count: int) -> None:
        """The counter stands at `count` at that moment, which follows all others."""
        # In this order: `at` looks for times first, from other threads.
        self._counts.append(count)
        self._times.append(when)

    @property
    def last(self) -> float:
        """When the counter was last looked at (s, monotonic)."""
        return self._times[-1]

    def at(self, when: float) -> float:
        """The counter at a moment, between two looks by interpolation."""
        after = bisect.bisect_right(self._times, when)
        if after == 0:
            return 0.0
        if after == len(self._times):
            return float(self._counts[after - 1])
        t0, t1 = self._times[after - 1], self._times[after]
        c0, c1 = self._counts[after - 1], self._counts[after]
        return c0 + (c1 - c0) * (when - t0) / (t1 - t0)

    def rate(self, begin: float, end: float) -> float:
        """Counts per second between two moments."""
        return (self.at(end) - self.at(begin)) / (end - begin)

    def time_to(self, rate: float, begin: float, until: float) -> float | None:
        """Seconds from `begin` to the first whole second with this rate; None if there is none by `until`."""
        start = begin
        while start + _WINDOW_S <= min(until, self.last):
            if self.rate(start, start + _WINDOW_S) >= rate:
                return start - begin
            start += _STRIDE_S
        return None


class Observer(ABC):
    """Reads a topic as it grows, in a thread of its own.

    Args:
        look_after: Called at every look, some twenty times a second, for what else is to be watched.
    """

    def __init__(self, look_after: Callable[[], None] = lambda: None) -> None:
        self.timeline = Timeline(time.monotonic())
        self._look_after = look_after
        self._places: set[tuple[int, int]] = set()
        self._arrivals = 0
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Starts watching."""
        self._thread.start()

    def stop(self) -> None:
        """Ends watching."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def arrivals(self) -> int:
        """Records in the topic, the doubled ones too.

        Raises:
            AssertionError: The topic cannot be watched.
        """
        assert self._error is None, f"the observer failed: {self._error!r}"
        return self._arrivals

    @property
    def distinct(self) -> int:
        """Records that have arrived at least once."""
        return len(self._places)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._look()
                self.timeline.add(time.monotonic(), self._arrivals)
                self._look_after()
                self._stop.wait(_LOOK_S)
        except BaseException as error:  # told by `arrivals`, in the thread of the test
            self._error = error
        finally:
            self._close()

    def _count(self, values: Iterable[bytes], new: int) -> None:
        self._places.update(map(place_of, values))
        self._arrivals += new

    @abstractmethod
    def _look(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class RivvenObserver(Observer):
    """Watches a Rivven topic, also one that does not exist yet, and finds its broker again."""

    def __init__(
        self, port: int, topic: str, partitions: int, look_after: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(look_after)
        self._port = port
        self._topic = topic
        self._next = [0] * partitions
        self._highest = [0] * partitions
        self._wire: RivvenWire | None = None

    def _look(self) -> None:
        try:
            if self._wire is None:
                self._wire = RivvenWire("127.0.0.1", self._port, _TIMEOUT_S)
            for partition in range(len(self._next)):
                while page := self._wire.fetch(self._topic, self._next[partition], partition):
                    self._take(partition, page)
        except (OSError, RivvenWireError):
            self._close()
            self._next = [max(0, offset - _STEP_BACK) for offset in self._next]

    def _take(self, partition: int, page: list[RivvenRecord]) -> None:
        after = max(record.offset for record in page) + 1
        new = sum(record.offset >= self._highest[partition] for record in page)
        self._count((record.value for record in page), new)
        self._next[partition] = after
        self._highest[partition] = max(after, self._highest[partition])

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class KafkaObserver(Observer):
    """Watches a Kafka topic, as consumers with that isolation level see it."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        isolation_level: str,
        look_after: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(look_after)
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level=isolation_level,
            enable_auto_commit=False,
            metrics_enabled=False,
            fetch_max_wait_ms=100,
            reconnect_backoff_max_ms=500,
            max_partition_fetch_bytes=4 << 20,
        )
        numbers = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer.assign(numbers)
        self._consumer.seek_to_beginning(*numbers)

    def _look(self) -> None:
        try:
            fetched = self._consumer.poll(timeout_ms=50, max_records=10_000)
        except kafka_errors.KafkaError:
            # It is away. The consumer goes on where it was.
            return
        for records in fetched.values():
            self._count((record.value for record in records), len(records))

    def _close(self) -> None:
        self._consumer.close()
