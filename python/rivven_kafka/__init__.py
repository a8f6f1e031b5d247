"""rivven-kafka moves records between Apache Kafka and Rivven, both ways, and loses none.

`KafkaSource` and `KafkaSink` are the way in for programs; the command `rivven-kafka` runs whole connectors.
"""

from rivven_kafka._events import SourceEvent
from rivven_kafka._native import (
    KafkaSinkMetrics,
    KafkaSinkMetricsSnapshot,
    KafkaSourceMetrics,
    KafkaSourceMetricsSnapshot,
    RecordBlock,
)
from rivven_kafka.checks import Check, CheckResult
from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig, SecurityConfig
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.sink import KafkaSink, WriteResult
from rivven_kafka.source import KafkaSource

__all__ = [
    "Check",
    "CheckResult",
    "KafkaSink",
    "KafkaSinkConfig",
    "KafkaSinkMetrics",
    "KafkaSinkMetricsSnapshot",
    "KafkaSource",
    "KafkaSourceConfig",
    "KafkaSourceMetrics",
    "KafkaSourceMetricsSnapshot",
    "RecordBlock",
    "RivvenKafkaError",
    "SecurityConfig",
    "SourceEvent",
    "WriteResult",
]
__version__ = "0.1.0"
