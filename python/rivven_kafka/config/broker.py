"""The `broker` section: how to reach Rivven."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from rivven_kafka.config.choices import RivvenMechanism
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.values import MAX_INT32, Addresses, ClusterName, FileName, Host, Secret, Text

DEFAULT_ADDRESS = "127.0.0.1:9092"
"""Where a `rivvend` started without options listens, seen from the same machine."""


class TlsConfig(Model):
    """TLS to Rivven. While it is off, the other options have no use."""

    enabled: bool = Field(False, description="Encrypt the connections to Rivven.")
    cert_path: FileName | None = Field(
        None,
        description="File with the client certificate (PEM) and those that lead to its CA, for mutual TLS; "
        "needs key_path.",
    )
    key_path: FileName | None = Field(
        None,
        description="File with the private key of the client certificate (PEM, not encrypted); needs "
        "cert_path.",
    )
    ca_path: FileName | None = Field(
        None,
        description="File with the CA certificates to trust (PEM); the system's are trusted if not given.",
    )
    insecure: bool = Field(
        False, description="Accept any certificate: the server may be anybody. A warning is logged."
    )
    server_name: Host | None = Field(
        None,
        description="Name to ask the server for (SNI) and to expect in its certificate; if not given, the "
        "host in bootstrap_servers.",
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check that certificate and key come together."""
        if not self.enabled:
            return
        if self.cert_path is not None and self.key_path is None:
            yield "key_path", "missing: cert_path requires it"
        if self.key_path is not None and self.cert_path is None:
            yield "cert_path", "missing: key_path requires it"


class AuthConfig(Model):
    """The login at Rivven."""

    mechanism: RivvenMechanism = Field(RivvenMechanism.SCRAM_SHA_256, description="How to log in.")
    username: Text = Field(description="User name.")
    password: Secret = Field(description="Password.")


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
        10_000,
        ge=1,
        le=MAX_INT32,
        description="Longest wait for a connection to Rivven, with the TLS handshake (ms).",
    )
    request_timeout_ms: int = Field(
        30_000, ge=1, le=MAX_INT32, description="Longest wait for the answer to a request to Rivven (ms)."
    )
    cluster_name: ClusterName | None = Field(
        None,
        description="Name of this Rivven cluster in the marks of loop_protection, which needs it: the same "
        "in every file, and no other cluster has it.",
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS to Rivven.")
    auth: AuthConfig | None = Field(None, description="Login at Rivven; not used if not given.")
