"""The options that take one of a few words; each class lists the words it takes."""

from __future__ import annotations

from enum import StrEnum


class SecurityProtocol(StrEnum):
    """How the connection to Kafka is protected."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL)

    @property
    def uses_sasl(self) -> bool:
        """Whether the client logs in with a SASL mechanism."""
        return self in (SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL)


class SaslMechanism(StrEnum):
    """How the client proves who it is."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"
    AWS_MSK_IAM = "AWS_MSK_IAM"


class RivvenMechanism(StrEnum):
    """How a client of Rivven proves who it is."""

    SCRAM_SHA_256 = "SCRAM-SHA-256"


class StartOffset(StrEnum):
    """Where reading starts when the group has no committed offset."""

    EARLIEST = "earliest"
    LATEST = "latest"


class IsolationLevel(StrEnum):
    """Whether records of open and aborted Kafka transactions are read."""

    READ_UNCOMMITTED = "read_uncommitted"
    READ_COMMITTED = "read_committed"


class Acks(StrEnum):
    """Which Kafka replicas have to store a batch before it counts as delivered."""

    NONE = "none"
    LEADER = "leader"
    ALL = "all"


class Compression(StrEnum):
    """The codec of the record batches written to Kafka."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


class ValueFormat(StrEnum):
    """What a Rivven value holds: the event JSON with all the metadata, or the bytes of the Kafka value."""

    EVENT = "event"
    RAW = "raw"


class Partitioning(StrEnum):
    """How the destination partition is chosen: the same number as at the origin, or by the key."""

    PRESERVE = "preserve"
    KEY = "key"


class Ordering(StrEnum):
    """What stays in order: everything in a partition, or only the records of each key."""

    PARTITION = "partition"
    KEY = "key"


class DeliveryGuarantee(StrEnum):
    """How often a record of Kafka can be in Rivven, whatever crashes: once or more, or once."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"


class OnLogDamage(StrEnum):
    """What to do when a Rivven log does not hold what it held."""

    FAIL = "fail"
    CONTINUE = "continue"


class OnTombstone(StrEnum):
    """What becomes of a null Kafka value, which raw Rivven values cannot express."""

    EMPTY = "empty"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"
    FAIL = "fail"


class OnError(StrEnum):
    """What becomes of a record that can never be delivered."""

    FAIL = "fail"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"


class OnMissingKeyField(StrEnum):
    """What becomes of a record whose value lacks `key_field`."""

    FALLBACK = "fallback"
    ERROR = "error"


class LogLevel(StrEnum):
    """The least severe messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    WARNING = "warning"
    ERROR = "error"
