"""rivven-kafka moves records between Apache Kafka and Rivven, both ways, and loses none.

`KafkaSource` and `KafkaSink` are the way in for programs; the command `rivven-kafka` runs whole connectors.
"""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
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


_LAZY = {"KafkaSink": "sink", "WriteResult": "sink", "KafkaSource": "source"}


def __getattr__(name: str) -> Any:
    """Imports the connectors when they are first used: the Kafka client takes most of the import time."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"rivven_kafka.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
