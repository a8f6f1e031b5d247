"""The `settings` section: what holds for all connectors of a file."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.values import Text

_MAX_PORT = 65535
MAX_PARTITIONS = 1000
"""Rivven refuses to create a topic with more partitions."""


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
        1, ge=1, description="Accepted for compatibility; has no effect (count)."
    )
    require_topic_exists: bool = Field(
        True, description="Fail when a topic does not exist and is not created; false: wait for it."
    )
    validate_existing: bool = Field(
        False,
        description="Fail when an existing topic of a source has another number of partitions than a new one "
        "would get.",
    )


class RetrySettings(Model):
    """How to try again when Rivven cannot be reached."""

    max_retries: int = Field(10, ge=0, description="Attempts after the first (count).")
    initial_backoff_ms: int = Field(100, ge=1, description="Pause before the first retry (ms).")
    max_backoff_ms: int = Field(30_000, ge=1, description="Longest pause between retries (ms).")
    backoff_multiplier: float = Field(
        2.0, ge=1, description="Each pause is this many times the one before (factor)."
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
    """The health endpoint; accepted only while it is off."""

    enabled: bool = Field(False, description="Serve health checks over HTTP. Not supported in this version.")
    port: int = Field(8080, ge=1, le=_MAX_PORT, description="Port to listen on.")
    path: Text = Field("/health", description="Path of the health check.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse the endpoint."""
        if self.enabled:
            yield "enabled", "the health endpoint is not supported in this version: expected false"


class MetricsSettings(Model):
    """The metrics endpoint; accepted only while it is off."""

    enabled: bool = Field(False, description="Serve metrics over HTTP. Not supported in this version.")
    port: int = Field(9091, ge=1, le=_MAX_PORT, description="Port to listen on.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse the endpoint."""
        if self.enabled:
            yield "enabled", "the metrics endpoint is not supported in this version: expected false"


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
            yield "enabled", "telemetry is not supported in this version: expected false"


class Settings(Model):
    """The `settings` section."""

    state_dir: Text = Field("./data/connect-state", description="Accepted for compatibility; has no effect.")
    topic: TopicSettings = Field(default_factory=TopicSettings, description="Creation of Rivven topics.")
    retry: RetrySettings = Field(
        default_factory=RetrySettings, description="Retries of connections to Rivven."
    )
    health: HealthSettings = Field(default_factory=HealthSettings, description="Health endpoint.")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Metrics endpoint.")
    telemetry: TelemetrySettings = Field(
        default_factory=TelemetrySettings, description="OpenTelemetry traces."
    )
    log_level: Text = Field(
        "info", description="Accepted for compatibility; has no effect (the command's -v sets the level)."
    )
