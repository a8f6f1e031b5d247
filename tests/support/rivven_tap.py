"""The tap for Rivven. Its clients know no other address than the one they are given, so any rivvend will do."""

import time
from enum import IntEnum

from tests.support.rivven_wire import Reader
from tests.support.tap import Exchange, Tap

_HEAD_SIZE = 5


class RivvenApi(IntEnum):
    """Requests by their number in the enum. Source: rivven-protocol 0.0.22, src/messages.rs."""

    CONSUME = 5
    CREATE_TOPIC = 6
    COMMIT_OFFSET = 9
    GET_OFFSET = 10
    GET_METADATA = 11
    HANDSHAKE = 33
    JOIN_GROUP = 34
    SYNC_GROUP = 35
    HEARTBEAT = 36
    LEAVE_GROUP = 37
    PUBLISH_BATCH = 38
    IDEMPOTENT_PUBLISH_BATCH = 39


class RivvenExchange(Exchange):
    """A request to Rivven and its answer."""

    def client_id(self) -> str:
        """Who a Handshake says it is."""
        assert self.api == RivvenApi.HANDSHAKE
        reader = self._reader()
        reader.varint()
        return reader.blob().decode()

    def record_count(self) -> int:
        """Records in a PublishBatch."""
        assert self.api == RivvenApi.PUBLISH_BATCH
        reader = self._reader()
        reader.blob()
        if reader.varint():
            reader.varint()
        return reader.varint()

    def session_timeout_ms(self) -> int:
        """The session timeout that a JoinGroup asks for."""
        assert self.api == RivvenApi.JOIN_GROUP
        reader = self._reader()
        reader.blob()
        reader.blob()
        return reader.varint()

    def group(self) -> str:
        """The group of a CommitOffset."""
        assert self.api == RivvenApi.COMMIT_OFFSET
        return self._reader().blob().decode()

    def _reader(self) -> Reader:
        reader = Reader(self.body[_HEAD_SIZE:])
        reader.varint()
        return reader


class RivvenTap(Tap[RivvenExchange]):
    """A proxy that reads Rivven's protocol. `api` is a `RivvenApi`."""

    def _exchange(self, connection: int, body: bytes) -> RivvenExchange:
        api = Reader(body[_HEAD_SIZE:]).varint()
        return RivvenExchange(connection, api, self._answered_id(body), body, time.monotonic())

    def _answered_id(self, body: bytes) -> int:
        return int.from_bytes(body[1:_HEAD_SIZE], "big")
