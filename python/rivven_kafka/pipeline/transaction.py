"""Delivery inside Kafka transactions: records and positions become visible together or not at all."""

from __future__ import annotations

import enum
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

from rivven_kafka._native import SinkEncoder
from rivven_kafka.config import KafkaSinkConfig
from rivven_kafka.errors import RivvenKafkaError, TimeoutExpired
from rivven_kafka.kafka import TransactionalProducer
from rivven_kafka.pipeline.delivery import Aborted, Confirm, OnRefused, Partition
from rivven_kafka.pipeline.kafka_positions import KafkaPositions

log = logging.getLogger(__name__)

# A transaction that ends is waited for in steps as short as the answers of Kafka.
_STEP_MS = 1
_LONGEST_STEP_MS = 20
# Batches that Kafka hardly stores in less than a millisecond.
_STORED_PER_MS = 8
# What was read has to go into the next transaction: as much as Kafka takes in this time. Less would leave
# Kafka idle between transactions, more would keep them open for too long.
_READ_AHEAD_S = 0.5
_LEAST_READ_AHEAD = 100
_FIRST_READ_AHEAD = 1_000
_ABORT_S = 0.5
_TELL_AFTER_S = 10.0


class _State(enum.Enum):
    NONE = enum.auto()
    OPEN = enum.auto()
    SEALED = enum.auto()
    """Waits for the acknowledgement of its batches."""
    COMMITTING = enum.auto()


_ENDING = (_State.SEALED, _State.COMMITTING)


class TransactionalDelivery:
    """Puts batches and the positions behind them into one transaction after the other.

    While a transaction ends, the loop goes on to read and to encode; those records make the next one.

    Delivery guarantee: exactly once, for readers with `isolation_level=read_committed`. A transaction holds
    whole acknowledged prefixes of its Rivven partitions, and their ends are committed with it.

    Several sinks of one Rivven group need a transactional id each. The id of the holder stands beside every
    position: who takes a partition over that was not let go fences the holder first, so a process that was
    only slow cannot add to what its successor has read. See `hold` for one that was slow before it stood
    there. Two processes with the same id fence each other in turn, at every restart.

    Args:
        producer: Where to send.
        encoder: Where from.
        positions: Where the positions lie in Kafka.
        config: Options of the sink.
        on_refused: Takes the records that Kafka will never take.
        committed: Called with how long the commit of a transaction took (s).
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        encoder: SinkEncoder,
        positions: KafkaPositions,
        config: KafkaSinkConfig,
        on_refused: OnRefused,
        committed: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._producer = producer
        self._on_refused = on_refused
        self._report = committed
        self._encoder = encoder
        self._places = positions
        self._topic = config.topic
        self._linger_ms = config.linger_ms
        self._max_records = config.transaction_max_records
        self._interval_s = config.transaction_interval_ms / 1000
        self._timeout_s = config.delivery_timeout_ms / 1000
        self._request_timeout_s = config.request_timeout_ms / 1000
        self._state = _State.NONE
        self._since = self._begun = 0.0
        self._records = 0
        self._read_ahead = _FIRST_READ_AHEAD
        self._wanted = False
        self._tell_at: float | None = None
        self._held: dict[Partition, int] = {}
        self._pending: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    def take_over(self, partitions: Sequence[Partition], beat: Confirm) -> Mapping[Partition, int] | None:
        """The positions in Kafka, after other holders of the partitions were fenced."""
        found = self._places.take_over(partitions, beat)
        now = time.monotonic()
        if found is not None:
            self._tell_at = None
        elif self._tell_at is None:
            self._tell_at = now + _TELL_AFTER_S
        elif now >= self._tell_at:
            self._tell_at = math.inf
            log.info(
                "waiting to take partitions over for %d s: another sink has a transaction open; if that sink "
                "has died, Kafka ends it after its transaction_timeout_ms",
                _TELL_AFTER_S,
            )
        return found

    def hold(self, positions: Mapping[Partition, int], confirm: Confirm) -> bool:
        """Makes this sink the holder, before anything is read.

        Kafka takes the positions of any sink that was not fenced, and nobody fences one that no position
        names. So the group in Rivven is asked while they wait in an open transaction, for which every other
        sink that takes over waits. If the partitions belonged to others meanwhile, it says so; if they go to
        others later, those find this sink named.
        """
        self._held = {}
        if not positions:
            return True
        self._producer.begin()
        try:
            offsets = self._places.offsets(positions)
            if not self._producer.stage(self._topic, offsets, self._request_timeout_s):
                raise TimeoutExpired("Kafka has not taken the positions within request_timeout_ms")
            confirmed = confirm()
        except BaseException:
            # Until Kafka ends it by itself, others that take over would wait.
            self._producer.abort(_ABORT_S)
            raise
        if not confirmed:
            if not self._producer.abort(self._request_timeout_s):
                raise TimeoutExpired("Kafka has not aborted a transaction within request_timeout_ms")
            return False
        self._producer.commit()
        if not self._producer.wait_committed(self._request_timeout_s):
            raise TimeoutExpired("Kafka has not committed the positions within request_timeout_ms")
        self._held = dict(positions)
        return True

    def patience_ms(self, most_ms: int) -> int:
        """Until the transaction is due or batches have lingered; short steps while one ends."""
        if self._state in _ENDING:
            # Each look takes time from the thread that sends.
            return min(max(self._producer.in_flight // _STORED_PER_MS, _STEP_MS), most_ms, _LONGEST_STEP_MS)
        if self._encoder.has_open():
            most_ms = min(most_ms, self._linger_ms)
        if self._state is _State.OPEN:
            left_ms = int((self._since + self._interval_s - time.monotonic()) * 1000)
            most_ms = min(most_ms, max(left_ms, _STEP_MS))
        return most_ms

    def room(self) -> int | None:
        """What the transaction under way and the next one can take."""
        return max(self._read_ahead - self._encoder.in_flight_records(), 0)

    def advance(self) -> None:
        """Sends what is ready, and takes the transaction as far as it goes."""
        self._producer.check()
        if self._state not in _ENDING:
            self._send(self._linger_ms)
            due = time.monotonic() - self._since >= self._interval_s
            if self._state is _State.OPEN and (due or self._records >= self._max_records):
                self._seal()
        self._end()

    def skipped(self) -> None:
        """The position moves with the next transaction, which begins for it alone if need be."""
        self._wanted = True

    def take_positions(self) -> list[tuple[str, int, int]]:
        """What committed transactions cover."""
        committed, self._committed = self._committed, {}
        return [(topic, partition, offset) for (topic, partition), offset in committed.items()]

    def let_go(self, timeout_s: float, aborted: Aborted) -> bool:
        """Commits everything that was read, and clears the holder of the positions."""
        self._places.starts_anew()
        self._tell_at = None
        deadline = time.monotonic() + timeout_s
        if not self._finish(deadline, aborted):
            return False
        held, self._held = self._held, {}
        if not held:
            return True
        self._producer.begin()
        self._producer.commit(self._topic, self._places.offsets(held, held=False))
        return self._producer.wait_committed(max(deadline - time.monotonic(), 1.0))

    def give_up(self, timeout_s: float, aborted: Aborted) -> None:
        """Commits what was read before the error if Kafka still takes it; else aborts."""
        deadline = time.monotonic() + timeout_s
        try:
            # Behind a record that is held there are others, which a commit would leave beyond the position.
            if not self._encoder.records_held() and self._finish(deadline, aborted):
                return
        except RivvenKafkaError as error:
            log.debug("the transaction is aborted: %s", error)
        self._producer.abort(max(deadline - time.monotonic(), 0.1))

    def _finish(self, deadline: float, aborted: Aborted) -> bool:
        """Commits all there is; False if that takes beyond `deadline`, or if aborted."""
        while True:
            self._producer.check()
            if self._state not in _ENDING:
                self._send(0)
                if self._state is _State.NONE:
                    return True
                self._seal()
            self._end()
            if self._state is not _State.NONE:
                if aborted() or time.monotonic() >= deadline:
                    return False
                time.sleep(_STEP_MS / 1000)

    def _send(self, linger_ms: int) -> None:
        batches = self._encoder.take_ready(linger_ms)
        if self._state is _State.NONE and (batches or self._wanted):
            self._producer.begin()
            self._state, self._since, self._records = _State.OPEN, time.monotonic(), 0
            self._begun = self._since
        if batches:
            self._producer.send(self._topic, batches)
            self._records += sum(batch.record_count for batch in batches)

    def _seal(self) -> None:
        # Whole blocks only: a part of one would leave acknowledged records behind the position.
        self._send(0)
        self._state, self._since = _State.SEALED, time.monotonic()

    def _end(self) -> None:
        if self._state is _State.SEALED and not self._producer.in_flight:
            # An outcome may have been a failure, and kafka-python would commit without the lost batch.
            self._producer.check()
            refused = self._producer.take_refused()
            if refused:
                # Before the positions are taken: they may not stop in front of what this transaction holds.
                self._on_refused(refused)
            self._wanted = False
            moved = self._encoder.take_positions()
            self._pending = {(topic, partition): offset for topic, partition, offset in moved}
            self._producer.commit(self._topic, self._places.offsets(self._pending))
            # It has the time of a delivery for itself, whatever the acknowledgements, or a letter, took.
            self._state, self._since = _State.COMMITTING, time.monotonic()
        elif self._state is _State.COMMITTING and self._producer.committed():
            self._held.update(self._pending)
            self._committed.update(self._pending)
            self._state, self._pending = _State.NONE, {}
            self._report(time.monotonic() - self._since)
            rate = self._records / (time.monotonic() - self._begun)
            self._read_ahead = max(int(rate * _READ_AHEAD_S), _LEAST_READ_AHEAD)
        if self._state in _ENDING and time.monotonic() - self._since > self._timeout_s:
            # kafka-python asks for ever to add partitions of a topic that was deleted.
            gone = self._producer.ask_whether_gone(self._topic)
            raise gone or TimeoutExpired(
                "Kafka has not committed a transaction before delivery_timeout_ms", topic=self._topic
            )
