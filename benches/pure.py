"""The native paths without a broker, as a program: what they take of processor and memory by then.

`python -m benches.pure decode|events|encode COUNT...` prints `COUNT CPU_SECONDS RSS_BYTES` at each count.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

from rivven_kafka._events import EventReader
from rivven_kafka._native import BatchBuilder, BatchReader, RecordBlock, SinkEncoder, block_from_rows

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BATCH = 1_000
_PARTITIONS = 4


def rss_bytes(process: int | str = "self") -> int:
    """Memory of a process that is in RAM (bytes)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE


def _value(number: int) -> bytes:
    return b'{"order_id": %08d, "customer": "customer-%05d", "note": "%s"}' % (number, number, b"x" * 84)


def _key(number: int) -> bytes:
    return b"customer-%05d" % number


def _batch() -> bytes:
    builder = BatchBuilder()
    for number in range(_BATCH):
        builder.append(1_700_000_000_000, _key(number), _value(number), [("trace", b"%d" % number)])
    return builder.build()


def _decode(batch: bytes) -> RecordBlock:
    block = BatchReader("orders", 0, batch, 0).next_block(_BATCH, 1 << 24)
    assert block is not None
    return block


def decode() -> Iterator[int]:
    """Record batches -> blocks."""
    batch = _batch()
    while True:
        yield len(_decode(batch))


class _Events(EventReader):
    """Decodes the same batch again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._batch = _batch()

    def next_block(self) -> RecordBlock | None:
        return _decode(self._batch)


def events() -> Iterator[int]:
    """Record batches -> blocks -> one object for each record."""
    reader = _Events()
    while True:
        for _ in repeat(None, _BATCH):
            next(reader)
        yield _BATCH


def encode() -> Iterator[int]:
    """Blocks -> record batches that are acknowledged."""
    encoder = SinkEncoder(_PARTITIONS, include_headers=False, batch_size_bytes=65_536)
    rows: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]]
    rows = [(-1, _key(number), _value(number), []) for number in range(_BATCH)]
    place = 0
    while True:
        place += 1
        encoder.append(block_from_rows("orders", place % _PARTITIONS, rows, first_offset=place * _BATCH))
        for batch in encoder.take_ready(5):
            batch.build(-1, -1, -1, False)
            batch.acknowledge()
        encoder.take_positions()
        yield _BATCH


PATHS: dict[str, Callable[[], Iterator[int]]] = {"decode": decode, "events": events, "encode": encode}


def main() -> None:
    path, *marks = sys.argv[1:]
    steps, done = PATHS[path](), 0
    for mark in map(int, marks):
        while done < mark:
            done += next(steps)
        sys.stdout.write(f"{mark} {time.process_time()} {rss_bytes()}\n")


if __name__ == "__main__":
    main()
