"""Comparing the Kafka topics of a source with the Rivven topics it fills, and publishing what they lack."""

from rivven_kafka.reading.rivven_log import OffsetRange
from rivven_kafka.repair.repair import repair_source
from rivven_kafka.repair.report import PartitionReport, Report

__all__ = ["OffsetRange", "PartitionReport", "Report", "repair_source"]
