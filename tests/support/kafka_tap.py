"""The tap for Kafka, and a Kafka whose clients all go through one."""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka.protocol.api_header import ResponseClassRegistry
from kafka.protocol.api_key import ApiKey
from kafka.protocol.consumer import (
    FetchRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    OffsetCommitRequest,
)
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest

from tests.support.kafka_broker import KafkaBroker
from tests.support.ports import ReservedPort
from tests.support.tap import Action, Exchange, Tap

__all__ = ["ApiKey", "Batch", "KafkaExchange", "KafkaTap", "TappedKafka", "changed"]

_REQUESTS = {
    request.API_KEY: request
    for request in (
        FetchRequest,
        HeartbeatRequest,
        InitProducerIdRequest,
        JoinGroupRequest,
        LeaveGroupRequest,
        MetadataRequest,
        OffsetCommitRequest,
        ProduceRequest,
    )
}
_LEADER_NOT_AVAILABLE = 5
_HEAD = struct.Struct(">hhih")
# base offset, length, leader epoch, magic, CRC, attributes, last offset delta, two timestamps, producer id,
# epoch and base sequence, records. Source: https://kafka.apache.org/documentation/#recordbatch
_BATCH = struct.Struct(">qiibIhiqqqhii")


@dataclass(frozen=True)
class Batch:
    """The header of a record batch (magic 2).

    Attributes:
        size: Bytes of the whole batch.
        attributes: Codec, timestamp type, transactional and control bits.
        producer_id: -1 without idempotence.
        base_sequence: -1 without idempotence.
        record_count: Records in it.
    """

    size: int
    attributes: int
    producer_id: int
    base_sequence: int
    record_count: int

    @classmethod
    def all_in(cls, records: bytes) -> list["Batch"]:
        """The batches that stand one after the other in `records`; one that is cut off is left out."""
        found, at = [], 0
        while at + _BATCH.size <= len(records):
            _, length, _, magic, _, attributes, _, _, _, producer_id, _, sequence, count = _BATCH.unpack_from(
                records, at
            )
            assert magic == 2, f"a batch of magic {magic}"
            at += 12 + length
            if at <= len(records):
                found.append(cls(12 + length, attributes, producer_id, sequence, count))
        return found


@dataclass(eq=False)
class KafkaExchange(Exchange):
    """A request to Kafka and its answer; both are decoded by kafka-python's own protocol classes."""

    version: int = 0
    client_id: str | None = None

    @property
    def request(self) -> Any:
        """The decoded request."""
        return _REQUESTS[self.api].decode(self.body, version=self.version, header=True)

    @property
    def response(self) -> Any:
        """The decoded answer of the broker; None while there is none."""
        return None if self.answer is None else _response_class(self).decode(self.answer, header=True)

    def records(self) -> dict[int, bytes]:
        """The batches by partition, of a Produce request or of a Fetch answer, which must be of one topic."""
        if self.api == ApiKey.Produce:
            topics = [topic.partition_data for topic in self.request.topic_data]
            return {each.index: bytes(each.records or b"") for topic in topics for each in topic}
        assert self.api == ApiKey.Fetch
        topics = [topic.partitions for topic in self.response.responses] if self.answer else []
        return {each.partition_index: bytes(each.records or b"") for topic in topics for each in topic}

    def batches(self) -> list[Batch]:
        """The headers of those batches, partition by partition."""
        return [batch for records in self.records().values() for batch in Batch.all_in(records)]


class KafkaTap(Tap[KafkaExchange]):
    """A proxy that reads Kafka's protocol. `api` is an `ApiKey`."""

    def of_client(self, client_id: str, api: int | None = None) -> list[KafkaExchange]:
        """The exchanges of one client."""
        return [each for each in self.exchanges(api) if each.client_id == client_id]

    @staticmethod
    def produce_error(code: int) -> Any:
        """An action for `fault`: every partition of a Produce answer gets this error code.

        The broker has stored the batches all the same. Of the retriable codes, 20 (not enough replicas after
        append) is the one that says so.
        """

        def replace(decoded: Any) -> None:
            for topic in decoded.responses:
                for partition in topic.partition_responses:
                    partition.error_code = code
                    partition.base_offset = -1

        return changed(replace)

    @staticmethod
    def without_leader(name: str, number: int) -> Any:
        """An action for `fault`: a Metadata answer says that a partition has no leader."""

        def replace(decoded: Any) -> None:
            for topic in decoded.topics:
                for partition in topic.partitions:
                    if (topic.name, partition.partition_index) == (name, number):
                        partition.error_code = _LEADER_NOT_AVAILABLE
                        partition.leader_id = -1

        return changed(replace)

    @staticmethod
    def flip(pattern: bytes) -> Any:
        """An action for `fault`: flips the lowest bit of the last byte of the first `pattern` in an answer."""

        def damage(_: KafkaExchange, answer: bytes) -> bytes:
            at = answer.find(pattern)
            if at < 0:
                return answer
            at += len(pattern) - 1
            return answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]

        return damage

    def _exchange(self, connection: int, body: bytes) -> KafkaExchange:
        api, version, correlation_id, length = _HEAD.unpack_from(body)
        client_id = None if length < 0 else body[_HEAD.size : _HEAD.size + length].decode()
        return KafkaExchange(
            connection,
            api,
            correlation_id,
            body,
            time.monotonic(),
            version=version,
            client_id=client_id,
        )

    def _answered_id(self, body: bytes) -> int:
        return int.from_bytes(body[:4], "big", signed=True)


class TappedKafka(KafkaBroker):
    """A Kafka with a second listener, whose advertised address is that of a tap.

    Clients that begin at `tap.address` stay on the tap. What begins at `bootstrap`, as the tools of the tests
    do, is not seen and not spoiled.
    """

    def __init__(self, directory: Path | None = None, **options: Any) -> None:
        super().__init__(directory, **options)
        self._tap_port = ReservedPort()
        self.tap = KafkaTap(self._tap_port.number)

    @property
    def properties(self) -> dict[str, str | int]:
        """The server.properties it runs with."""
        inner = super().properties
        protocols = "listener.security.protocol.map"
        return {
            **inner,
            "listeners": f"{inner['listeners']},TAP://{self._tap_port.address}",
            "advertised.listeners": f"{inner['advertised.listeners']},TAP://{self.tap.address}",
            protocols: f"{inner[protocols]},TAP:PLAINTEXT",
        }

    def _release_ports(self) -> None:
        super()._release_ports()
        self.tap.close()
        self._tap_port.release()


def changed(change: Callable[[Any], object]) -> Action[KafkaExchange]:
    """An action for `fault` that gives the decoded answer to `change`."""

    def replace(exchange: KafkaExchange, answer: bytes) -> bytes:
        response = _response_class(exchange)
        # A correlation id, and an empty list of tagged fields in newer versions.
        head = 5 if response.flexible_version_q(exchange.version) else 4
        decoded = response.decode(answer[head:])
        change(decoded)
        # kafka-python encodes what it has decoded only after this.
        decoded._header = None
        return answer[:head] + bytes(decoded.encode(version=exchange.version))

    return replace


def _response_class(exchange: KafkaExchange) -> Any:
    return ResponseClassRegistry._response_class_registry[exchange.api][exchange.version]
