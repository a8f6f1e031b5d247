"""rivven-kafka moves records between Apache Kafka and Rivven, both ways, and loses none.

`KafkaSource` and `KafkaSink` are the way in for programs; the command `rivven-kafka` runs whole connectors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivven_kafka._events import SourceEvent
    from rivven_kafka._native import (
        KafkaSinkMetrics,
        KafkaSinkMetricsSnapshot,
        KafkaSourceMetrics,
        KafkaSourceMetricsSnapshot,
        RecordBlock,
    )
    from rivven_kafka.catalog import Catalog, Stream
    from rivven_kafka.checks import Check, CheckResult, CheckStatus
    from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig, SecurityConfig
    from rivven_kafka.errors import RivvenKafkaError
    from rivven_kafka.sink import KafkaSink, WriteResult
    from rivven_kafka.source import KafkaSource

__all__ = [
    "Catalog",
    "Check",
    "CheckResult",
    "CheckStatus",
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
    "Stream",
    "WriteResult",
]
__version__ = "0.1.0"

_HOMES = {
    "_events": ("SourceEvent",),
    "_native": (
        "KafkaSinkMetrics",
        "KafkaSinkMetricsSnapshot",
        "KafkaSourceMetrics",
        "KafkaSourceMetricsSnapshot",
        "RecordBlock",
    ),
    "catalog": ("Catalog", "Stream"),
    "checks": ("Check", "CheckResult", "CheckStatus"),
    "config": ("KafkaSinkConfig", "KafkaSourceConfig", "SecurityConfig"),
    "errors": ("RivvenKafkaError",),
    "sink": ("KafkaSink", "WriteResult"),
    "source": ("KafkaSource",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used: the Kafka client takes most of the import time."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"rivven_kafka.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
