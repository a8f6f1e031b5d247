"""The connections of kafka-python's clients; options that cannot work are told from brokers that are away."""

from __future__ import annotations

import re
import selectors
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaConfigurationError, KafkaConnectionError, KafkaProtocolError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector, Task
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from rivven_kafka.config.kafka_options import CONSUMER, PRODUCER
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.reading import read_in_bulk
from rivven_kafka.kafka.usable import require_usable

RECEIVE_BYTES = 100_000_000
"""Most bytes of one answer, where `receive_message_max_bytes` says nothing else."""


def net_client(options: Mapping[str, Any]) -> KafkaNetClient:
    """Makes what every client of kafka-python has its connections in. Connects to nothing.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
    """
    require_usable(options)
    with refusals(options):
        # kafka-python has 1 MB for producers, and 100 MB for the others.
        options = {"receive_message_max_bytes": RECEIVE_BYTES, **options}
        net = _Selector(**options)
        connections = _Connections(net, **options)
        # kafka-python 3.0 takes the option and does not heed it: a Kafka that makes topics by itself would
        # make a deleted one anew when the metadata is refreshed.
        connections.cluster.config["allow_auto_create_topics"] = options.get("allow_auto_create_topics", True)
        return KafkaNetClient(net, connections, **options)


class _Selector(NetworkSelector):  # type: ignore[misc]  # kafka-python is untyped
    """Spends less on each wait for a socket.

    kafka-python asks the selector for it first, which makes an error with the text of the socket, every time.
    """

    def register_event(self, fileobj: Any, event: int, task: Any) -> None:
        """Waits for `event` on a socket."""
        if fileobj.fileno() in self._selector._fd_to_key or not isinstance(task, Task):
            super().register_event(fileobj, event, task)
        else:
            both = (task, None) if event == selectors.EVENT_READ else (None, task)
            self._selector.register(fileobj, event, both)


class _Connections(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python is untyped
    """Reads in bulk, and waits longer and longer before it connects again, whatever did not work.

    kafka-python takes a broker whose port accepts a connection for well, so it tries again at once, thousands
    of times a second, where a proxy stands before a broker that is away. It does so too where a broker sends
    what is no answer, and it waits for the end of a TLS handshake for ever.
    """

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await create_connection(
            self._net,
            node.host,
            node.port,
            self.config["socket_options"],
            proxy_url=self.config["proxy_url"],
            timeout_at=timeout_at,
        )
        transport = None
        try:
            if self.ssl_enabled:
                options = {name: value for name, value in self.config.items() if name.startswith("ssl_")}
                transport = KafkaSSLTransport(self._net, sock, host=node.host, **options)
                await self._shake_hands(transport, timeout_at)
            else:
                transport = KafkaTCPTransport(self._net, sock, host=node.host)
        except Exception as error:
            (sock if transport is None else transport._sock).close()
            raise KafkaConnectionError(f"Handshake failed: {error}") from error
        read_in_bulk(transport)
        return transport

    async def _shake_hands(self, transport: KafkaSSLTransport, timeout_at: float | None) -> None:
        while True:
            try:
                transport._sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self._net.wait_read(transport._sock, timeout_at=timeout_at)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(transport._sock, timeout_at=timeout_at)

    def get_connection(self, node_id: Any, *arguments: Any, **options: Any) -> Any:
        """The connection to a broker, made if there is none; a while after one that made no sense."""
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *arguments, **options)
        if connection is not known:
            connection.close_future.add_errback(self._note_end, node_id)
        return connection

    def _note_end(self, node_id: Any, error: BaseException) -> None:
        if isinstance(error, KafkaProtocolError) and not self.closed:
            self.update_backoff(node_id)

    async def _connect(
        self,
        node: Any,
        conn: Any,
        reset_backoff_on_connect: bool = True,
        timeout_at: float | None = None,
    ) -> None:
        before = self._backoff.get(node.node_id)
        await super()._connect(node, conn, reset_backoff_on_connect=False, timeout_at=timeout_at)
        if not reset_backoff_on_connect:
            # The caller counts.
            return
        if conn.connected:
            self.reset_backoff(node.node_id)
        elif self._backoff.get(node.node_id) == before and not self.closed:
            self.update_backoff(node.node_id)


@contextmanager
def refusals(options: Mapping[str, Any]) -> Iterator[None]:
    """Turns what a constructor of kafka-python does not accept into a `ConfigError`.

    Args:
        options: What the constructor is given.
    """
    try:
        yield
    except (KafkaConfigurationError, ValueError, TypeError, AssertionError) as error:
        detail = str(error).removeprefix("KafkaConfigurationError: ") or type(error).__name__
        # Their names in kafka-python are those of `kafka_options`.
        passed = sorted(name for name in {*CONSUMER, *PRODUCER} & options.keys() if _names(name, detail))
        where = ", ".join(f"kafka_options.{name}" for name in passed) or "kafka_options"
        raise ConfigError(f"{where}: kafka-python refuses: {detail}") from error


def _names(option: str, text: str) -> bool:
    return re.search(rf"\b{option}\b", text) is not None
