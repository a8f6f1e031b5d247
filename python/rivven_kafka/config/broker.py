"""The `broker` section: how to reach Rivven."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.values import MAX_INT32, Addresses, FileName, Text

DEFAULT_ADDRESS = "127.0.0.1:9092"
"""Where a `rivvend` started without options listens, seen from the same machine."""


class TlsConfig(Model):
    """TLS to Rivven; accepted only while it is off."""

    enabled: bool = Field(
        False, description="Encrypt the connections to Rivven. Not supported in this version."
    )
    cert_path: FileName | None = Field(None, description="File with the client certificate (PEM).")
    key_path: FileName | None = Field(
        None, description="File with the private key of the client certificate (PEM)."
    )
    ca_path: FileName | None = Field(None, description="File with the CA certificates to trust (PEM).")
    insecure: bool = Field(False, description="Accept any certificate.")
    server_name: Text | None = Field(None, description="Name expected in the server's certificate.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse TLS."""
        if self.enabled:
            yield "enabled", "TLS to Rivven is not supported in this version: expected false"


class BrokerConfig(Model):
    """The `broker` section."""

    bootstrap_servers: Addresses = Field(
        description="Rivven servers, host:port, a list or a string with commas; the first to answer is used."
    )
    metadata_refresh_ms: int = Field(
        10_000,
        ge=1,
        le=MAX_INT32,
        description="How often sinks look for new partitions of their Rivven topics (ms).",
    )
    connection_timeout_ms: int = Field(
        10_000, ge=1, le=MAX_INT32, description="Longest wait for a connection to Rivven (ms)."
    )
    request_timeout_ms: int = Field(
        30_000, ge=1, le=MAX_INT32, description="Longest wait for the answer to a request to Rivven (ms)."
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS to Rivven.")
