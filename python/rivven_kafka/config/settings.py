"""The `settings` section: what holds for all connectors of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from rivven_kafka.config.choices import LogLevel
from rivven_kafka.config.explain import BROKEN_RULE
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.values import MAX_INT32, Secret, Text

_MAX_PORT = 65535
MAX_PARTITIONS = 1000
"""Rivven refuses to create a topic with more partitions."""

_STATE_DIR = "./data/connect-state"
_LOOPBACK = "127.0.0.1"
_PATH = r"/[A-Za-z0-9._~/-]*"
# As a bearer token goes into a header (RFC 6750); no shorter than what nobody guesses.
_TOKEN = r"(?=.{16})[A-Za-z0-9._~+/-]+=*"
_TAKEN_PATHS = ("/events", "/live", "/metrics", "/ready", "/status")


def _path(value: str) -> str:
    if not re.fullmatch(_PATH, value):
        raise ValueError("expected a path: '/', then letters, digits, '.', '_', '~', '-' or '/'")
    if value in _TAKEN_PATHS:
        raise ValueError(f"expected another path than {', '.join(_TAKEN_PATHS)}")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(_TOKEN, value.get_secret_value()):
        raise ValueError(
            "expected at least 16 letters, digits or characters of -._~+/, and = only at the end"
        )
    return value


def _http_url(value: str) -> str:
    expected = "expected a URL, such as http://collector:4318/v1/metrics"
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(expected) from None
    if url.username is not None or url.password is not None:
        # This type of error is shown without the value.
        raise PydanticCustomError(BROKEN_RULE, "got ***: expected a URL without a user: give headers")
    if url.query:
        raise PydanticCustomError(BROKEN_RULE, "got ***: expected a URL without a query: give headers")
    if url.scheme not in ("http", "https") or not host or url.fragment:
        raise ValueError(expected)
    return value


class TopicSettings(Model):
    """Creation of Rivven topics."""

    auto_create: bool = Field(True, description="Create the Rivven topics of the sources that do not exist.")
    default_partitions: int = Field(
        1,
        ge=1,
        le=MAX_PARTITIONS,
        description="Partitions of a created topic, unless the source preserves those of Kafka (count).",
    )
    default_replication_factor: int = Field(
        1, ge=1, description="Replicas of a created topic. Only 1: Rivven cannot be asked for more (count)."
    )
    require_topic_exists: bool = Field(
        True, description="Fail when a topic does not exist and is not created; false: wait for it."
    )
    validate_existing: bool = Field(
        False,
        description="Fail when an existing topic of a source has another number of partitions than a new one "
        "would get.",
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what is not there."""
        if self.default_replication_factor != 1:
            yield (
                "default_replication_factor",
                f"got {self.default_replication_factor}: expected 1, Rivven cannot be asked for replicas",
            )


class RetrySettings(Model):
    """How to try again when Rivven cannot be reached."""

    max_retries: int = Field(10, ge=0, le=MAX_INT32, description="Attempts after the first (count).")
    initial_backoff_ms: int = Field(100, ge=1, le=MAX_INT32, description="Pause before the first retry (ms).")
    max_backoff_ms: int = Field(30_000, ge=1, le=MAX_INT32, description="Longest pause between retries (ms).")
    backoff_multiplier: float = Field(
        2.0, ge=1, le=MAX_INT32, description="Each pause is this many times the one before (factor)."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check the order of the pauses."""
        if self.max_backoff_ms < self.initial_backoff_ms:
            yield (
                "max_backoff_ms",
                f"got {self.max_backoff_ms}: expected at least initial_backoff_ms "
                f"({self.initial_backoff_ms})",
            )


class HealthSettings(Model):
    """The HTTP server for health checks: `path`, `/live`, `/ready`, `/status`, `/metrics`; a page at `/`."""

    enabled: bool = Field(False, description="Serve health checks over HTTP.")
    port: int = Field(8080, ge=1, le=_MAX_PORT, description="Port to listen on.")
    host: Text = Field(
        _LOOPBACK,
        description="Address or name to listen on; `0.0.0.0` for all. Whoever can connect can read.",
    )
    path: Annotated[str, AfterValidator(_path)] = Field("/health", description="Path of the health check.")


class MetricsSettings(Model):
    """The HTTP server for Prometheus. It answers the same paths; the same port makes it the same server."""

    enabled: bool = Field(False, description="Serve metrics over HTTP, under `/metrics`.")
    port: int = Field(9091, ge=1, le=_MAX_PORT, description="Port to listen on.")
    host: Text = Field(
        _LOOPBACK,
        description="Address or name to listen on; `0.0.0.0` for all. Whoever can connect can read.",
    )


class ControlSettings(Model):
    """Calls that pause, resume and restart connectors; the same servers answer them."""

    token: Annotated[Secret, AfterValidator(_token)] | None = Field(
        None,
        description="What a caller has to know, at least 16 characters; control calls are off without it.",
    )


def _header(value: Secret) -> Secret:
    text = value.get_secret_value()
    if text != text.strip() or not text.isprintable() or not text.isascii():
        expected = "got ***: expected printable ASCII, with no space at either end"
        raise PydanticCustomError(BROKEN_RULE, expected)
    return value


class OtlpSettings(Model):
    """Metrics for OpenTelemetry, sent by OTLP over HTTP; needs the extra `otel`."""

    endpoint: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None,
        description="URL that takes metrics, such as `http://collector:4318/v1/metrics`; off without it.",
    )
    interval_ms: int = Field(60_000, ge=1_000, le=MAX_INT32, description="Time between two exports (ms).")
    headers: dict[str, Annotated[Secret, AfterValidator(_header)]] = Field(
        default_factory=dict, description="Headers of each request, as a collector may ask for."
    )
    service_name: Text = Field("rivven-kafka", description="Name of the process, as `service.name`.")
    resource_attributes: dict[str, str] = Field(
        default_factory=dict, description="Further attributes of the process."
    )


class TelemetrySettings(Model):
    """OpenTelemetry traces; accepted only while they are off."""

    enabled: bool = Field(False, description="Export traces. Not supported in this version.")
    service_name: str = Field("rivven-connect", description="Name of the service in traces.")
    exporter: dict[str, object] = Field(
        default_factory=dict, repr=False, description="Where traces would go."
    )
    sample_ratio: float = Field(1.0, ge=0, le=1, description="Share of the traces to keep (0 to 1).")
    resource_attributes: dict[str, str] = Field(default_factory=dict, description="Attributes of all traces.")
    propagation: str = Field("w3c", description="Format of the trace context.")
    batch: dict[str, object] = Field(default_factory=dict, description="How traces would be batched.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse telemetry."""
        if self.enabled:
            yield (
                "enabled",
                "telemetry is not supported in this version: expected false; settings.otlp exports metrics",
            )


class Settings(Model):
    """The `settings` section."""

    state_dir: Text = Field(_STATE_DIR, description="Not supported: nothing is kept on disk.")
    topic: TopicSettings = Field(default_factory=TopicSettings, description="Creation of Rivven topics.")
    retry: RetrySettings = Field(
        default_factory=RetrySettings, description="Retries of connections to Rivven."
    )
    health: HealthSettings = Field(default_factory=HealthSettings, description="Health checks over HTTP.")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Metrics over HTTP.")
    control: ControlSettings = Field(default_factory=ControlSettings, description="Control calls over HTTP.")
    otlp: OtlpSettings = Field(default_factory=OtlpSettings, description="Metrics for OpenTelemetry.")
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings, description="OpenTelemetry traces."
    )
    log_level: LogLevel = Field(
        LogLevel.INFO, description="Least severe messages to log; the command's `-v` wins."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what is not there, and two servers on one port."""
        if self.state_dir != _STATE_DIR:
            yield "state_dir", "not supported: nothing is kept on disk: remove the key"
        both = self.health.enabled and self.metrics.enabled
        if both and self.health.port == self.metrics.port and self.health.host != self.metrics.host:
            yield (
                ("metrics", "host"),
                f"expected the same host as settings.health.host, as both have port {self.health.port}",
            )
        if self.control.token is not None and not (self.health.enabled or self.metrics.enabled):
            yield (
                ("control", "token"),
                "not used while nothing is served: expected health.enabled or metrics.enabled: true",
            )
