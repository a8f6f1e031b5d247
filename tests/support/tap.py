"""A TCP proxy in front of a real broker: it notes every request and answer, and spoils answers on demand.

Kafka and Rivven both send frames, a big-endian u32 length and a body, and number their requests, so one proxy
serves both; `KafkaTap` and `RivvenTap` know how to read the bodies. What passes is what the broker and the
client say: nothing is answered here.
"""

import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

from tests.support.ports import LOOPBACK

_LENGTH = struct.Struct(">I")


class DisconnectError(Exception):
    """Raised by an action: the connection is closed instead of passing the answer on."""


class Raw(bytes):
    """What an action returns in the place of an answer that goes out as it is, without a length before it.

    Attributes:
        pause: After each byte (s).
    """

    pause: float

    def __new__(cls, data: bytes, pause: float = 0.0) -> Self:
        """The bytes that go out."""
        made = super().__new__(cls, data)
        made.pause = pause
        return made


@dataclass(eq=False)
class Exchange:
    """A request, and the answer once it is there.

    Attributes:
        connection: Number of the connection, from 0 in the order in which they were opened.
        api: Number of the request's kind.
        correlation_id: What the answer refers to.
        body: The request without its length.
        sent: When the whole request was here (s, monotonic).
        answer: The answer as the broker gave it; None before that, and where it gives none.
        answered: When the answer was passed to the client (s, monotonic); None if it was not.
    """

    connection: int
    api: int
    correlation_id: int
    body: bytes
    sent: float
    answer: bytes | None = None
    answered: float | None = None


@dataclass(eq=False)
class Connection:
    """A connection of a client.

    Attributes:
        opened: When it was accepted (s, monotonic).
        closed: When either side or a fault closed it (s, monotonic); None while it is open.
        silent: Whether answers are held back since one was dropped.
    """

    opened: float
    closed: float | None = None
    silent: bool = False
    sockets: list[socket.socket] = field(default_factory=list)


E = TypeVar("E", bound=Exchange)

Action = Callable[[E, bytes], bytes | None]
"""Gets an exchange and its answer; returns the answer to pass on, or None to let the connection fall silent."""


class Fault(Generic[E]):
    """Something that happens to answers while its block lasts.

    Attributes:
        hits: The exchanges whose answers it got, in order.
    """

    def __init__(self, api: int, action: Action[E], times: int | None) -> None:
        self.hits: list[E] = []
        self._api = api
        self._action = action
        self._left = times

    def takes(self, exchange: E) -> bool:
        """Whether it is this fault's turn; counts it."""
        if exchange.api != self._api or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        self.hits.append(exchange)
        return True

    def apply(self, exchange: E, answer: bytes) -> bytes | None:
        """The answer to pass on instead, or None."""
        return self._action(exchange, answer)


class Tap(ABC, Generic[E]):
    """Listens on a port of its own and passes everything to the broker that listens on `broker_port`.

    A broker that is down is one that closes every connection at once. To be closed, or used as a context
    manager.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._listener = socket.create_server((LOOPBACK, 0), backlog=200)
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._exchanges: list[E] = []
        self._faults: list[Fault[E]] = []
        self._refusing = False
        self._closing = threading.Event()
        threading.Thread(target=self._accept, name="tap", daemon=True).start()

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self._listener.getsockname()[1]}"

    def exchanges(self, api: int | None = None) -> list[E]:
        """What was requested since `clear`, in order; of one kind if `api` is given."""
        with self._lock:
            return [each for each in self._exchanges if api is None or each.api == api]

    def connections(self) -> list[Connection]:
        """All connections, in order; those of before `clear` too, since exchanges refer to them by number."""
        with self._lock:
            return list(self._connections)

    def open_connections(self) -> int:
        """How many connections are open."""
        return sum(connection.closed is None for connection in self.connections())

    def clear(self) -> None:
        """Forgets the exchanges."""
        with self._lock:
            self._exchanges.clear()

    # Faults. Each is a context manager, in force inside its block; `times` bounds how often it strikes.

    @contextmanager
    def fault(self, api: int, action: Action[E], times: int | None = None) -> Iterator[Fault[E]]:
        """Gives the answers to requests of one kind to `action`."""
        made = Fault(api, action, times)
        with self._lock:
            self._faults.append(made)
        try:
            yield made
        finally:
            with self._lock:
                self._faults.remove(made)

    def drop(self, api: int, times: int | None = None) -> AbstractContextManager[Fault[E]]:
        """Lets a connection fall silent: the broker does its work, but the client gets no answer any more.

        Answers that follow on the same connection are swallowed too, for they come in the order of the requests.
        """
        return self.fault(api, lambda _, __: None, times)

    def delay(self, api: int, seconds: float, times: int | None = None) -> AbstractContextManager[Fault[E]]:
        """Passes the answers on later, and with them all that follows on their connection."""

        def late(_: E, answer: bytes) -> bytes:
            self._closing.wait(seconds)
            return answer

        return self.fault(api, late, times)

    def disconnect(self, api: int, times: int | None = 1) -> AbstractContextManager[Fault[E]]:
        """Closes the connection when the answer comes: the broker has done its work, the client is not told."""

        def close(_: E, __: bytes) -> None:
            raise DisconnectError

        return self.fault(api, close, times)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Closes new connections as soon as they are accepted."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    def close(self) -> None:
        """Closes the port and all connections."""
        self._closing.set()
        # Unlike `close`, this ends an `accept` that waits.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections():
            self._end(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _exchange(self, connection: int, body: bytes) -> E:
        """Reads the head of a request."""

    @abstractmethod
    def _answered_id(self, body: bytes) -> int:
        """Reads the correlation id of an answer."""

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(time.monotonic(), sockets=[client])
            with self._lock:
                self._connections.append(connection)
                number = len(self._connections) - 1
            broker = None
            if not self._refusing:
                with suppress(OSError):
                    broker = socket.create_connection((LOOPBACK, self._broker_port), 5)
            if broker is None:
                self._end(connection)
                continue
            broker.settimeout(None)
            connection.sockets.append(broker)
            for each in connection.sockets:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting: dict[int, E] = {}
            for arguments in (
                (connection, client, broker, lambda body, n=number, w=waiting: self._request(n, w, body)),
                (connection, broker, client, lambda body, w=waiting: self._answer(w, body)),
            ):
                threading.Thread(target=self._pump, args=arguments, name="tap", daemon=True).start()

    def _pump(
        self,
        connection: Connection,
        source: socket.socket,
        target: socket.socket,
        handle: Callable[[bytes], tuple[bytes | None, E | None]],
    ) -> None:
        """Passes frames on until either side is closed."""
        try:
            while True:
                body = _receive(source, *_LENGTH.unpack(_receive(source, _LENGTH.size)))
                passed, exchange = handle(body)
                connection.silent |= passed is None
                if passed is None or (connection.silent and target is connection.sockets[0]):
                    continue
                if exchange is not None:
                    exchange.answered = time.monotonic()
                if not isinstance(passed, Raw):
                    target.sendall(_LENGTH.pack(len(passed)) + passed)
                    continue
                # What follows would be taken for the rest of it.
                connection.silent = True
                for piece in (
                    [passed] if passed.pause == 0 else [passed[n : n + 1] for n in range(len(passed))]
                ):
                    target.sendall(piece)
                    self._closing.wait(passed.pause)
        except (OSError, DisconnectError):
            pass
        finally:
            self._end(connection)

    def _request(self, number: int, waiting: dict[int, E], body: bytes) -> tuple[bytes, None]:
        exchange = self._exchange(number, body)
        waiting[exchange.correlation_id] = exchange
        with self._lock:
            self._exchanges.append(exchange)
        return body, None

    def _answer(self, waiting: dict[int, E], body: bytes) -> tuple[bytes | None, E | None]:
        exchange = waiting.pop(self._answered_id(body), None)
        if exchange is None:
            return body, None
        exchange.answer = body
        with self._lock:
            fault = next((each for each in self._faults if each.takes(exchange)), None)
        return (body if fault is None else fault.apply(exchange, body)), exchange

    def _end(self, connection: Connection) -> None:
        with self._lock:
            if connection.closed is None:
                connection.closed = time.monotonic()
        for each in connection.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _receive(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = source.recv(min(size - len(data), 1 << 20))
        if not part:
            raise ConnectionError("closed")
        data += part
        # rivvend answers in two writes without TCP_NODELAY: delayed acknowledgements cost 44 ms a request.
        # Linux forgets this option by itself, so it is set again every time.
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return bytes(data)
