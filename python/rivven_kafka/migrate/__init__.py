"""Moving whole topics from Kafka to Rivven: up to a snapshot of their ends, with a report, once."""

from rivven_kafka.migrate.migration import Migration
from rivven_kafka.migrate.report import Outcome, Report

__all__ = ["Migration", "Outcome", "Report"]
