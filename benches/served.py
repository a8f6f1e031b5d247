"""A Rivven that is never what limits its reader: a proxy that makes up the records of one topic itself.

rivvend takes about 13,000 records/s, so a log that keeps a fast reader busy for seconds takes minutes to
write, and it lets a reader have 100 MiB/s. Everything but the records, their bounds and the commits of their
positions is asked of the real rivvend behind it. A process of its own: `serving` starts one.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.support.relay import Relay
from tests.support.rivven_wire import Reader, _optional, _prefixed, _varint

_CONSUME, _COMMIT_OFFSET, _GET_OFFSET_BOUNDS = 5, 9, 14
_MESSAGES, _OFFSET_COMMITTED, _OFFSET_BOUNDS = 4, 8, 13
_HEAD = 5
"""Bytes of a body before its message: format and correlation id."""
_MOST_BYTES = 8 << 20
"""Of an answer; rivvend's own limit is 10 MiB."""
_PER_MESSAGE = 4096
"""Bytes that rivvend allows in an answer for each message asked for."""
VARIANTS = 1000


def record(number: int, size: int) -> tuple[bytes, bytes]:
    """Key and value number `number`: a JSON text of `size` bytes with its key."""
    key = b"customer-%05d" % (number % VARIANTS)
    head = b'{"order_id": %08d, "customer": "%s", "amount": %d.%02d, "note": "' % (
        number * 7919 % 10**8,
        key,
        number * 31 % 997,
        number % 100,
    )
    note = b" ".join(b"item-%04x" % (number * 40503 * (word + 1) % 65521) for word in range(size // 10 + 1))
    return key, head + note[: size - len(key) - len(head) - 2] + b'"}'


class ServedTopic(Relay):
    """Answers for `topic` itself and asks `upstream` for everything else.

    Args:
        upstream: Address of a rivvend that has the topic, which may be empty.
        topic: Topic to make up.
        count: Records of each of its partitions.
        size: Bytes of key and value.
    """

    def __init__(self, upstream: str, topic: str, count: int, size: int) -> None:
        host, port = upstream.rsplit(":", 1)
        self._upstream = (host, int(port))
        self._topic = topic.encode()
        self._count = count
        now = _varint(2 * int(time.time() * 1000))
        self._records = [
            _optional(key) + _prefixed(value) + now + _varint(0)
            for key, value in (record(number, size) for number in range(VARIANTS))
        ]
        self._answers: dict[tuple[int, int, int], bytes] = {}
        super().__init__("served")

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as upstream:
            for each in (client, upstream):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                body = _receive_frame(client)
                answer = self._answer(body)
                if answer is None:
                    upstream.sendall(len(body).to_bytes(4, "big") + body)
                    answer = _receive_frame(upstream)[_HEAD:]
                client.sendall((_HEAD + len(answer)).to_bytes(4, "big") + body[:_HEAD])
                client.sendall(answer)

    def _answer(self, body: bytes) -> bytes | None:
        reader = Reader(body[_HEAD:])
        api = reader.varint()
        if api == _COMMIT_OFFSET:
            reader.blob()
            return _varint(_OFFSET_COMMITTED) if reader.blob() == self._topic else None
        if api not in (_CONSUME, _GET_OFFSET_BOUNDS) or reader.blob() != self._topic:
            return None
        if api == _GET_OFFSET_BOUNDS:
            return _varint(_OFFSET_BOUNDS) + _varint(0) + _varint(self._count)
        partition, offset, most = reader.varint(), reader.varint(), reader.varint()
        if offset >= self._count:
            time.sleep(0.02)
            return _varint(_MESSAGES) + _varint(0)
        found = self._answers.get((partition, offset, most))
        if found is None:
            found = self._answers[partition, offset, most] = self._messages(partition, offset, most)
        return found

    def _messages(self, partition: int, offset: int, most: int) -> bytes:
        budget = min(most * _PER_MESSAGE, _MOST_BYTES)
        place = _varint(partition)
        parts = []
        for number in range(offset, min(offset + most, self._count)):
            if budget <= 0:
                break
            parts.append(_varint(number) + place + self._records[number % VARIANTS])
            budget -= len(parts[-1])
        return _varint(_MESSAGES) + _varint(len(parts)) + b"".join(parts)


def _receive_frame(source: socket.socket) -> bytes:
    return _receive(source, int.from_bytes(_receive(source, 4), "big"))


def _receive(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data += part
    return bytes(data)


@contextlib.contextmanager
def serving(upstream: str, topic: str, count: int, size: int) -> Iterator[str]:
    """Runs a `ServedTopic` in a child process; the address to connect to."""
    command = [sys.executable, "-m", "benches.served", upstream, topic, str(count), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.stdin.close()


def main() -> None:
    upstream, topic, count, size = sys.argv[1:]
    relay = ServedTopic(upstream, topic, int(count), int(size))
    sys.stdout.write(relay.address + "\n")
    sys.stdout.flush()
    # Until the parent closes the pipe, in whatever way it ends.
    sys.stdin.read()


if __name__ == "__main__":
    main()
