"""Whether addresses can be reached at all: TCP connections, without a word of Kafka's protocol."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any


def reach(addresses: Iterable[str], timeout_ms: int) -> dict[str, str | None]:
    """Connects to all addresses at the same time, and closes the connections again.

    Args:
        addresses: `host:port`, with brackets around an IPv6 host.
        timeout_ms: Longest wait for all of them, the resolution of names included (ms).

    Returns:
        Why an address cannot be reached, by address in the order given; None for those that can.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    reasons: dict[str, str | None] = dict.fromkeys(addresses, f"timed out after {timeout_ms} ms")
    answers: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
    for address in reasons:
        # Daemons: the resolution of a name knows no timeout, and nobody may have to wait for it.
        threading.Thread(
            target=lambda address: answers.put((address, _reason(address, timeout_ms))),
            args=(address,),
            daemon=True,
        ).start()
    for _ in range(len(reasons)):
        try:
            address, reason = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        reasons[address] = reason
    return reasons


def proxy_option(options: Mapping[str, Any]) -> str | None:
    """Which of the `kafka_options` names a proxy; None if connections are direct.

    Behind a proxy, whether `reach` gets through says nothing of what a client can do.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
    """
    return next((name for name in ("proxy_url", "socks5_proxy") if options.get(name) is not None), None)


def failures(reasons: dict[str, str | None]) -> str:
    """The addresses that cannot be reached, each with the reason, for messages."""
    return "; ".join(f"{address}: {reason}" for address, reason in reasons.items() if reason is not None)


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of `host:port`; an IPv6 host loses its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _reason(address: str, timeout_ms: int) -> str | None:
    try:
        socket.create_connection(host_and_port(address), timeout_ms / 1000).close()
    except socket.gaierror:
        return "the name does not resolve"
    except UnicodeError:
        return "not a valid name"
    except ConnectionRefusedError:
        return "connection refused"
    except TimeoutError:
        return f"timed out after {timeout_ms} ms"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None
