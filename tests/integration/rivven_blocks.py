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


def finish(publisher: Publisher) -> None:
    """Waits until everything is acknowledged; raises the publisher's error."""
    while publisher.in_flight_records():
        publisher.wait(100)
    publisher.check()
