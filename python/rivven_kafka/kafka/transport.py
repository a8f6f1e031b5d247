"""Opening a connection: TCP, and TLS where that is configured, with nothing left of one that fails."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from kafka.errors import KafkaConnectionError
from kafka.net.inet import create_connection
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport


async def open_transport(
    net: Any, config: Mapping[str, Any], host: str, port: int, timeout_at: float | None = None
) -> Any:
    """Connects, and shakes hands.

    kafka-python leaves the socket open when the handshake fails, and waits for its end for ever.

    Args:
        net: kafka-python's event loop.
        config: Of its connection manager.
        host: Where to connect, which a certificate has to be for.
        port: Of the host.
        timeout_at: When to give up, by the monotonic clock (s); None for never.

    Returns:
        A transport of kafka-python that reads nothing yet.

    Raises:
        KafkaConnectionError: It did not work; `__cause__` is an error of the handshake.
    """
    socket = await create_connection(
        net, host, port, config["socket_options"], proxy_url=config["proxy_url"], timeout_at=timeout_at
    )
    transport = None
    try:
        if config["security_protocol"] in ("SSL", "SASL_SSL"):
            options = {name: value for name, value in config.items() if name.startswith("ssl_")}
            transport = KafkaSSLTransport(net, socket, host=host, **options)
            await _shake_hands(net, transport, timeout_at)
        else:
            transport = KafkaTCPTransport(net, socket, host=host)
    except BaseException as error:
        if transport is None:
            socket.close()
        else:
            transport.abort(error)
        if not isinstance(error, Exception):
            raise
        raise KafkaConnectionError(f"Handshake failed: {error}") from error
    return transport


async def _shake_hands(net: Any, transport: Any, timeout_at: float | None) -> None:
    while True:
        try:
            transport._sock.do_handshake()
            return
        except ssl.SSLWantReadError:
            await net.wait_read(transport._sock, timeout_at=timeout_at)
        except ssl.SSLWantWriteError:
            await net.wait_write(transport._sock, timeout_at=timeout_at)
