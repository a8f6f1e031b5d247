"""From the `broker` and `settings.retry` sections to the arguments of the native client."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from rivven_kafka._native import RivvenSecurity
from rivven_kafka.config import BrokerConfig, RetrySettings


def client_arguments(broker: BrokerConfig, retry: RetrySettings, client_id: str) -> dict[str, Any]:
    """Arguments that the native `RivvenClient`, `Publisher` and `Fetcher` share; reads the files of `tls`.

    Raises:
        ConfigError: One of those files cannot be used; names the option and the file.
    """
    return {
        "servers": list(broker.bootstrap_servers),
        "client_id": client_id,
        "security": _security(broker),
        "connect_timeout_ms": broker.connection_timeout_ms,
        "request_timeout_ms": broker.request_timeout_ms,
        "retry_initial_ms": retry.initial_backoff_ms,
        "retry_max_ms": retry.max_backoff_ms,
        "retry_multiplier": retry.backoff_multiplier,
        "max_retries": retry.max_retries,
    }


def security_warnings(broker: BrokerConfig) -> Iterator[str]:
    """What somebody on the way to Rivven could make use of, as far as the configuration shows it."""
    if broker.tls.enabled and broker.tls.insecure:
        yield "broker.tls.insecure: the certificate of Rivven is not checked, so the server may be anybody"
    if broker.auth is None or broker.tls.enabled:
        return
    if away := [server for server in broker.bootstrap_servers if not _on_this_machine(server)]:
        yield (
            f"broker.auth: the login at {', '.join(away)} and all records go over connections without TLS "
            "(broker.tls.enabled); who reads along can guess the password at leisure"
        )


def _security(broker: BrokerConfig) -> RivvenSecurity | None:
    tls, auth = broker.tls, broker.auth
    if not tls.enabled and auth is None:
        return None
    return RivvenSecurity(
        tls=tls.enabled,
        ca_path=tls.ca_path,
        cert_path=tls.cert_path,
        key_path=tls.key_path,
        server_name=tls.server_name,
        insecure=tls.insecure,
        username=None if auth is None else auth.username,
        password=None if auth is None else auth.password.get_secret_value(),
    )


def _on_this_machine(server: str) -> bool:
    host = server.rpartition(":")[0].strip("[]").rstrip(".").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
