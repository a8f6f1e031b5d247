"""Background writers of numbered records: they keep a backlog before a connector while faults fall."""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing

from rivven_kafka._native import Publisher, RivvenClient, block_from_rows

from tests.support.numbered import Rows, numbered
from tests.support.topics import TopicWriter, create_topic

_CHUNK = 50
_LOOK_S = 0.01
# Longer than any fault: the writer waits for its broker like everybody else.
_PATIENCE_MS = 120_000


class Writer(ABC):
    """Adds numbered records to every partition of a topic, in order, from a thread of its own.

    It adds whenever fewer than `backlog` records wait, so that the connector always has work and never more than
    that is left at the end, however long a fault lasts.

    Args:
        partitions: Partitions to write to.
        padding: Bytes after the number.
        backlog: Records that may wait.
        arrived: How many records have arrived at the other end.
    """

    def __init__(self, partitions: int, padding: int, backlog: int, arrived: Callable[[], int]) -> None:
        self._partitions = partitions
        self._padding = padding
        self._backlog = backlog
        self._arrived = arrived
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self.each = 0
        """Records handed over for each partition: their sequence numbers are those below."""

    @property
    def written(self) -> int:
        """Records handed over, for all partitions."""
        return self.each * self._partitions

    def start(self) -> None:
        """Starts adding."""
        self._thread.start()

    def finish(self, count: int) -> None:
        """Adds until there are `count` records at least, waits until the broker has all, and ends.

        Raises:
            AssertionError: The broker did not take them.
        """
        while self.written < count and self._thread.is_alive():
            time.sleep(_LOOK_S)
        self._stop.set()
        self._thread.join(_PATIENCE_MS / 1000)
        assert self._error is None, f"the writer failed: {self._error!r}"

    def abandon(self) -> None:
        """Adds nothing more, and waits for nothing: the broker may be gone."""
        self._stop.set()
        if self._thread.ident is None:
            self._close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self.written - self._arrived() >= self._backlog:
                    self._stop.wait(_LOOK_S)
                    continue
                for partition in range(self._partitions):
                    rows = numbered(partition, range(self.each, self.each + _CHUNK), self._padding)
                    self._write(partition, rows)
                self.each += _CHUNK
            self._close()
        except BaseException as error:  # told by `finish`, in the thread of the test
            self._error = error
            with contextlib.suppress(Exception):
                self._close()

    @abstractmethod
    def _write(self, partition: int, rows: Rows) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class KafkaWriter(Writer):
    """Writes to a Kafka topic, which it creates; Kafka drops what is sent twice."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        padding: int,
        backlog: int,
        arrived: Callable[[], int],
    ) -> None:
        super().__init__(partitions, padding, backlog, arrived)
        create_topic(bootstrap, topic, partitions)
        self._topic = TopicWriter(
            bootstrap, topic, partitions, batch_size_bytes=4096, enable_idempotence=True
        )

    def _write(self, partition: int, rows: Rows) -> None:
        self._topic.write(partition, rows)

    def _close(self) -> None:
        self._topic.close()


class RivvenWriter(Writer):
    """Writes to a Rivven topic, which it creates: in order, with one connection for each partition.

    When the broker crashes, records can be stored twice.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        padding: int,
        backlog: int,
        arrived: Callable[[], int],
    ) -> None:
        super().__init__(partitions, padding, backlog, arrived)
        with closing(RivvenClient([bootstrap])) as client:
            client.create_topic(topic, partitions)
        self._publisher = Publisher(
            [bootstrap], value_format="raw", max_batch_records=_CHUNK, retry_max_ms=500, max_retries=1000
        )
        self._publisher.add_route("numbers", topic, partitions)

    def _write(self, partition: int, rows: Rows) -> None:
        self._publisher.check()
        self._publisher.submit(block_from_rows("numbers", partition, rows))

    def _close(self) -> None:
        assert self._publisher.close(_PATIENCE_MS), self._publisher.error()
