"""The configuration: models with defaults, ranges and descriptions, and the reading of files.

Everything that can be wrong raises `rivven_kafka.errors.ConfigError` before any connection is made.
"""

from rivven_kafka.config.broker import AuthConfig, BrokerConfig, TlsConfig
from rivven_kafka.config.choices import (
    Acks,
    Compression,
    DeliveryGuarantee,
    IsolationLevel,
    LogLevel,
    OnError,
    OnLogDamage,
    OnMissingKeyField,
    OnTombstone,
    Ordering,
    Partitioning,
    RivvenMechanism,
    SaslMechanism,
    SecurityProtocol,
    StartOffset,
    ValueFormat,
)
from rivven_kafka.config.connect import ConnectConfig
from rivven_kafka.config.entries import SinkEntry, SourceEntry, SourceTopicConfig
from rivven_kafka.config.load import load_connect_file, parse_connect
from rivven_kafka.config.security import SecurityConfig
from rivven_kafka.config.settings import (
    HealthSettings,
    MetricsSettings,
    OtlpSettings,
    RetrySettings,
    Settings,
    TopicSettings,
)
from rivven_kafka.config.sink import KafkaSinkConfig
from rivven_kafka.config.source import KafkaSourceConfig
from rivven_kafka.config.start import StartOffsets
from rivven_kafka.config.transforms import Transform, transforms_json

__all__ = [
    "Acks",
    "AuthConfig",
    "BrokerConfig",
    "Compression",
    "ConnectConfig",
    "DeliveryGuarantee",
    "HealthSettings",
    "IsolationLevel",
    "KafkaSinkConfig",
    "KafkaSourceConfig",
    "LogLevel",
    "MetricsSettings",
    "OnError",
    "OnLogDamage",
    "OnMissingKeyField",
    "OnTombstone",
    "Ordering",
    "OtlpSettings",
    "Partitioning",
    "RetrySettings",
    "RivvenMechanism",
    "SaslMechanism",
    "SecurityConfig",
    "SecurityProtocol",
    "Settings",
    "SinkEntry",
    "SourceEntry",
    "SourceTopicConfig",
    "StartOffset",
    "StartOffsets",
    "TlsConfig",
    "TopicSettings",
    "Transform",
    "ValueFormat",
    "load_connect_file",
    "parse_connect",
    "transforms_json",
]
