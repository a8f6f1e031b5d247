"""A whole configuration file: Rivven, the sources, the sinks and the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from rivven_kafka.config.broker import BrokerConfig
from rivven_kafka.config.cycles import broken_cycle_rules
from rivven_kafka.config.entries import SinkEntry, SourceEntry
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.settings import Settings
from rivven_kafka.config.stall import too_short
from rivven_kafka.config.values import Text


class FailoverConfig(Model):
    """Failover between nodes; part of distributed mode."""

    heartbeat_interval_ms: int = Field(1_000, ge=0, description="Not supported in this version (ms).")
    failure_timeout_ms: int = Field(10_000, ge=0, description="Not supported in this version (ms).")


class DistributedConfig(Model):
    """Distributed mode; accepted only while it is off. Processes of one group share the work without it."""

    enabled: bool = Field(False, description="Not supported in this version.")
    node_id: Text | None = Field(None, description="Not supported in this version.")
    cluster_topic: str = Field("_connect_status", description="Not supported in this version.")
    heartbeat_interval_ms: int = Field(1_000, ge=0, description="Not supported in this version (ms).")
    heartbeat_timeout_ms: int = Field(10_000, ge=0, description="Not supported in this version (ms).")
    rebalance_delay_ms: int = Field(3_000, ge=0, description="Not supported in this version (ms).")
    failover: FailoverConfig = Field(
        default_factory=FailoverConfig, description="Not supported in this version."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse distributed mode."""
        if self.enabled:
            yield (
                "enabled",
                "distributed mode is not supported in this version: expected false; processes with the same "
                "consumer_group share the partitions",
            )


def _version(value: object) -> object:
    """Accept 1.0 without quotes too, and 1: to JSON Schema the two are the same."""
    return "1.0" if isinstance(value, int | float) and value == 1 and value is not True else value


class ConnectConfig(Model):
    """A configuration file. Its shape is that of `connect.yaml` of rivven-connect."""

    version: Annotated[Literal["1.0"], BeforeValidator(_version), WithJsonSchema({"enum": ["1.0", 1.0]})] = (
        Field("1.0", description="Version of the format.")
    )
    broker: BrokerConfig = Field(description="How to reach Rivven. Required.")
    sources: dict[Text, SourceEntry] = Field(default_factory=dict, description="Sources by name.")
    sinks: dict[Text, SinkEntry] = Field(default_factory=dict, description="Sinks by name.")
    settings: Settings = Field(default_factory=Settings, description="What holds for all connectors.")
    distributed: DistributedConfig = Field(
        default_factory=DistributedConfig, description="Distributed mode. Not supported in this version."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check that there is something to do, and the timeouts of both sides."""
        if not self.sources and not self.sinks:
            yield "", "expected at least one entry in sources or sinks"
        yield from broken_cycle_rules(self.enabled_sources, self.enabled_sinks)
        for section, entries in (("sources", self.sources), ("sinks", self.sinks)):
            for name, entry in entries.items():
                limit_ms = {"broker.request_timeout_ms": self.broker.request_timeout_ms}
                if entry.loop_protection and self.broker.cluster_name is None:
                    yield (
                        (section, name, "loop_protection"),
                        "got true: expected broker.cluster_name beside it, as rivvend has no id of its own",
                    )
                for option, problem in too_short(entry.config.stall_timeout_ms, **limit_ms):
                    yield (section, name, "config", str(option)), problem

    @property
    def enabled_sources(self) -> dict[str, SourceEntry]:
        """The sources to run, by name, in the order of the file."""
        return {name: entry for name, entry in self.sources.items() if entry.enabled}

    @property
    def enabled_sinks(self) -> dict[str, SinkEntry]:
        """The sinks to run, by name, in the order of the file."""
        return {name: entry for name, entry in self.sinks.items() if entry.enabled}
