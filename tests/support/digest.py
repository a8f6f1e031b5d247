"""Order-sensitive digests of Kafka topics, to compare an origin with its copy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tests.support.topics import Row, read_topic


def rows_digest(rows: Iterable[Row]) -> str:
    """Hex digest of the rows in their order; lengths and nulls count, so no two sequences look alike."""
    digest = hashlib.blake2b(digest_size=16)

    def add(part: bytes | None) -> None:
        digest.update(b"-" if part is None else b"%d:" % len(part))
        digest.update(part or b"")

    for row in rows:
        digest.update(b"%d,%d;" % (row.timestamp, len(row.headers)))
        add(row.key)
        add(row.value)
        for name, value in row.headers:
            add(name.encode())
            add(value)
    return digest.hexdigest()


def topic_digests(bootstrap: str, topic: str) -> dict[int, tuple[int, str]]:
    """Records and digest of each partition of a Kafka topic."""
    rows = read_topic(bootstrap, topic)
    return {partition: (len(records), rows_digest(records)) for partition, records in rows.items()}
