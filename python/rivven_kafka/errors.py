"""The exception classes of the package.

Everything the package raises on purpose derives from `RivvenKafkaError`. Retry loops ask the error
(`retriable`) instead of listing types. This module imports nothing native, so that both native modules can
raise its classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class RivvenKafkaError(Exception):
    """Base of every error of the package.

    Attributes:
        retriable: Whether the same call can succeed later without a change by the user.
        code: The other side's name for the error (Kafka error name, Rivven message prefix), or None.
        topic: The topic concerned, or None.
        partition: The partition concerned, or None.
        offset: The offset (records) concerned, or None.
    """

    retriable: bool = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.topic = topic
        self.partition = partition
        self.offset = offset

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        if self.topic is None:
            return message
        where = self.topic if self.partition is None else f"{self.topic}:{self.partition}"
        if self.offset is not None:
            where = f"{where}@{self.offset}"
        return f"{message} [{where}]"


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong with a configuration. As a string: `file:line: option: problem`.

    Attributes:
        file: The file or whatever else the configuration came from; empty if unknown.
        line: The line in `file` (from 1), or None.
        option: Path of the option, as `sources.orders.config.brokers[1]`; empty for the whole.
        problem: What was found and what is expected. Never the value of a secret.
    """

    file: str
    line: int | None
    option: str
    problem: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.option, self.problem) if part)


class ConfigError(RivvenKafkaError):
    """An option is missing, unknown, of the wrong type or out of range. Raised before any connection.

    Attributes:
        problems: All that is wrong, at least one; the message has a line for each.
    """

    def __init__(self, message: str, *, problems: Sequence[ConfigProblem] = (), **where: Any) -> None:
        super().__init__(message, **where)
        self.problems = tuple(problems) or (ConfigProblem("", None, "", message),)


class UnusableFileError(ConfigError):
    """A file of certificates or keys cannot be read, or does not hold what it should; maybe not yet."""


class ConnectError(RivvenKafkaError):
    """A broker cannot be reached, or the connection to it was lost."""

    retriable = True


class TimeoutExpired(RivvenKafkaError):
    """The other side did not answer in time. The outcome of the request is unknown."""

    retriable = True


class StalledError(RivvenKafkaError):
    """A partition has records to deliver, and its position has not moved for `stall_timeout_ms`."""

    retriable = True


class ProtocolError(RivvenKafkaError):
    """The other side sent bytes that its protocol does not allow."""


class CodecError(RivvenKafkaError):
    """Record bytes cannot be decoded or encoded."""


class CorruptRecordError(CodecError):
    """A checksum does not match, a length lies, or a record is cut short."""


class UnsupportedCodecError(CodecError):
    """The batch uses a compression codec or a format version that is not known."""


class DecompressionLimitError(CodecError):
    """A batch inflates beyond the allowed size: a decompression bomb, or a limit set too low."""


class RecordTooLargeError(CodecError):
    """One record is larger than the other side can hold."""


class EventFormatError(CodecError):
    """A Rivven value is not the event JSON that `value_format: event` expects."""


class DeliveryError(RivvenKafkaError):
    """Records could not be delivered; the position stays before the first of them."""


class LogDamagedError(RivvenKafkaError):
    """A Rivven partition does not hold what it claims: offsets are missing, come again, or are unreadable.

    rivvend 0.0.22 does this to a partition when it starts after a crash with its write-ahead log kept.
    Reading on would skip records or see them twice, so nothing goes on until the broker is repaired.
    """


class ForeignWriterError(DeliveryError):
    """Somebody else writes to a Rivven partition that exactly-once delivery in raw format needs alone."""


class BrokerError(RivvenKafkaError):
    """A broker refused a request; `code` is its name for the reason."""


class RetriableBrokerError(BrokerError):
    """A broker refused a request for a reason that passes."""

    retriable = True


class ThrottledError(RetriableBrokerError):
    """A quota or rate limit was exceeded; nothing was done."""


class StorageError(RetriableBrokerError):
    """The broker could not write (`WAL_ERROR`, `I/O error`). A part of the request may be stored."""


class NotLeaderError(RetriableBrokerError):
    """The broker does not lead the partition (any more)."""


class RebalanceNeededError(RetriableBrokerError):
    """The consumer group has changed; the member has to join again."""


class OutOfOrderSequenceError(BrokerError):
    """The sequence number of an idempotent producer does not follow the stored one."""


class FencedError(BrokerError):
    """A newer instance of this producer or member has taken over."""


class UnknownProducerError(BrokerError):
    """The broker does not know the producer id (it was restarted)."""


class UnknownTopicError(BrokerError):
    """The topic, partition or group does not exist."""


class TopicExistsError(BrokerError):
    """The topic exists already."""


class InvalidRequestError(BrokerError):
    """The broker found a name, number or size in the request that it does not accept."""


class OffsetOutOfRangeError(BrokerError):
    """The offset lies outside the log."""


class TransactionError(BrokerError):
    """A transaction cannot go on and has to be aborted."""


class AuthenticationError(BrokerError):
    """Client and broker do not accept each other: credentials, certificates or security protocol.

    Another attempt fails too, as long as nobody changes anything.
    """


class AuthorizationError(BrokerError):
    """The broker knows the user and does not allow the operation."""
