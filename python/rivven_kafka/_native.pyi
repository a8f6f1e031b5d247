"""Types of the native module; the docstrings are in the binary (`help(rivven_kafka._native)`)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self, final

from typing_extensions import Buffer

from rivven_kafka.errors import RivvenKafkaError

__all__ = [
    "BadRecord",
    "BatchBuilder",
    "BatchReader",
    "Fetcher",
    "Histogram",
    "KafkaSinkMetrics",
    "KafkaSinkMetricsSnapshot",
    "KafkaSourceMetrics",
    "KafkaSourceMetricsSnapshot",
    "OffsetMap",
    "OutgoingBatch",
    "PositionIndex",
    "Publisher",
    "RawComparison",
    "RawPairs",
    "RawStart",
    "RecordBlock",
    "RivvenClient",
    "RivvenSecurity",
    "SinkEncoder",
    "Survey",
    "VerifyIndex",
    "__profile__",
    "all_batches_stored",
    "apply_transforms",
    "block_from_rows",
    "encode_events",
    "murmur2",
    "partition_for_key",
    "produce_request",
    "producer_ids",
    "read_headers",
]

__profile__: str

@final
class RecordBlock:
    """Records of one partition, in offset order."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def first_offset(self) -> int | None: ...
    @property
    def last_offset(self) -> int | None: ...
    def __len__(self) -> int: ...
    def offsets(self) -> list[int]: ...
    def timestamps(self) -> list[int]: ...
    def timestamp_types(self) -> list[int]: ...
    def keys(self) -> list[bytes | None]: ...
    def values(self) -> list[bytes | None]: ...
    def headers(self) -> list[list[tuple[str, bytes | None]]]: ...
    def record(
        self, index: int
    ) -> tuple[int, int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]: ...
    def columns(
        self, start: int, stop: int
    ) -> tuple[bytes, list[bytes | None], list[bytes | None], list[bytes | None]]: ...
    def slice(self, start: int, stop: int) -> RecordBlock: ...

@final
class BatchReader:
    """Reads the records of one partition out of a fetch response, batch by batch."""

    def __new__(
        cls,
        topic: str,
        partition: int,
        data: Buffer,
        fetch_offset: int,
        *,
        size: int | None = None,
        read_committed: bool = False,
        check_crcs: bool = True,
        max_batch_bytes: int = 134217728,
        aborted: Sequence[tuple[int, int]] = (),
    ) -> BatchReader: ...
    @property
    def next_offset(self) -> int: ...
    def next_block(self, max_records: int, max_bytes: int) -> RecordBlock | None: ...

@final
class BatchBuilder:
    """Builds a record batch of magic 2."""

    def __new__(cls, compression: str = "none") -> BatchBuilder: ...
    @property
    def size_bytes(self) -> int: ...
    def __len__(self) -> int: ...
    def append(
        self,
        timestamp: int,
        key: bytes | bytearray | None,
        value: bytes | bytearray | None,
        headers: Sequence[tuple[str, bytes | bytearray | None]] = (),
    ) -> None: ...
    def build(
        self,
        producer_id: int = -1,
        epoch: int = -1,
        base_sequence: int = -1,
        transactional: bool = False,
    ) -> bytes: ...

def murmur2(key: bytes | bytearray) -> int: ...
def read_headers(raw: bytes, count: int) -> list[tuple[str, bytes | None]]: ...
def partition_for_key(key: bytes | bytearray, partitions: int) -> int: ...

@final
class RivvenSecurity:
    """TLS and the login of connections to Rivven; shows nothing of what it was given."""

    def __new__(
        cls,
        *,
        tls: bool = False,
        ca_path: str | None = None,
        cert_path: str | None = None,
        key_path: str | None = None,
        server_name: str | None = None,
        insecure: bool = False,
        username: str | None = None,
        password: str | None = None,
    ) -> Self: ...

@final
class RivvenClient:
    """A client of a Rivven broker: topics, offsets, groups, single fetches."""

    def __new__(
        cls,
        servers: Sequence[str],
        *,
        client_id: str = ...,
        security: RivvenSecurity | None = None,
        connect_timeout_ms: int = 10_000,
        request_timeout_ms: int = 30_000,
        retry_initial_ms: int = 100,
        retry_max_ms: int = 30_000,
        retry_multiplier: float = 2.0,
        max_retries: int = 10,
    ) -> Self: ...
    def ping(self) -> None:
        """Asks for a sign of life."""
    def topics(self) -> list[str]:
        """Names of all topics, sorted."""
    def partition_count(self, topic: str) -> int | None:
        """How many partitions a topic has, None if it does not exist."""
    def create_topic(self, name: str, partitions: int) -> bool:
        """Creates a topic; False if it exists already, with whatever number of partitions."""
    def delete_topic(self, name: str) -> bool:
        """Deletes a topic; False if it does not exist."""
    def offset_bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset of a partition, and the offset that its next record will get."""
    def offset_for_timestamp(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """The first offset whose record was appended at `timestamp_ms` or later, None if there is none."""
    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """The committed offset of a group (the next to read), None if it never committed."""
    def commit_offsets(
        self, group: str, offsets: Sequence[tuple[str, int, int]], durable: bool = True
    ) -> None:
        """Commits `(topic, partition, next offset to read)`; with `durable`, to the disk."""
    def delete_group(self, group: str) -> bool:
        """Deletes the committed offsets of a group; False if it does not exist."""
    def publish(self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes]]) -> int:
        """Appends `(key or None, value)` records and returns the offset of the first."""
    def fetch(
        self, topic: str, partition: int, offset: int, max_messages: int = 1000, max_wait_ms: int = 0
    ) -> RecordBlock:
        """Reads records from `offset` on, waiting up to `max_wait_ms` for the first."""
    def scan(
        self,
        topic: str,
        partition: int,
        start: int,
        stop: int,
        visit: Callable[[int, bytes | None, bytes], object],
    ) -> tuple[int, int]:
        """Calls `visit(offset, key, value)` for each record from `start` to `stop`; their number, bytes."""
    def check_tail(self, topic: str, partition: int, known_end: int | None = None) -> tuple[int, int]:
        """Proves that the last known record can be read; the first offset, and the next record's."""
    def join_group(
        self,
        group: str,
        member_id: str,
        session_timeout_ms: int,
        rebalance_timeout_ms: int,
        topics: Sequence[str],
    ) -> tuple[int, str, str, list[tuple[str, list[str]]]]:
        """Joins a group. Returns generation, own member id, leader id, members so far with their topics."""
    def sync_group(
        self,
        group: str,
        generation: int,
        member_id: str,
        assignments: Sequence[tuple[str, Sequence[tuple[str, Sequence[int]]]]],
    ) -> list[tuple[str, list[int]]]:
        """Hands in assignments (leader) or none (follower), and returns the own one."""
    def heartbeat(self, group: str, generation: int, member_id: str) -> int:
        """Says that the member is alive. 0: the group is stable; 27: a rebalance is under way."""
    def leave_group(self, group: str, member_id: str) -> None:
        """Leaves a group."""
    def fence(self, producer_ids: Sequence[int]) -> None:
        """Has the broker refuse what the present owners of these producer ids send from now on."""
    def close(self) -> None:
        """Closes the connection. A call that is under way in another thread ends with an error."""

@final
class BadRecord:
    """A record that could not be converted, or is too large for the other side."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def cause(self) -> str:
        """Why it was left out, in one of a few words: format, invalid, other, too_large, tombstone."""
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]]: ...
    def settle(self) -> None:
        """Acknowledges the record: the position of its partition may move over it."""

def producer_ids(identity: int, places: Sequence[tuple[str, int]], connections: int) -> list[int]:
    """The producer ids that a publisher may have used to write to Rivven partitions."""

@final
class Publisher:
    """Publishes record blocks to Rivven topics over many connections, at least once or exactly once."""

    def __new__(
        cls,
        servers: Sequence[str],
        *,
        value_format: str = "event",
        on_tombstone: str = "fail",
        transforms: str = "[]",
        include_headers: bool = True,
        include_key: bool = True,
        partitioning: str = "preserve",
        connections: int = 64,
        max_batch_records: int = 200,
        max_request_bytes: int = ...,
        on_bad: str = "fail",
        exactly_once: bool = False,
        check_log: bool = True,
        client_id: str = ...,
        security: RivvenSecurity | None = None,
        connect_timeout_ms: int = 10_000,
        request_timeout_ms: int = 30_000,
        retry_initial_ms: int = 100,
        retry_max_ms: int = 30_000,
        retry_multiplier: float = 2.0,
        max_retries: int = 10,
        latencies: Histogram | None = None,
        loop_protection: tuple[str, str] | None = None,
    ) -> Self: ...
    def add_route(
        self,
        source_topic: str,
        topic: str,
        partitions: int,
        lanes_per_partition: int = 1,
        topic_id: str | None = None,
    ) -> None:
        """Sends blocks of `source_topic` to a Rivven topic, which must exist with that many partitions."""
    def prepare(
        self,
        partitions: Sequence[tuple[str, int, int, Sequence[tuple[str, int, int]] | None]],
        unsettled: bool,
    ) -> tuple[int, int]:
        """Finds out what Rivven has of source partitions, given with committed positions and anchors."""
    def anchors(
        self, topic: str, partition: int, position: int
    ) -> tuple[list[tuple[str, int, int]], bool] | None:
        """The anchors to commit beside a position, and whether all requests are settled."""
    def extend_lease(self, time_ms: int) -> None:
        """Lets it send for this long from now on (ms)."""
    def identity(self) -> int:
        """The number that its producer ids are made of."""
    def renew_identity(self) -> None:
        """Goes on under other producer ids."""
    def submit(self, block: RecordBlock) -> None:
        """Takes a block, which must follow the one before it of its source partition. Does not wait."""
    def take_positions(self) -> list[tuple[str, int, int]]:
        """Positions that moved since the last call: `(source topic, partition, next offset to read)`."""
    def times(self) -> list[tuple[str, int, int | None, int | None]]:
        """Timestamps of the first record that Rivven has not stored, and of the last one before it (ms)."""
    def cancel(self, topic: str, partition: int) -> None:
        """Sends nothing more of a source partition; what is on the wire is still acknowledged."""
    def cancel_all(self) -> None:
        """`cancel` for all partitions."""
    def forget(self, topic: str, partition: int) -> None:
        """Gives a source partition up: nothing more of it is sent, its position is not reported any more."""
    def in_flight_bytes(self) -> int:
        """Bytes of the blocks that are not acknowledged in full."""
    def in_flight_records(self, topic: str | None = None, partition: int | None = None) -> int:
        """Records that are not acknowledged, of one source partition or of all; held ones until `cancel`."""
    def wait(self, timeout_ms: int) -> None:
        """Waits until a block is acknowledged in full; raises the error that ended the publisher."""
    def check(self) -> None:
        """Raises the error that ended the publisher, if one did."""
    def error(self) -> RivvenKafkaError | None:
        """The error that ended the publisher, None while it works."""
    def take_bad(self) -> list[BadRecord]:
        """Records left out since the last call: all that are held; of very many skipped ones, the first."""
    def take_bad_unlisted(self) -> list[tuple[str, int]]:
        """How many skipped records are missing in the lists since the last call."""
    def stats(self) -> dict[str, int]:
        """Counters."""
    def close(self, drain_timeout_ms: int = 30_000) -> bool:
        """Waits for everything to be acknowledged, then ends all connections. True if everything was."""

@final
class Fetcher:
    """Reads partitions of Rivven topics ahead, in native threads."""

    def __new__(
        cls,
        servers: Sequence[str],
        *,
        connections: int = 4,
        max_wait_ms: int = 500,
        max_messages: int = 2000,
        max_buffered_bytes: int = 67_108_864,
        on_log_damage: str = "fail",
        client_id: str = ...,
        security: RivvenSecurity | None = None,
        connect_timeout_ms: int = 10_000,
        request_timeout_ms: int = 30_000,
        retry_initial_ms: int = 100,
        retry_max_ms: int = 30_000,
        retry_multiplier: float = 2.0,
        max_retries: int = 10,
    ) -> Self: ...
    def assign(self, partitions: Sequence[tuple[str, int, int]]) -> None:
        """Reads `(topic, partition, next offset)` from now on, and nothing else."""
    def poll(self, timeout_ms: int, max_records: int | None = None) -> list[RecordBlock]:
        """Blocks that were fetched; raises the error that ended the fetching when all blocks are out."""
    def stats(self) -> dict[str, int]:
        """Counters."""
    def close(self) -> None:
        """Ends the connections and drops what was not polled."""

@final
class PositionIndex:
    """Which records of a source's Kafka topics its Rivven topic holds."""

    def __new__(
        cls,
        destination: str,
        topics: Mapping[str, str | None],
        *,
        value_format: str = "event",
        on_tombstone: str = "fail",
        transforms: str = "[]",
        include_headers: bool = True,
        include_key: bool = True,
        loop_protection: tuple[str, str] | None = None,
    ) -> Self: ...
    def feed(self, block: RecordBlock) -> None:
        """Notes what a block of the Rivven topic holds."""
    def compare(self, block: RecordBlock) -> tuple[RecordBlock, list[tuple[int, int]], int, int, int]:
        """Compares a block of Kafka: missing records, their offset ranges, present, left out, bad."""
    def doubled(self, topic: str, partition: int) -> int:
        """How many records of a Kafka partition the Rivven topic holds beyond the first copies."""
    def lowest(self, topic: str, partition: int) -> int | None:
        """The lowest Kafka offset that the Rivven topic holds, None if there is none or it is not known."""
    @property
    def foreign(self) -> int:
        """Records of the Rivven topic that are of none of the Kafka topics."""

@final
class Survey:
    """What Kafka records hold, and what a source with given options would make of them."""

    def __new__(
        cls,
        destination: str,
        *,
        value_format: str = "event",
        on_tombstone: str = "fail",
        transforms: str = "[]",
        include_headers: bool = True,
        include_key: bool = True,
        topic_id: str | None = None,
        max_request_bytes: int = ...,
        loop_protection: tuple[str, str] | None = None,
    ) -> Self: ...
    def add(self, block: RecordBlock) -> None:
        """Looks at all records of a block of Kafka."""
    def totals(self) -> dict[str, int]:
        """What was found, in records unless the name tells otherwise."""
    def examples(self) -> dict[str, list[tuple[str, int, int, str]]]:
        """The first records of each trouble: topic, partition, offset, and what is the matter."""

@final
class OffsetMap:
    """Which Kafka records lie where in one Rivven partition."""

    def __new__(cls, topics: Mapping[str, str | None], start: int = 0) -> Self: ...
    def feed(self, block: RecordBlock) -> None:
        """Notes what a block of the Rivven partition holds, as events."""
    def add(self, topic: str, partition: int, kafka: int, rivven: int) -> None:
        """Notes one record, by its Kafka topic, partition and offset and its Rivven offset."""
    def read_from(self, topic: str, partition: int, offset: int) -> tuple[int, int, int] | None:
        """Where to read on in Rivven: its offset, the Kafka offset there, how many records come again."""
    def below(self, topic: str, partition: int, kafka: int, rivven: int) -> int:
        """How many records of a Kafka partition before `kafka` lie at or behind a Rivven offset."""
    def kafka_from(self, topic: str, partition: int, offset: int) -> tuple[int, int] | None:
        """Where to read on in Kafka, and how many records come again."""
    def reached(self, topic: str, partition: int, offset: int) -> int | None:
        """The Kafka offset behind the highest one with a copy before a Rivven offset, None if none has."""
    def read_above(self, topic: str, partition: int, kafka: int, rivven: int) -> int:
        """How many Kafka offsets from `kafka` on have a copy before a Rivven offset."""
    def at(self, offset: int) -> tuple[int, str, int, int] | None:
        """The first record of Kafka at or behind a Rivven offset: Rivven offset, topic, partition, offset."""
    def next(self, topic: str, partition: int, offset: int) -> int | None:
        """The lowest Kafka offset from `offset` on that a record has, None if there is none."""
    def unbroken_to(self, topic: str, partition: int, offset: int) -> int:
        """The first Kafka offset from `offset` on that no record has."""
    def bounds(self, topic: str, partition: int) -> tuple[int, int] | None:
        """The lowest and the highest Kafka offset of a partition, None if there is no record of it."""
    @property
    def places(self) -> list[tuple[str, int]]:
        """The Kafka partitions that it holds records of, sorted."""
    @property
    def records(self) -> int:
        """How many records were fed."""
    @property
    def foreign(self) -> int:
        """How many of them come from none of the Kafka topics."""
    @property
    def next_offset(self) -> int:
        """The offset behind the last record that was fed."""

@final
class RawPairs:
    """Pairs the raw values of a Rivven partition with the records of the Kafka partition that fills it."""

    def __new__(cls, destination: str, *, on_tombstone: str = "fail", transforms: str = "[]") -> Self: ...
    def feed(self, block: RecordBlock) -> None:
        """Notes what a block of the Rivven partition holds."""
    def pair(self, block: RecordBlock, map: OffsetMap) -> tuple[int, int] | None:
        """Adds the pairs of a block of Kafka to `map`; Rivven and Kafka offset of the first unequal two."""
    @property
    def left(self) -> int:
        """How many records of Rivven have no like yet."""

@final
class VerifyIndex:
    """Compares the events of a Rivven topic with the Kafka partitions that they come from."""

    SEGMENT: int
    def __new__(
        cls,
        destination: str,
        ranges: Sequence[tuple[str, int, int, int, bool]],
        topic_ids: Mapping[str, str | None],
        *,
        ordering: str = "partition",
        partitioning: str = "key",
        transforms: str = "[]",
        include_headers: bool = True,
        include_key: bool = True,
        loop_protection: tuple[str, str] | None = None,
    ) -> Self: ...
    def feed_kafka(self, block: RecordBlock) -> None:
        """Takes a block of Kafka."""
    def feed_rivven(self, block: RecordBlock) -> None:
        """Takes a block of the Rivven topic."""
    def counts(self, topic: str, partition: int) -> dict[str, int]:
        """Counts of a Kafka partition, in records."""
    def digests(self, topic: str, partition: int) -> tuple[str, str]:
        """The digests of a Kafka partition: of its records, and of the first copies of its events."""
    def differing(self, topic: str, partition: int) -> list[int]:
        """The numbers of the segments (offset // SEGMENT) whose digests differ, in order."""
    def stretches(self, topic: str, partition: int, segment: int) -> list[tuple[int, int, int]]:
        """Where the events of a segment lie: (Rivven partition, lowest offset, highest offset)."""
    def lowest(self, topic: str, partition: int) -> tuple[int | None, int | None]:
        """The lowest Kafka offset that Rivven lacks, and the lowest that only Rivven has."""
    def first_doubled(self, topic: str, partition: int) -> tuple[int, int, int] | None:
        """The copy with the lowest Kafka offset: (Kafka offset, Rivven partition, Rivven offset)."""
    def first_out_of_order(self, topic: str, partition: int) -> tuple[tuple[int, int, int], int] | None:
        """The lowest event that stands behind a later one, and the offset of that one."""
    def first_misplaced(self, topic: str, partition: int) -> tuple[int, int, int] | None:
        """The lowest event that is in a Rivven partition of another number."""
    def leaves_out(self, topic: str, partition: int, offset: int) -> bool:
        """Whether Kafka has a record there that the source leaves out, or cannot convert."""
    @property
    def foreign(self) -> int:
        """Records of the Rivven topic that are no events of these topics."""
    @property
    def memory_bytes(self) -> int:
        """Bytes that are kept of all partitions; the order of keys takes more."""
    def kafka_digests(self, block: RecordBlock) -> list[tuple[int, int, str]]:
        """(index, offset, digest) of each record of a Kafka block that the source publishes."""
    def rivven_digests(self, block: RecordBlock, topic: str, partition: int) -> list[tuple[int, int, str]]:
        """(index, Kafka offset, digest) of each event of a Kafka partition in a Rivven block."""
    def expected(
        self, block: RecordBlock, index: int
    ) -> tuple[int | None, int, bytes | None, bytes | None, list[tuple[bytes, bytes | None]], str | None]:
        """A record of a Kafka block as its event should tell it."""
    def stored(
        self, block: RecordBlock, index: int
    ) -> tuple[int | None, int, bytes | None, bytes | None, list[tuple[bytes, bytes | None]], str | None]:
        """A record of a Rivven block as its event tells it, last the field that contradicts the others."""

@final
class RawComparison:
    """Compares a Kafka partition with the Rivven partition that is filled with raw values from it."""

    def __new__(
        cls,
        destination: str,
        end: int,
        *,
        beyond: bool = True,
        skip: int = 0,
        on_tombstone: str = "fail",
        transforms: str = "[]",
    ) -> Self: ...
    def feed_kafka(self, block: RecordBlock) -> None:
        """Takes a block of Kafka."""
    def feed_rivven(self, block: RecordBlock) -> None:
        """Takes a block of Rivven."""
    def finish_kafka(self) -> None:
        """Nothing more comes from Kafka."""
    def finish_rivven(self) -> None:
        """Nothing more comes from Rivven."""
    @property
    def done(self) -> bool:
        """Whether all that is to be compared is, and was equal."""
    def waiting(self) -> tuple[int, int]:
        """How many records of Kafka and of Rivven wait for the other side."""
    def counts(self) -> dict[str, int]:
        """Counts in records: records_kafka, records_rivven, left_out, bad."""
    def digests(self) -> tuple[str, str]:
        """The digests of Kafka and of Rivven."""
    def first(self) -> tuple[str, int | None, int | None] | None:
        """The first difference: what it is, and the Kafka and Rivven offsets where it is."""

@final
class RawStart:
    """Finds where a range of a Kafka partition begins in the Rivven partition that is filled from it."""

    def __new__(
        cls,
        destination: str,
        end: int,
        committed: int,
        *,
        on_tombstone: str = "fail",
        transforms: str = "[]",
    ) -> Self: ...
    def feed_kafka(self, block: RecordBlock) -> None:
        """Takes a block of Kafka, from the beginning of the range on."""
    @property
    def records(self) -> int:
        """How many of the records fed the source publishes."""
    @property
    def enough(self) -> bool:
        """Whether the rest of Kafka does not matter: no more that is not committed is looked for."""
    def finish_kafka(self, rivven_end: int) -> tuple[int, int]:
        """Nothing more comes from Kafka. Returns which offsets of Rivven matter."""
    def feed_rivven(self, block: RecordBlock) -> None:
        """Takes a block of Rivven."""
    def place(self) -> int | None:
        """The Rivven offset of the first record, or where it should be; None before `finish_kafka`."""

def apply_transforms(transforms: str, event: bytes, *, value_format: str = "event") -> bytes | None:
    """What becomes of one event (raw: of one value); None if a filter drops it."""

def encode_events(
    block: RecordBlock, *, include_headers: bool = True, include_key: bool = True
) -> list[bytes]:
    """The events that a source publishes for the records of a block, as JSON."""

def block_from_rows(
    topic: str,
    partition: int,
    rows: Sequence[tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]],
    *,
    first_offset: int = 0,
) -> RecordBlock:
    """A block of (timestamp in ms, key, value, headers), offsets from `first_offset`; negative: now."""

@final
class SinkEncoder:
    """Turns blocks into finished record batches, one open batch per Kafka partition."""

    def __new__(
        cls,
        partitions: int,
        *,
        value_format: str = "raw",
        partitioning: str = "preserve",
        key_field: str | None = None,
        key_field_required: bool = False,
        include_headers: bool = True,
        custom_headers: Sequence[tuple[str, str]] = ...,
        compression: str = "none",
        batch_size_bytes: int = 16384,
        on_bad: str = "fail",
        transforms: str = "[]",
        latencies: Histogram | None = None,
        loop_protection: tuple[str, str, str] | None = None,
    ) -> Self: ...
    def append(self, block: RecordBlock) -> list[BadRecord]:
        """Adds the records of a block; returns those that cannot be converted."""
    def take_ready(self, linger_ms: int) -> list[OutgoingBatch]:
        """Finished batches: full ones, and all open ones when one is older than `linger_ms`."""
    def has_open(self) -> bool:
        """Whether records wait in batches that are not full."""
    def take_positions(self) -> list[tuple[str, int, int]]:
        """Positions that moved since the last call: (topic, partition, next offset)."""
    def times(self) -> list[tuple[str, int, int | None, int | None]]:
        """Timestamps of the first record that Kafka has not stored, and of the last one before it (ms)."""
    def forget(self, topic: str, partition: int) -> None:
        """Gives a Rivven partition up."""
    def in_flight_bytes(self) -> int:
        """Bytes of blocks that Kafka has not stored in full."""
    def in_flight_records(self, only: tuple[str, int] | None = None) -> int:
        """Records that Kafka has not stored."""
    def records_held(self) -> int:
        """Records that cannot be converted or that Kafka refused, neither settled nor given up."""
    def keys_missing(self) -> int:
        """Records whose value lacks `key_field`, and that went out with their Rivven key."""
    def echoes_refused(self) -> int:
        """Records that were not written, because they have been in the Kafka topic."""
    def records_filtered(self) -> int:
        """Records that a filter of the transforms dropped."""
    def wait(self, timeout_ms: int) -> None:
        """Waits until a block is stored in full, at most `timeout_ms`."""

def produce_request(
    correlation_id: int,
    client_id: str | None,
    transactional_id: str | None,
    acks: int,
    timeout_ms: int,
    batches: list[tuple[str, int, OutgoingBatch, int, int, int]],
) -> bytes:
    """A framed Produce request of version 9 with at most one batch of each partition.

    Args:
        correlation_id: What the answer refers to.
        client_id: Name of the client.
        transactional_id: Its presence makes the batches transactional.
        acks: Replicas that must store the batches, -1 for all.
        timeout_ms: How long the broker may wait for them (ms).
        batches: Topic, partition, batch, producer id, epoch, base sequence.
    """

def all_batches_stored(answer: bytes) -> list[tuple[str, int, int]] | None:
    """Topic, partition and base offset of every batch that an answer to such a request names.

    None if the answer tells of anything but that they were stored: somebody else has to read it.

    Args:
        answer: The answer without its header.
    """

@final
class OutgoingBatch:
    """A finished record batch of one Kafka partition."""

    @property
    def partition(self) -> int: ...
    @property
    def record_count(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def uncompressed_bytes(self) -> int: ...
    @property
    def max_timestamp(self) -> int: ...
    def build(
        self, producer_id: int, producer_epoch: int, base_sequence: int, transactional: bool
    ) -> bytes: ...
    def split(self) -> tuple[OutgoingBatch, OutgoingBatch]: ...
    @property
    def first_record(self) -> tuple[str, int, int]: ...
    def refuse(self, reason: str) -> BadRecord:
        """The only record, when Kafka will never take it: held until it is settled."""
    def acknowledge(self) -> None: ...

@final
class Histogram:
    """A distribution: how many values fell into which range. Lock-free, shared by all threads."""

    @staticmethod
    def of_latencies() -> Histogram:
        """A distribution of latencies (ms)."""
    def add(self, value: int, count: int = 1) -> None:
        """Adds a value, `count` times."""
    @property
    def bounds(self) -> list[int]:
        """Upper bounds of the ranges, each included in its range."""
    def read(self) -> tuple[list[int], int]:
        """How many values each range has, and those above all bounds; and the sum of all values."""

@final
class KafkaSourceMetrics:
    """Live counters of a source: lock-free, shared by all threads."""

    def __new__(cls) -> Self: ...
    def snapshot(self) -> KafkaSourceMetricsSnapshot: ...
    @property
    def batch_sizes(self) -> Histogram:
        """How large the non-empty batches were (records); not set back by `snapshot_and_reset`."""
    def snapshot_and_reset(self) -> KafkaSourceMetricsSnapshot: ...
    def record_batch(self, records: int, bytes: int) -> None: ...
    def record_error(self, count: int = 1) -> None: ...
    def record_commit(self, succeeded: bool = True) -> None: ...
    def record_rebalance(self) -> None: ...

@final
class KafkaSourceMetricsSnapshot:
    """Counters at one moment."""

    @property
    def messages_consumed(self) -> int: ...
    @property
    def bytes_consumed(self) -> int: ...
    @property
    def polls(self) -> int: ...
    @property
    def empty_polls(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def commits(self) -> int: ...
    @property
    def commit_failures(self) -> int: ...
    @property
    def rebalances(self) -> int: ...
    @property
    def min_batch_size(self) -> int: ...
    @property
    def max_batch_size(self) -> int: ...
    @property
    def batch_size_sum(self) -> int: ...
    @property
    def batch_count(self) -> int: ...
    @staticmethod
    def from_json(text: str) -> KafkaSourceMetricsSnapshot: ...
    def to_json(self) -> str: ...
    def to_dict(self) -> dict[str, int]: ...
    def to_prometheus_format(self, prefix: str) -> str: ...
    def avg_batch_size(self) -> float: ...
    def rate(self, elapsed: float) -> float: ...
    def empty_poll_rate(self) -> float: ...

@final
class KafkaSinkMetrics:
    """Live counters of a sink: lock-free, shared by all threads."""

    def __new__(cls) -> Self: ...
    def snapshot(self) -> KafkaSinkMetricsSnapshot: ...
    @property
    def batch_sizes(self) -> Histogram:
        """How large the non-empty batches were (records); not set back by `snapshot_and_reset`."""
    def snapshot_and_reset(self) -> KafkaSinkMetricsSnapshot: ...
    def record_batch(self, records: int, bytes: int) -> None: ...
    def record_error(self, count: int = 1) -> None: ...
    def record_flush(self) -> None: ...
    def record_retry(self, count: int = 1) -> None: ...

@final
class KafkaSinkMetricsSnapshot:
    """Counters at one moment."""

    @property
    def messages_produced(self) -> int: ...
    @property
    def bytes_produced(self) -> int: ...
    @property
    def sends(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def flushes(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def min_batch_size(self) -> int: ...
    @property
    def max_batch_size(self) -> int: ...
    @property
    def batch_size_sum(self) -> int: ...
    @property
    def batch_count(self) -> int: ...
    @staticmethod
    def from_json(text: str) -> KafkaSinkMetricsSnapshot: ...
    def to_json(self) -> str: ...
    def to_dict(self) -> dict[str, int]: ...
    def to_prometheus_format(self, prefix: str) -> str: ...
    def avg_batch_size(self) -> float: ...
    def rate(self, elapsed: float) -> float: ...
    def success_rate(self) -> float: ...
