"""The connections of kafka-python's clients; options that cannot work are told from brokers that are away."""

from __future__ import annotations

import logging
import random
import re
import selectors
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from kafka.errors import (
    BrokerResponseError,
    KafkaConfigurationError,
    KafkaConnectionError,
    KafkaProtocolError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector, Task

from rivven_kafka.config.kafka_options import CONSUMER, PRODUCER
from rivven_kafka.errors import AuthenticationError, ConfigError, RivvenKafkaError
from rivven_kafka.kafka import scram  # noqa: F401  # registers itself
from rivven_kafka.kafka.buffers import Buffers
from rivven_kafka.kafka.reading import read_in_bulk
from rivven_kafka.kafka.refusal import brief, reason
from rivven_kafka.kafka.transport import open_transport
from rivven_kafka.kafka.usable import require_usable

log = logging.getLogger(__name__)

RECEIVE_BYTES = 100_000_000
"""Most bytes of one answer, where `receive_message_max_bytes` says nothing else."""
_AT_ONCE = 2
"""Attempts to connect after which it is worth to look for the reason."""

_REFUSALS = 2
"""Refusals in a row that are taken for the last word: a broker that starts may not know its users yet."""


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


class NotAtOnceError(KafkaTimeoutError):  # type: ignore[misc]  # kafka-python is untyped
    """The first attempts have failed, and it was asked for no more of them."""


class _Connections(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python is untyped
    """Reads in bulk, and waits longer and longer before it connects again, whatever did not work.

    kafka-python takes a broker whose port accepts a connection for well, so it tries again at once, thousands
    of times a second, where a proxy stands before a broker that is away. It does so too where a broker sends
    what is no answer, and it forgets why it was refused. Where it has been told of brokers that are none, it
    never asks again at the addresses that it was given at first, which KIP-899 is about.

    Attributes:
        at_once: Whether to raise `NotAtOnceError` after a few attempts, instead of trying until the time to
            connect is over.
    """

    def __init__(self, net: Any, **configs: Any) -> None:
        self.at_once = False
        self._failed = 0
        self._buffers = Buffers()
        self._refused: dict[Any, tuple[int, AuthenticationError]] = {}
        self._away_since: float | None = None
        super().__init__(net, **configs)

    @property
    def refusal(self) -> AuthenticationError | None:
        """Why a broker of the cluster does not let us in, time and again; None as long as none does so."""
        # Addresses that only led to the cluster are not tried again: what they said is never taken back.
        known = ((node, *said) for node, said in list(self._refused.items()))
        again = (error for node, count, error in known if count >= _REFUSALS and not self._led_to_it(node))
        return next(again, None)

    def _led_to_it(self, node_id: Any) -> bool:
        led: bool = self.cluster.is_bootstrap(node_id)
        return led

    def least_loaded_node(self) -> Any:
        """Where to ask what any broker can answer; None if there is nobody to be asked now.

        Once for each `request_timeout_ms` in which there was no connection to any broker of the cluster, that
        is one of the addresses that led to the cluster.
        """
        now = time.monotonic()
        connections = [self._conns.get(broker.node_id) for broker in self.cluster.brokers()]
        if any(connection is not None and connection.connected for connection in connections):
            self._away_since = None
        elif self._away_since is None:
            self._away_since = now
        elif self.bootstrapped and now - self._away_since >= self.config["request_timeout_ms"] / 1000:
            first = [node.node_id for node in self.cluster.bootstrap_brokers()]
            usable = [node_id for node_id in first if not self.connection_delay(node_id)]
            if usable:
                # Those that it was told of get their turn again: the addresses may be out of date.
                self._away_since = now
                log.warning("no broker of the cluster can be reached: asks the bootstrap servers again")
                return random.choice(usable)
        return super().least_loaded_node()

    def get_connection(self, node_id: Any, *arguments: Any, **options: Any) -> Any:
        """A connection to that broker, made if there is none."""
        if self.at_once and self._failed >= _AT_ONCE and node_id not in self._conns:
            raise NotAtOnceError("no connection at once")
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, *arguments, **options)
        if connection is not known:
            connection.close_future.add_errback(self._note_end, node_id)
        return connection

    def _note_end(self, node_id: Any, error: BaseException) -> None:
        # Else it would be asked again at once.
        if isinstance(error, KafkaProtocolError) and not self.closed:
            self.update_backoff(node_id)

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await open_transport(self._net, self.config, node.host, node.port, timeout_at)
        read_in_bulk(transport, self._buffers)
        return transport

    async def _connect(
        self,
        node: Any,
        conn: Any,
        reset_backoff_on_connect: bool = True,
        timeout_at: float | None = None,
    ) -> None:
        before = self._backoff.get(node.node_id)
        kept = _keep_refusal(conn)
        await super()._connect(node, conn, reset_backoff_on_connect=False, timeout_at=timeout_at)
        self._judge(node, conn, kept)
        if not reset_backoff_on_connect:
            # The caller counts.
            return
        if conn.connected:
            self.reset_backoff(node.node_id)
        elif self._backoff.get(node.node_id) == before and not self.closed:
            self.update_backoff(node.node_id)

    def _judge(self, node: Any, conn: Any, kept: list[BaseException]) -> None:
        """Notes whether the broker has let us in, and whether another attempt is of any use."""
        # One that lets us in and closes the connection afterwards counts as well.
        self._failed += 1
        if conn.connected:
            self._refused.pop(node.node_id, None)
            return
        error = kept[-1] if kept else conn.init_future.exception
        if error is None or self.closed:
            return
        found = reason(error, self.config)
        if found.final:
            self._failed = _AT_ONCE
            count, _ = self._refused.get(node.node_id, (0, None))
            refused = found.error(f"{node.host}:{node.port}")
            self._refused[node.node_id] = (count + 1, cast(AuthenticationError, refused))


def _keep_refusal(conn: Any) -> list[BaseException]:
    """Lets a connection note why a login failed: that may come up after the end of the connection."""
    kept: list[BaseException] = []
    log_in = conn._sasl_authenticate

    async def noting(timeout_at: float | None = None) -> None:
        try:
            await log_in(timeout_at)
        except BrokerResponseError as error:
            kept.append(error)
            doubt = getattr(conn.config.get("sasl_oauth_token_provider"), "doubt", None)
            if doubt is not None and isinstance(error, SaslAuthenticationFailedError):
                # It may have been revoked, or be of yesterday's keys.
                doubt()
            raise brief(error) from None
        except RivvenKafkaError as error:
            # There is no token. For what is under way it is the end of a connection, as any other.
            kept.append(error)
            raise KafkaConnectionError(str(error)) from error

    conn._sasl_authenticate = noting
    return kept


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
