"""Connecting and logging in to each of several addresses, with the reason where it fails.

kafka-python's own clients try again until the time is over, and then tell neither the address nor the reason:
a wrong password ends like a broker that is away.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafka import errors as kafka_errors
from kafka.net.connection import KafkaConnection
from kafka.protocol.metadata import MetadataRequest

from rivven_kafka.errors import AuthenticationError, ConnectError, RivvenKafkaError
from rivven_kafka.kafka import refusal
from rivven_kafka.kafka.net_client import net_client
from rivven_kafka.kafka.reach import failures, host_and_port, proxy_option, reach
from rivven_kafka.kafka.transport import open_transport

_LISTEN_MS = 2_000
"""Longest wait for what a listener that closed the connection says to another protocol."""


class Login(NamedTuple):
    """What came of one address.

    Attributes:
        error: Why it failed; an `AuthenticationError` if another attempt would fail too, else a
            `ConnectError`; None if it worked.
        kafka_version: Version of the broker, as far as its protocol shows it.
    """

    error: RivvenKafkaError | None
    kafka_version: str = ""


def log_in(options: Mapping[str, Any], addresses: Iterable[str], timeout_ms: int) -> dict[str, Login]:
    """Connects and logs in to all addresses at the same time, and closes the connections again.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        addresses: `host:port` of brokers.
        timeout_ms: Longest wait for all of them (ms).

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
    """
    attempts = _try_all(options, addresses, timeout_ms)
    unclear = [address for address, attempt in attempts.items() if attempt.closed_on_us]
    seen = _protocols(options, unclear, min(timeout_ms, _LISTEN_MS))
    return {
        address: Login(attempt.failure(options, seen.get(address)), attempt.kafka_version)
        for address, attempt in attempts.items()
    }


def explain(
    options: Mapping[str, Any], timeout_ms: int, *, for_good: bool = False
) -> RivvenKafkaError | None:
    """Why no client can be made with `options`: an error that names each address with its reason.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        timeout_ms: Longest wait for connections, and then for logins (ms).
        for_good: Whether only a reason counts with which another attempt fails too, at each of the addresses.

    Returns:
        An `AuthenticationError` or a `ConnectError`; None if an address can be used after all, or may be.
    """
    addresses: Sequence[str] = options["bootstrap_servers"]
    reasons = dict.fromkeys(addresses) if proxy_option(options) else reach(addresses, timeout_ms)
    logins = log_in(options, [address for address, reason in reasons.items() if reason is None], timeout_ms)
    errors = [login.error for login in logins.values() if login.error is not None]
    if len(errors) < len(logins):
        return None
    refused = [isinstance(error, AuthenticationError) for error in errors]
    away = failures(reasons)
    if for_good and (away or not (refused and all(refused))):
        return None
    texts = [away, *map(str, errors)]
    return (AuthenticationError if any(refused) else ConnectError)(
        f"cannot connect to Kafka at {'; '.join(text for text in texts if text)}"
    )


def _try_all(options: Mapping[str, Any], addresses: Iterable[str], timeout_ms: int) -> dict[str, _Attempt]:
    client = net_client(options)
    try:
        client._net.start()
        attempts = {address: _Attempt(client._manager, address, timeout_ms) for address in addresses}

        async def all_of_them() -> None:
            tasks = [client._manager.call_soon(attempt.run) for attempt in attempts.values()]
            for task in tasks:
                await task

        client._manager.run(all_of_them)
        return attempts
    finally:
        client.close()


def _protocols(options: Mapping[str, Any], addresses: Sequence[str], timeout_ms: int) -> dict[str, str]:
    """The security protocols that listeners speak, as far as they can be found out without credentials."""
    found: dict[str, str] = {}
    if not addresses:
        return found
    wants_login = str(options.get("security_protocol") or "PLAINTEXT").startswith("SASL_")
    bare = {name: value for name, value in options.items() if not name.startswith(("ssl_", "sasl_"))}
    # It is only asked whether it speaks TLS, and told nothing.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    for protocol in ("PLAINTEXT", "SSL"):
        variant = {**bare, "security_protocol": protocol, "ssl_context": unverified}
        for address, attempt in _try_all(variant, addresses, timeout_ms).items():
            if attempt.kafka_version:
                found[address] = protocol
            elif attempt.answered:
                found[address] = f"SASL_{protocol}"
            elif attempt.encrypted:
                # It wants a certificate of the client, and tells nothing before.
                found[address] = "SASL_SSL" if wants_login else "SSL"
    return found


def _hear_out(transport: Any) -> None:
    """Makes a transport hand over what it received together with the end of the connection.

    Kafka closes the connection after it has refused the credentials, and kafka-python throws the refusal
    away when both arrive at the same time.
    """
    receive = transport._sock_recv

    def received() -> tuple[bytes, BaseException | None]:
        data, error = receive()
        # The end is still there at the next call.
        return data, None if data else error

    transport._sock_recv = received


class _Connection(KafkaConnection):  # type: ignore[misc]  # kafka-python is untyped
    """Keeps the reason for which a login failed, which may come up after the end of the connection."""

    refusal: BaseException | None = None

    async def _sasl_authenticate(self, timeout_at: float | None = None) -> None:
        try:
            await super()._sasl_authenticate(timeout_at)
        except kafka_errors.BrokerResponseError as error:
            self.refusal = refusal.brief(error)
            raise self.refusal from None
        except BaseException as error:
            self.refusal = error
            raise


class _Attempt:
    """One connection and login.

    Attributes:
        error: Why it failed; None if it worked.
        kafka_version: Version of the broker; empty if it failed.
        encrypted: Whether there was a TLS handshake that worked.
    """

    def __init__(self, manager: Any, address: str, timeout_ms: int) -> None:
        self._manager = manager
        self._address = address
        self._timeout_ms = timeout_ms
        self._transport: Any = None
        self._connection: Any = None
        self.error: BaseException | None = None
        self.kafka_version = ""
        self.encrypted = False
        self._admitted = False

    @property
    def answered(self) -> bool:
        """Whether the broker told which versions of requests it knows: it does that before a login too."""
        return self._connection is not None and self._connection.broker_version_data is not None

    @property
    def closed_on_us(self) -> bool:
        """Whether the broker ended the connection, and gave no reason."""
        return self.error is not None and not self._admitted and refusal.closed(self.error)

    def failure(self, options: Mapping[str, Any], seen: str | None) -> RivvenKafkaError | None:
        """Why it failed, in words; None if it worked.

        Args:
            options: What it was tried with.
            seen: The security protocol that the listener speaks, if that is known.
        """
        if self.error is None:
            return None
        found = refusal.reason(
            self.error, options, seen=seen, admitted=self._admitted, timeout_ms=self._timeout_ms
        )
        made = found.error(self._address)
        made.__cause__ = self.error
        return made

    async def run(self) -> None:
        """Tries it; never raises."""
        try:
            await self._manager.wait_for(self._manager.call_soon(self._log_in), self._timeout_ms)
        except Exception as error:
            kept = None if self._connection is None else self._connection.refusal
            known = isinstance(kept, kafka_errors.BrokerResponseError | RivvenKafkaError)
            self.error = kept if known else error
        finally:
            if self._transport is not None and self.error is None:
                self._transport.close()
            elif self._transport is not None:
                self._transport.abort()

    async def _log_in(self) -> None:
        net, config = self._manager._net, self._manager.config
        deadline = time.monotonic() + self._timeout_ms / 1000
        self._transport = await open_transport(net, config, *host_and_port(self._address), deadline)
        self.encrypted = self._manager.ssl_enabled
        _hear_out(self._transport)
        self._connection = connection = _Connection(net, **config)
        connection.connection_made(self._transport)
        await connection.initialize()
        await connection
        self._admitted = self._connection.sasl_enabled
        # A listener that wants a login tells its versions to anyone, and nothing else.
        await connection.send_request(MetadataRequest(topics=[], allow_auto_topic_creation=False))
        self.kafka_version = ".".join(map(str, connection.broker_version))
