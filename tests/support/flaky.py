"""A network that fails: a TCP proxy that resets, swallows, refuses or delays what passes, and a Kafka behind one."""

import contextlib
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.kafka_broker import KafkaBroker
from tests.support.ports import LOOPBACK, ReservedPort
from tests.support.relay import Relay

# On, and no time for what is not sent yet: a close resets the connection.
_RESET = struct.pack("ii", 1, 0)
_CHUNK = 1 << 16
_MOST_WAITING = 1 << 20


class FlakyProxy(Relay):
    """Passes everything between its clients and the port of a broker, until told otherwise.

    Attributes:
        delay_s: How much later everything arrives, in both directions (s).

    Args:
        target: Port of the broker on loopback.
    """

    def __init__(self, target: int) -> None:
        self.delay_s = 0.0
        self._target = target
        self._silent = False
        self._refusing = False
        self._links: set[_Link] = set()
        super().__init__("flaky-proxy")

    @property
    def silent(self) -> bool:
        """Whether nothing passes now."""
        return self._silent

    def connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._links)

    def reset(self) -> int:
        """Ends every connection with a TCP reset, on both sides; returns how many there were."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    @contextlib.contextmanager
    def blackhole(self, *, reset: bool = False) -> Iterator[None]:
        """Nothing passes inside the block, and new connections get no answer.

        What was sent meanwhile passes afterwards, unless `reset` ends all connections first.
        """
        self._silent = True
        self._wake_all()
        try:
            yield
        finally:
            if reset:
                self.reset()
            self._silent = False
            self._wake_all()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Resets new connections as soon as they are accepted; those that are open stay."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    def close(self) -> None:
        """Closes the port and all connections."""
        super().close()
        self.reset()

    def _wake_all(self) -> None:
        with self._lock:
            for link in self._links:
                link.wake()

    def _serve(self, client: socket.socket) -> None:
        if self._refusing:
            _close(client, reset=True)
            return
        try:
            broker = socket.create_connection((LOOPBACK, self._target), 5)
        except OSError:
            _close(client, reset=True)
            return
        link = _Link(self, client, broker)
        with self._lock:
            self._links.add(link)
        try:
            link.run()
        finally:
            with self._lock:
                self._links.discard(link)
            link.close()


class _Way:
    """One direction of a connection: what was received and not yet passed on."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.ended = False
        self._size = 0
        self._waiting: deque[tuple[float, bytes]] = deque()

    @property
    def takes(self) -> bool:
        return not self.ended and self._size < _MOST_WAITING

    @property
    def due(self) -> float | None:
        """When the next bytes are to be passed on (s, monotonic)."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def over(self) -> bool:
        return self.ended and not self._waiting

    def receive(self, delay_s: float) -> None:
        data = self.source.recv(_CHUNK)
        # rivvend answers in two writes without TCP_NODELAY: delayed acknowledgements cost 44 ms a request.
        self.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.ended = not data
        if data:
            self._waiting.append((time.monotonic() + delay_s, data))
            self._size += len(data)

    def send(self) -> None:
        due, data = self._waiting.popleft()
        sent = self.target.send(data)
        self._size -= sent
        if sent < len(data):
            self._waiting.appendleft((due, data[sent:]))


class _Link:
    """A connection of a client and the one to the broker that belongs to it.

    One thread serves both directions: a close resets a connection only when no other thread waits on it.
    """

    def __init__(self, proxy: FlakyProxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy = proxy
        self._ends = (client, broker)
        self._ways = (_Way(client, broker), _Way(broker, client))
        self._bell, self._rope = socket.socketpair()
        self._reset = False
        for each in self._ends:
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wake(self) -> None:
        """Makes `run` look at its proxy again."""
        with contextlib.suppress(OSError):
            self._rope.send(b".")

    def reset(self) -> None:
        """Ends `run`, and the connections with a reset."""
        self._reset = True
        self.wake()

    def run(self) -> None:
        """Passes bytes on until either side ends."""
        with contextlib.suppress(OSError):
            while not self._reset and not any(way.over for way in self._ways):
                self._step()

    def close(self) -> None:
        for each in self._ends:
            _close(each, reset=self._reset)
        self._bell.close()
        self._rope.close()

    def _step(self) -> None:
        now = time.monotonic()
        events = {self._bell: select.POLLIN}
        timeout: float | None = None
        for way in () if self._proxy.silent else self._ways:
            if way.takes:
                events[way.source] = events.get(way.source, 0) | select.POLLIN
            if way.due is not None and way.due <= now:
                events[way.target] = events.get(way.target, 0) | select.POLLOUT
            elif way.due is not None:
                timeout = min(way.due - now, timeout or way.due - now)
        poll = select.poll()
        for each, mask in events.items():
            poll.register(each, mask)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000 + 1))
        if self._bell.fileno() in ready:
            # What has changed counts for the rest, too.
            self._bell.recv(_CHUNK)
            return
        for way in self._ways:
            if way.takes and ready.get(way.source.fileno(), 0) & (
                select.POLLIN | select.POLLHUP | select.POLLERR
            ):
                way.receive(self._proxy.delay_s)
            if way.due is not None and way.due <= now and ready.get(way.target.fileno(), 0) & select.POLLOUT:
                way.send()


def _close(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


class FlakyKafka(KafkaBroker):
    """A Kafka with a second listener, whose advertised address is that of a flaky proxy.

    Clients that begin at `proxy.address` stay on it; those that begin at `bootstrap` see no fault.
    """

    def __init__(self, directory: Path | None = None, **options: Any) -> None:
        super().__init__(directory, **options)
        self._behind = ReservedPort()
        self.proxy = FlakyProxy(self._behind.number)

    @property
    def properties(self) -> dict[str, str | int]:
        """The server.properties it runs with."""
        direct = super().properties
        protocols = "listener.security.protocol.map"
        return {
            **direct,
            "listeners": f"{direct['listeners']},FLAKY://{self._behind.address}",
            "advertised.listeners": f"{direct['advertised.listeners']},FLAKY://{self.proxy.address}",
            protocols: f"{direct[protocols]},FLAKY:PLAINTEXT",
        }

    def _release_ports(self) -> None:
        super()._release_ports()
        self.proxy.close()
        self._behind.release()
