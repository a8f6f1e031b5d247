"""Lies of brokers: actions for `Tap.fault`, which get an exchange and its honest answer, and return what goes out."""

from __future__ import annotations

import copy
import itertools
import random
import struct
import threading
import time
import zlib
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Self

import psutil
from kafka.record.util import calc_crc32c

from tests.support.connector import Connector
from tests.support.kafka_tap import KafkaExchange, changed
from tests.support.tap import Action, Exchange, Raw

MIB = 1024 * 1024
INFLATED = 144 * MIB
"""To what the bombs inflate: more than a connector takes at its default options."""

_LENGTH = struct.Struct(">i")
_ENDLESS = 8_000_000
_MORE_THAN_A_MINUTE = 1.0
"""Seconds for each byte."""


class Peak:
    """Watches the resident set of a connector, from a thread, inside its block.

    Attributes:
        before: At the beginning (bytes).
        most: The largest (bytes).
    """

    def __init__(self, connector: Connector) -> None:
        self._process = psutil.Process(connector.pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = self.most = self._process.memory_info().rss

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            try:
                self.most = max(self.most, self._process.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    @property
    def growth(self) -> int:
        """By how much it grew (bytes)."""
        return self.most - self.before

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


# Of any broker: what is wrong with the frame.


def length(claimed: int) -> Action[Any]:
    """The answer under a length that is not its own."""
    return lambda _, answer: Raw(_LENGTH.pack(claimed) + answer)


def cut(_: Exchange, answer: bytes) -> Raw:
    """The first half of an answer, and then nothing."""
    return Raw(_LENGTH.pack(len(answer)) + answer[: len(answer) // 2])


def trickle(_: Exchange, answer: bytes) -> Raw:
    """A byte per second."""
    return Raw(_LENGTH.pack(len(answer)) + answer, pause=_MORE_THAN_A_MINUTE)


def garbage(_: Exchange, __: bytes) -> Raw:
    """Bytes without a meaning."""
    return Raw(random.Random(7).randbytes(65536))


def other_id(at: int) -> Action[Any]:
    """The answer under another correlation id, which stands at `at`."""
    return lambda _, answer: answer[:at] + b"\x7f\x00\x00\x07" + answer[at + 4 :]


def damage(seed: int) -> Action[Any]:
    """The answer with some of its bytes changed, which ones and how the seed decides; its id stays."""
    chance = random.Random(seed)

    def change(_: Exchange, answer: bytes) -> bytes:
        changed_one = bytearray(answer)
        for _change in range(chance.randint(1, 6)):
            at = chance.randrange(5, len(changed_one))
            changed_one[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        return bytes(changed_one[: chance.choice([len(answer), len(answer), at])])

    return change


# Of Kafka: Metadata, of the versions that have tagged fields. A header, the throttle time, and the brokers.

_HEAD = 4 + 1 + 4
_NO_MORE = b"\0" + _LENGTH.pack(-1) + b"\1" + b"\0"
"""No cluster id, no controller, no topics, no tagged fields."""


def _broker(number: int, tags: bytes = b"\0") -> bytes:
    return _LENGTH.pack(number) + b"\2h" + _LENGTH.pack(9092) + b"\0" + tags


def _count(items: int) -> bytes:
    left, out = items + 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes(out) + bytes([left])


def countless_brokers(_: KafkaExchange, answer: bytes) -> bytes:
    """A list of brokers that claims 2^31 - 1, and has none."""
    return answer[:_HEAD] + _count(2**31 - 1)


@cache
def _brokers(items: int, tags: bytes = b"\0") -> bytes:
    return _count(items) + b"".join(_broker(number, tags) for number in range(items)) + _NO_MORE


def many_brokers(_: KafkaExchange, answer: bytes) -> bytes:
    """Brokers that are all there: hundreds of thousands in 8 MB."""
    return answer[:_HEAD] + _brokers(_ENDLESS // len(_broker(0)))


def many_tags(_: KafkaExchange, answer: bytes) -> bytes:
    """Brokers that each have a tagged field, which kafka-python by itself copies the rest of the answer for."""
    return answer[:_HEAD] + _brokers(150_000, b"\1\5\0")


def endless_number(_: KafkaExchange, answer: bytes) -> bytes:
    """A number of 8 million bytes, which kafka-python by itself reads to the end."""
    return answer[:_HEAD] + b"\xff" * _ENDLESS


def oversized(_: KafkaExchange, answer: bytes) -> bytes:
    """An answer that is larger than one without records may be."""
    return answer + bytes(9_000_000)


def broken_text(_: KafkaExchange, answer: bytes) -> bytes:
    """A string that goes on behind the end."""
    return answer[:_HEAD] + _count(1) + _LENGTH.pack(1) + _count(1000) + b"host"


def ever_new_brokers() -> Action[KafkaExchange]:
    """Every answer names other brokers, and leaders that nobody has heard of."""
    numbers = itertools.count(1_000, 1_000)

    def change(decoded: Any) -> None:
        first = next(numbers)
        [broker, *_] = decoded.brokers
        kind = type(broker)
        decoded.brokers = [
            kind(version=decoded.version, node_id=first + n, host="127.0.0.1", port=1, rack=None)
            for n in range(500)
        ]
        for topic in decoded.topics:
            for partition in topic.partitions:
                partition.leader_id = first + partition.partition_index

    return changed(change)


# Of Kafka: offsets, in the answers to OffsetFetch and ListOffsets.


def committed(change: Callable[[Any], object]) -> Action[KafkaExchange]:
    """Lets `change` have the only group of an answer about committed offsets."""

    def of_the_group(decoded: Any) -> None:
        change(decoded.groups[0])

    return changed(of_the_group)


def _committed_offset(offset: int) -> Action[KafkaExchange]:
    def change(group: Any) -> None:
        for topic in group.topics:
            for partition in topic.partitions:
                partition.committed_offset = offset

    return committed(change)


def _other_partitions(group: Any) -> None:
    for topic in group.topics:
        for partition in topic.partitions:
            partition.partition_index += 1


def _more_partitions(group: Any) -> None:
    [topic] = group.topics
    [partition] = topic.partitions
    others = [copy.copy(partition) for _ in range(3)]
    for number, other in enumerate(others, partition.partition_index + 1):
        other.partition_index, other.committed_offset = number, 10
    topic.partitions = [partition, *others]


def _told_twice(group: Any) -> None:
    for topic in group.topics:
        topic.partitions = topic.partitions * 2


COMMITTED = {
    "no partition": (committed(lambda group: setattr(group, "topics", [])), "does not tell of {place}"),
    "other partitions": (committed(_other_partitions), "does not tell of {place}"),
    "another group": (committed(lambda group: setattr(group, "group_id", "g")), "does not tell of the group"),
    "no group": (changed(lambda decoded: setattr(decoded, "groups", [])), "does not tell of the group"),
    "a partition twice": (committed(_told_twice), "the committed offset of {place} makes no sense"),
    "a negative offset": (_committed_offset(-5), "the committed offset of {place} makes no sense"),
}
"""Lies about committed offsets, and what is said of them."""

more_partitions = committed(_more_partitions)
"""Tells of partitions that nobody asked about, too."""


def countless(_: KafkaExchange, answer: bytes) -> bytes:
    """A list of groups or topics that claims 2^31 - 1 items, and has none."""
    return answer[:_HEAD] + _count(2**31 - 1)


def _log_offset(offset: int) -> Action[KafkaExchange]:
    def change(decoded: Any) -> None:
        for topic in decoded.topics:
            for partition in topic.partitions:
                partition.offset = offset

    return changed(change)


def _other_topics(decoded: Any) -> None:
    for topic in decoded.topics:
        topic.name = "other"


LOG_OFFSETS = {
    "a negative offset": (_log_offset(-7), "Kafka names offset -7 of {place} to go on at"),
    "an offset beyond the end": (_log_offset(2**62), "{place} to go on at, and does not hold it"),
    "no partition": (changed(lambda decoded: setattr(decoded, "topics", [])), None),
    "another topic": (changed(_other_topics), None),
}
"""Lies about where logs begin and end, and what is said of them; None: it is asked again."""


# Of Kafka: the records of a Fetch answer.

_BATCH = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM = 21
_BEFORE_LENGTH = 12


def records(codec: int, payload: bytes, count: int) -> Action[KafkaExchange]:
    """A batch in the place of those of an answer, with a right checksum. Answers without records pass.

    Args:
        codec: Its number in the attributes.
        payload: What follows the header.
        count: How many records it claims.
    """

    # Its checksum, which takes Python a while, does not depend on the offset before it.
    batch = _batch(codec, payload, count)

    def change(decoded: Any) -> None:
        for topic in decoded.responses or ():
            for partition in topic.partitions:
                if partition.records:
                    partition.records = bytes(partition.records[:8]) + batch[8:]

    return changed(change)


def _batch(codec: int, payload: bytes, count: int) -> bytes:
    now = int(time.time() * 1000)
    size = _BATCH.size - _BEFORE_LENGTH + len(payload)
    fields = [0, size, 0, 2, 0, codec, max(count, 1) - 1, now, now, -1, -1, -1, count]
    crc = calc_crc32c(_BATCH.pack(*fields)[_CHECKED_FROM:] + payload)
    fields[4] = crc
    return _BATCH.pack(*fields) + payload


def gzip_bomb() -> bytes:
    """Members of 16 MiB of zeros each."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    member = packer.compress(bytes(16 * MIB)) + packer.flush()
    return member * (INFLATED // (16 * MIB))


def snappy_bomb() -> bytes:
    """Blocks of snappy-java, each a zero and copies of it, 64 at a time."""
    copies = 16 * 1024
    size, head = 64 * copies + 1, bytearray()
    left = size
    while left > 0x7F:
        head.append(left & 0x7F | 0x80)
        left >>= 7
    block = bytes(head) + bytes([left]) + b"\0\0" + b"\xfe\1\0" * copies
    framed = _LENGTH.pack(len(block)) + block
    return b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + framed * (INFLATED // size + 1)


def lz4_bomb() -> bytes:
    """Blocks of almost 4 MiB, each one long match."""
    steps = 16_000
    block = b"\x1f\0\1\0" + b"\xff" * steps + b"\0" + b"\x50" + bytes(5)
    framed = len(block).to_bytes(4, "little") + block
    return b"\x04\x22\x4d\x18\x60\x70\x73" + framed * (INFLATED // (255 * steps) + 1) + bytes(4)


def zstd_bomb() -> bytes:
    """Blocks of 128 KiB, each one byte and how often it comes."""
    size, repeated = 128 * 1024, 1
    blocks = INFLATED // size
    head = (size << 3 | repeated << 1).to_bytes(3, "little")
    last = (size << 3 | repeated << 1 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\0\x38" + (head + b"\0") * blocks + last + b"\0"


BOMBS = {"gzip": (1, gzip_bomb), "snappy": (2, snappy_bomb), "lz4": (3, lz4_bomb), "zstd": (4, zstd_bomb)}
"""Number and maker of each codec's bomb."""


# Of Rivven: format and correlation id, the number of the response's kind, its fields.

_RIVVEN_HEAD = 5
_MESSAGES, _PONG, _ERROR = 4, 12, 18
_VAST = b"\xff" * 8 + b"\x7f"


def countless_messages(_: Exchange, answer: bytes) -> bytes:
    """Messages, of which 2^63 - 1 are claimed and none is there."""
    return answer[:_RIVVEN_HEAD] + bytes([_MESSAGES]) + _VAST


def other_kind(_: Exchange, answer: bytes) -> bytes:
    """The answer to a ping."""
    return answer[:_RIVVEN_HEAD] + bytes([_PONG])


def unknown_kind(_: Exchange, answer: bytes) -> bytes:
    """A kind of answer that does not exist."""
    return answer[:_RIVVEN_HEAD] + b"\xff\x7f"


def error_text(size: int) -> Action[Any]:
    """An error whose text has so many bytes, in lines that look like those of a log."""
    text = (b"BAD: \n2026-01-31T12:00:00.000Z INFO forged \x1b[2J " * (size // 20))[:size]
    return lambda _, answer: answer[:_RIVVEN_HEAD] + bytes([_ERROR]) + _count(size - 1) + text
