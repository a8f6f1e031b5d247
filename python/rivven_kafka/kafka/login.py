"""Connecting and logging in to each of several addresses, with the reason where it fails.

kafka-python's own clients try again until the time is over, and then tell neither the address nor the reason:
a wrong password ends like a broker that is away.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafka import errors as kafka_errors
from kafka.net.connection import KafkaConnection
from kafka.net.inet import create_connection
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.metadata import MetadataRequest

from rivven_kafka.errors import AuthenticationError, ConnectError, RivvenKafkaError
from rivven_kafka.kafka.net_client import net_client
from rivven_kafka.kafka.reach import failures, host_and_port, proxy_option, reach

_CLOSED = {
    "PLAINTEXT": "closed the connection without an answer, as a listener that expects TLS or SASL does",
    "SSL": "closed the connection after the TLS handshake, as a listener that expects SASL or another client "
    "certificate does",
    "SASL_PLAINTEXT": "closed the connection without an answer, as a listener that expects TLS does",
    "SASL_SSL": "closed the connection after the TLS handshake",
}


class Login(NamedTuple):
    """What came of one address.

    Attributes:
        error: Why it failed, an `AuthenticationError` or a `ConnectError`; None if it worked.
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
    client = net_client(options)
    try:
        client._net.start()
        attempts = {address: _Attempt(client._manager, address, timeout_ms) for address in addresses}

        async def all_of_them() -> None:
            tasks = [client._manager.call_soon(attempt.run) for attempt in attempts.values()]
            for task in tasks:
                await task

        client._manager.run(all_of_them)
        protocol = str(options.get("security_protocol", "PLAINTEXT"))
        return {
            address: Login(_error(attempt, address, protocol, timeout_ms), attempt.kafka_version)
            for address, attempt in attempts.items()
        }
    finally:
        client.close()


def explain(options: Mapping[str, Any], timeout_ms: int) -> RivvenKafkaError | None:
    """Why no client can be made with `options`: an error that names each address with its reason.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        timeout_ms: Longest wait for connections, and then for logins (ms).

    Returns:
        An `AuthenticationError` or a `ConnectError`; None if an address can be used after all.
    """
    addresses: Sequence[str] = options["bootstrap_servers"]
    reasons = dict.fromkeys(addresses) if proxy_option(options) else reach(addresses, timeout_ms)
    logins = log_in(options, [address for address, reason in reasons.items() if reason is None], timeout_ms)
    errors = [login.error for login in logins.values() if login.error is not None]
    if len(errors) < len(logins):
        return None
    refused = any(isinstance(error, AuthenticationError) for error in errors)
    texts = [failures(reasons), *map(str, errors)]
    return (AuthenticationError if refused else ConnectError)(
        f"cannot connect to Kafka at {'; '.join(text for text in texts if text)}"
    )


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
        except BaseException as error:
            self.refusal = error
            raise


class _Attempt:
    """One connection and login."""

    def __init__(self, manager: Any, address: str, timeout_ms: int) -> None:
        self._manager = manager
        self._address = address
        self._timeout_ms = timeout_ms
        self._transport: Any = None
        self._connection: Any = None
        self.error: BaseException | None = None
        self.kafka_version = ""

    async def run(self) -> None:
        """Tries it; never raises."""
        try:
            # kafka-python bounds the steps of a connection, but not the TLS handshake.
            await self._manager.wait_for(self._manager.call_soon(self._log_in), self._timeout_ms)
        except Exception as error:
            refusal = None if self._connection is None else self._connection.refusal
            self.error = refusal if isinstance(refusal, kafka_errors.BrokerResponseError) else error
        finally:
            if self._transport is not None and self.error is None:
                self._transport.close()
            elif self._transport is not None:
                self._transport.abort()

    async def _log_in(self) -> None:
        # As kafka-python's manager does it, which leaves the socket open when the handshake fails.
        net, config = self._manager._net, self._manager.config
        host, port = host_and_port(self._address)
        socket = await create_connection(
            net, host, port, config["socket_options"], proxy_url=config["proxy_url"]
        )
        if self._manager.ssl_enabled:
            self._transport = KafkaSSLTransport(net, socket, host=host, **config)
        else:
            self._transport = KafkaTCPTransport(net, socket, host=host)
        await self._transport.handshake()
        _hear_out(self._transport)
        self._connection = connection = _Connection(net, **config)
        connection.connection_made(self._transport)
        await connection.initialize()
        await connection
        # A listener that wants a login tells its versions to anyone, and nothing else.
        await connection.send_request(MetadataRequest(topics=[], allow_auto_topic_creation=False))
        self.kafka_version = ".".join(map(str, connection.broker_version))


def _error(attempt: _Attempt, address: str, protocol: str, timeout_ms: int) -> RivvenKafkaError | None:
    error = attempt.error
    if error is None:
        return None
    kind: type[RivvenKafkaError] = ConnectError
    # kafka-python puts the name of the class in front, sometimes twice.
    detail = str(error).rpartition("Error: ")[2] or type(error).__name__
    match error:
        case kafka_errors.SaslAuthenticationFailedError():
            kind, reason = AuthenticationError, f"does not accept the credentials: {detail}"
        case kafka_errors.UnsupportedSaslMechanismError():
            kind, reason = AuthenticationError, "does not offer the configured security.sasl_mechanism"
        case kafka_errors.IllegalSaslStateError():
            kind = AuthenticationError
            reason = f"expects no login: got security.protocol {protocol}, expected PLAINTEXT or SSL"
        case kafka_errors.KafkaTimeoutError() | kafka_errors.RequestTimedOutError():
            reason = f"no answer within {timeout_ms} ms"
        case kafka_errors.KafkaConnectionError() if "disconnected" in detail:
            reason = _CLOSED[protocol]
        case ssl.SSLError():
            reason = f"the TLS handshake failed: {error}"
        case kafka_errors.KafkaProtocolError():
            reason = f"answers in another protocol than {protocol}, as a listener that expects TLS does"
        case kafka_errors.KafkaError() | OSError():
            reason = detail
        case _:
            reason = f"does not answer as Kafka does: {type(error).__name__}: {detail}"
    made = kind(f"{address}: {reason}", code=type(error).__name__)
    made.__cause__ = error
    return made
