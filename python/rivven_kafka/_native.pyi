"""Types of the native module; the docstrings are in the binary (`help(rivven_kafka._native)`)."""

from collections.abc import Sequence
from typing import final

from typing_extensions import Buffer

__all__ = [
    "BatchBuilder",
    "BatchReader",
    "RecordBlock",
    "murmur2",
    "partition_for_key",
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
def partition_for_key(key: bytes | bytearray, partitions: int) -> int: ...
