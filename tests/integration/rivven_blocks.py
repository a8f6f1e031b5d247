"""Blocks to publish, made by publishing and reading back: only the native readers build blocks."""

from concurrent.futures import ThreadPoolExecutor

from rivven_kafka._native import Publisher, RecordBlock, RivvenClient

KeyValue = tuple[bytes | None, bytes]


def make_blocks(
    bootstrap: str, topic: str, records: list[list[KeyValue]], batch: int = 1000
) -> list[list[RecordBlock]]:
    """Stores `records[partition]` in a new topic and returns them as blocks of at most `batch` records."""

    def fill(partition: int) -> list[RecordBlock]:
        client = RivvenClient([bootstrap])
        mine = records[partition]
        for start in range(0, len(mine), 500):
            client.publish(topic, partition, mine[start : start + 500])
        blocks = []
        position = 0
        while position < len(mine):
            blocks.append(client.fetch(topic, partition, position, max_messages=batch))
            position = blocks[-1].next_offset
        client.close()
        return blocks

    client = RivvenClient([bootstrap])
    client.create_topic(topic, len(records))
    client.close()
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(fill, range(len(records))))


def read_all(client: RivvenClient, topic: str, partition: int) -> list[KeyValue]:
    """All records of a partition, in order."""
    records: list[KeyValue] = []
    position, end = client.offset_bounds(topic, partition)
    while position < end:
        block = client.fetch(topic, partition, position, max_messages=2000)
        records += zip(block.keys(), block.values(), strict=True)
        position = block.next_offset
    return records


def numbered(count: int, keys: int, partition: int = 0) -> list[KeyValue]:
    """Records with keys in turn, and values that tell their place."""
    return [(f"k{n % keys}".encode(), f"{partition}-{n}".encode()) for n in range(count)]


def per_key(records: list[KeyValue]) -> dict[bytes | None, list[bytes]]:
    """The values of each key in order of their first occurrence."""
    seen: dict[bytes | None, dict[bytes, None]] = {}
    for key, value in records:
        seen.setdefault(key, {}).setdefault(value)
    return {key: list(values) for key, values in seen.items()}


def finish(publisher: Publisher, held: int = 0) -> None:
    """Waits until everything but `held` records is acknowledged; raises the publisher's error."""
    while publisher.in_flight_records() != held:
        publisher.wait(100)
    publisher.check()
