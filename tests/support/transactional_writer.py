"""A writer whose transactions are committed, aborted, or left open by a crash."""

from __future__ import annotations

import threading
from random import Random

from kafka import KafkaProducer

from tests.support.numbered import numbered
from tests.support.writers import Writer

_CHUNK = 50
_LOOK_S = 0.01
# Numbers of records that no reader of committed ones may see.
_ABORTED = 10_000_000


class TransactionalWriter(Writer):
    """Adds numbered records to a Kafka topic in transactions, and among them others that it takes back.

    Attributes:
        aborted: Transactions that were taken back.

    Args:
        writer: Whose place it takes.
        bootstrap: Kafka's address.
        topic: An existing topic.
        chance: Decides which transactions are aborted.
        padding: Bytes after the number.
    """

    def __init__(self, writer: Writer, bootstrap: str, topic: str, chance: Random, padding: int) -> None:
        super().__init__(writer._partitions, padding, writer._backlog, writer._arrived)
        writer.abandon()
        self._topic = topic
        self._chance = chance
        self._options = {"bootstrap_servers": bootstrap, "metrics_enabled": False, "linger_ms": 5}
        self._producer = self._new_producer()
        self._open = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()
        self.aborted = 0

    def hold_open(self) -> None:
        """Leaves the next transaction open until `go_on`; returns when it is, with all its records sent."""
        self._go_on.clear()
        assert self._open.wait(30), f"no transaction: {self._error!r}"

    def go_on(self) -> None:
        """Ends the transaction that is open."""
        self._open.clear()
        self._go_on.set()

    def _new_producer(self) -> KafkaProducer:
        producer = KafkaProducer(**self._options, transactional_id=f"writer-{self._topic}", acks="all")
        producer.init_transactions()
        return producer

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self.written - self._arrived() >= self._backlog and self._go_on.is_set():
                    self._stop.wait(_LOOK_S)
                    continue
                self._transaction()
            self._close()
        except BaseException as error:  # told by `finish`, in the thread of the test
            self._error = error

    def _transaction(self) -> None:
        abort = self._chance.random() < 0.4
        first = _ABORTED + self.aborted * _CHUNK if abort else self.each
        self._producer.begin_transaction()
        for partition in range(self._partitions):
            for _, key, value, _ in numbered(partition, range(first, first + _CHUNK), self._padding):
                self._producer.send(self._topic, value, key, partition=partition)
        self._producer.flush(30)
        if not self._go_on.is_set():
            self._open.set()
            self._go_on.wait()
        if abort:
            self._producer.abort_transaction()
            self.aborted += 1
        else:
            self._producer.commit_transaction()
            self.each += _CHUNK

    def _write(self, partition: int, rows: object) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        self._producer.close()
