"""Proving that the Rivven topics of a source hold what its Kafka topics hold, or finding what differs."""

from rivven_kafka.verify.report import Difference, PartitionResult, RecordCopy, VerifyReport
from rivven_kafka.verify.verify import verify_source

__all__ = ["Difference", "PartitionResult", "RecordCopy", "VerifyReport", "verify_source"]
