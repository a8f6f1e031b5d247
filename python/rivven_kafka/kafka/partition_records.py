"""kafka-python's `Fetcher.PartitionRecords`, handing out native record blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from kafka import TopicPartition

from rivven_kafka._native import BatchReader, RecordBlock

# A compressed batch is decoded whole, so this bounds a block's memory only beyond its last batch.
_MAX_BLOCK_BYTES = 16 * 1024 * 1024


class _Blocks:
    """The blocks of one take: iterates over blocks, counts in records, so that `max_poll_records` holds."""

    __slots__ = ("_blocks", "_records")

    def __init__(self, blocks: Sequence[RecordBlock]) -> None:
        self._blocks = blocks
        # An empty block still has to be handed out: it carries a position beyond control records.
        self._records = max(sum(map(len, blocks)), len(blocks))

    def __len__(self) -> int:
        return self._records

    def __iter__(self) -> Iterator[RecordBlock]:
        return iter(self._blocks)


class PartitionRecords:
    """kafka-python's `Fetcher.PartitionRecords`, decoding with `BatchReader`."""

    max_batch_bytes = 128 * 1024 * 1024

    def __init__(
        self,
        fetch_offset: int,
        tp: TopicPartition,
        records: Any,
        key_deserializer: object = None,
        value_deserializer: object = None,
        check_crcs: bool = True,
        isolation_level: int = 0,
        aborted_transactions: Iterable[Any] | None = None,
        metric_aggregator: Any = None,
        on_drain: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self.fetch_offset = fetch_offset
        self.topic_partition = tp
        self.leader_epoch = -1
        self.next_fetch_offset = fetch_offset
        self.bytes_read = 0
        self.records_read = 0
        self._metric_aggregator = metric_aggregator
        self._on_drain = on_drain
        data = records._buffer
        self._reader: BatchReader | None = BatchReader(
            tp.topic,
            tp.partition,
            data.obj if isinstance(data, memoryview) else data,
            fetch_offset,
            size=len(data),
            read_committed=isolation_level == 1,
            check_crcs=check_crcs,
            max_batch_bytes=self.max_batch_bytes,
            aborted=[(txn.producer_id, txn.first_offset) for txn in aborted_transactions or ()],
        )

    def __bool__(self) -> bool:
        return self._reader is not None

    def take(self, n: int | None = None) -> _Blocks:
        """Decodes up to `n` records; drains itself at the end of the fetched data."""
        assert self._reader is not None
        block = self._reader.next_block(n or 1, _MAX_BLOCK_BYTES)
        if block is None:
            self.drain()
            return _Blocks(())
        self.records_read += len(block)
        self.bytes_read += block.size_bytes
        self.leader_epoch = block.leader_epoch
        self.next_fetch_offset = block.next_offset
        return _Blocks((block,))

    def drain(self) -> None:
        """Lets go of the fetched data."""
        if self._reader is not None:
            self._reader = None
            if self._metric_aggregator:
                self._metric_aggregator.record(self.topic_partition, self.bytes_read, self.records_read)
            self._on_drain(self)
