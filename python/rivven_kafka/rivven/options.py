"""From the `broker` and `settings.retry` sections to the arguments of the native client."""

from __future__ import annotations

from typing import Any

from rivven_kafka.config import BrokerConfig, RetrySettings


def client_arguments(broker: BrokerConfig, retry: RetrySettings, client_id: str) -> dict[str, Any]:
    """Arguments that the native `RivvenClient`, `Publisher` and `Fetcher` share."""
    return {
        "servers": list(broker.bootstrap_servers),
        "client_id": client_id,
        "connect_timeout_ms": broker.connection_timeout_ms,
        "request_timeout_ms": broker.request_timeout_ms,
        "retry_initial_ms": retry.initial_backoff_ms,
        "retry_max_ms": retry.max_backoff_ms,
        "retry_multiplier": retry.backoff_multiplier,
        "max_retries": retry.max_retries,
    }
