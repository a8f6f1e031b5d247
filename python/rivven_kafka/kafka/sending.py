"""The ordinary case of kafka-python's sender, made short.

Most of the time all there is to do is to send the first batch of every partition that waits for nothing, and
to hear that it was stored. `Sending` does that with one native call for a request and one for its answer, and
leaves everything else to kafka-python: retries, partitions without a leader, connections, expired batches,
answers that tell of an error.
`tests/unit/kafka/test_producer_seams.py` fails when the seam moves.
"""

from __future__ import annotations

import heapq
import time
from typing import Any

from kafka import TopicPartition
from kafka.producer.producer_batch import ProducerBatch
from kafka.protocol.producer import ProduceRequest, ProduceResponse

from rivven_kafka._native import all_batches_stored, produce_request
from rivven_kafka.kafka.accumulator import Accumulator

_VERSION = 9
"""Of Produce: what the native code writes, and the latest that kafka-python's sender uses."""
_LOOK_EVERY_S = 0.05
"""How often kafka-python looks after batches and connections itself while all is ordinary."""

_FEW = 2
"""Requests on their way to a broker beyond which one has to be worth it."""

Stored = list[tuple[str, int, int]]
"""Topic, partition and base offset of batches that were stored."""


class _Answer:
    """Reads the answer; in the place of kafka-python's response class."""

    def __init__(self, correlation_id: int) -> None:
        self.correlation_id = correlation_id

    @classmethod
    def parse_header(cls, data: Any) -> _Answer:
        """The header of a response: correlation id, and tags, of which there are none."""
        head = data.read(5)
        return cls(int.from_bytes(head[:4], "big", signed=True))

    @staticmethod
    def decode(data: Any) -> Any:
        """`Stored` for the ordinary answer, else kafka-python's response."""
        body = data.read()
        stored = all_batches_stored(body)
        return ProduceResponse.decode(body, version=_VERSION) if stored is None else stored


class _Header:
    """What a connection keeps of a request until the answer comes."""

    api_key = 0
    api_version = _VERSION

    def __init__(self, correlation_id: int) -> None:
        self.correlation_id = correlation_id

    def get_response_class(self) -> type[_Answer]:
        """Who reads the answer."""
        return _Answer


class _Request:
    """A produce request; in the place of kafka-python's."""

    API_KEY = 0
    API_VERSION = _VERSION

    def __init__(
        self, transactional_id: str | None, acks: int, timeout_ms: int, batches: list[ProducerBatch]
    ) -> None:
        self._transactional_id = transactional_id
        self._acks = acks
        self._timeout_ms = timeout_ms
        self._batches = batches
        self.header = _Header(-1)
        self._client_id: str | None = None

    def expect_response(self) -> bool:
        """Always: without one, `Sending` is not used."""
        return True

    def with_header(self, correlation_id: int, client_id: str) -> None:
        """Takes what stands before the request."""
        self.header = _Header(correlation_id)
        self._client_id = client_id

    def encode(self, *, framed: bool, header: bool) -> bytes:
        """The bytes for the wire."""
        assert framed
        assert header
        entries = []
        for batch in self._batches:
            topic, partition = batch.topic_partition
            records = batch.records
            state = (records.producer_id, records.producer_epoch, records.base_sequence)
            entries.append((topic, partition, records.sealed, *state))
        return produce_request(
            self.header.correlation_id,
            self._client_id,
            self._transactional_id,
            self._acks,
            self._timeout_ms,
            entries,
        )


class Sending:
    """Takes the place of `Sender._send_producer_data`. Used by the sender's thread alone.

    Args:
        sender: kafka-python's.
        accumulator: Where the batches are.
    """

    def __init__(self, sender: Any, accumulator: Accumulator) -> None:
        self._sender = sender
        self._theirs = sender._send_producer_data
        self._accumulator = accumulator
        self._manager = sender._transaction_manager
        self._cluster = sender._metadata
        self._connections = sender._client._manager._conns
        config = sender.config
        self._acks, self._timeout_ms = config["acks"], config["request_timeout_ms"]
        self._max_request_size = config["max_request_size"]
        self._transactional_id = self._manager.transactional_id if self._manager else None
        self._next_look = 0.0
        self._versions: Any = None

    def send(self, now: float | None = None) -> float:
        """Sends what can be sent.

        Returns:
            How long the sender may wait for the network (ms).
        """
        now = time.monotonic()
        ordinary = self._send_ready(now)
        if ordinary and now < self._next_look:
            return (self._next_look - now) * 1000
        self._next_look = now + _LOOK_EVERY_S
        theirs: float = self._theirs(now)
        return theirs

    def _send_ready(self, now: float) -> bool:
        """Sends the first batch of every partition that waits for nothing; False if others are left."""
        ready: dict[int, list[TopicPartition]] = {}
        ordinary = True
        muted, leader_of = self._accumulator.muted, self._cluster.leader_for_partition
        queues = list(self._accumulator._batches.items())
        known: dict[int | None, int] = {}
        for tp, queue in queues:
            leader = leader_of(tp)
            known[leader] = known.get(leader, 0) + 1
            if not queue or tp in muted:
                continue
            if leader is None or leader == -1:
                ordinary = False
            else:
                ready.setdefault(leader, []).append(tp)
        for node, partitions in ready.items():
            connection = self._connections.get(node)
            usable = connection is not None and connection.connected and self._speaks(connection)
            if usable and len(connection.in_flight_requests) >= _FEW and 2 * len(partitions) < known[node]:
                # An answer is on its way, and more partitions will be ready then: fewer requests.
                continue
            if not usable or not self._send_to(node, connection, partitions, now):
                ordinary = False
        return ordinary

    def _speaks(self, connection: Any) -> bool:
        """Whether the broker takes requests of our version."""
        versions = connection.broker_version_data
        if versions is not self._versions:
            if versions.api_version(ProduceRequest, max_version=_VERSION) != _VERSION:
                return False
            self._versions = versions
        return True

    def _send_to(self, node: int, connection: Any, partitions: list[TopicPartition], now: float) -> bool:
        ordinary = True
        batches: list[ProducerBatch] = []
        size = 0
        for tp in partitions:
            if connection.paused:
                # By requests without an answer, or by the broker: the sender hears of the end of either.
                break
            batch = self._accumulator.take(tp, node, now)
            if batch is None:
                ordinary = False
                continue
            length = batch.records.size_in_bytes()
            if batches and size + length > self._max_request_size:
                self._send_request(node, connection, batches)
                batches, size = [], 0
            batches.append(batch)
            size += length
        if batches:
            self._send_request(node, connection, batches)
        return ordinary

    def _send_request(self, node: int, connection: Any, batches: list[ProducerBatch]) -> None:
        in_flight = self._sender._in_flight_batches
        for batch in batches:
            heapq.heappush(in_flight[batch.topic_partition], (batch.created, batch))
        request = _Request(self._transactional_id, self._acks, self._timeout_ms, batches)
        future = connection.send_request(request)
        future.add_callback(self._answered, node, time.monotonic(), batches)
        future.add_errback(self._sender._failed_produce, batches, node)
        transport = connection.transport
        if transport is not None and transport._write_buffer:
            # Now, instead of in a task that first waits until the socket takes it; that task sends the rest.
            _, error = transport._sock_send()
            if error:
                transport.abort(error)

    def _answered(self, node: int, sent_at: float, batches: list[ProducerBatch], answer: Any) -> None:
        if type(answer) is not list:
            self._sender._handle_produce_response(node, sent_at, batches, answer)
            return
        places = {batch.topic_partition: batch for batch in batches}
        for topic, partition, base_offset in answer:
            self._stored(places[topic, partition], base_offset)

    def _stored(self, batch: ProducerBatch, base_offset: int) -> None:
        """As `Sender._complete_batch` where there is no error."""
        tp = batch.topic_partition
        if batch.complete(base_offset, -1):
            self._sender._maybe_remove_from_inflight_batches(batch)
            self._accumulator.deallocate(batch)
        manager = self._manager
        if manager and manager.producer_id_and_epoch.match(batch):
            manager.update_last_acked_offset(tp, base_offset, batch.record_count)
