"""kafka-python's errors as the package's own."""

from __future__ import annotations

from kafka import errors as kafka_errors

from rivven_kafka import errors

# The first class that fits wins, so special ones come before their bases.
_CLASSES: tuple[tuple[type[BaseException], type[errors.RivvenKafkaError]], ...] = (
    (kafka_errors.KafkaTimeoutError, errors.TimeoutExpired),
    (kafka_errors.KafkaConnectionError, errors.ConnectError),
    (kafka_errors.SaslAuthenticationFailedError, errors.AuthenticationError),
    (kafka_errors.AuthorizationError, errors.AuthorizationError),
    (kafka_errors.CommitFailedError, errors.RebalanceNeededError),
    (kafka_errors.IllegalGenerationError, errors.RebalanceNeededError),
    (kafka_errors.UnknownMemberIdError, errors.RebalanceNeededError),
    (kafka_errors.RebalanceInProgressError, errors.RebalanceNeededError),
    (kafka_errors.TopicAlreadyExistsError, errors.TopicExistsError),
    (kafka_errors.OutOfOrderSequenceNumberError, errors.OutOfOrderSequenceError),
    (kafka_errors.UnknownProducerIdError, errors.UnknownProducerError),
    (kafka_errors.NotLeaderForPartitionError, errors.NotLeaderError),
    (kafka_errors.UnknownTopicOrPartitionError, errors.UnknownTopicError),
    (kafka_errors.MessageSizeTooLargeError, errors.RecordTooLargeError),
    (kafka_errors.RecordListTooLargeError, errors.RecordTooLargeError),
    (kafka_errors.CorruptRecordError, errors.CorruptRecordError),
    (kafka_errors.OffsetOutOfRangeError, errors.OffsetOutOfRangeError),
    (kafka_errors.ProducerFencedError, errors.FencedError),
    (kafka_errors.InvalidProducerEpochError, errors.FencedError),
    (kafka_errors.RetriableError, errors.RetriableBrokerError),
)
# How kafka-python says that no bootstrap broker answered; it has no class for that.
_NO_BROKER = "Unable to bootstrap"


def translate(
    error: BaseException, context: str, *, topic: str | None = None, partition: int | None = None
) -> errors.RivvenKafkaError:
    """The package's error for one of kafka-python's.

    Args:
        error: What kafka-python raised.
        context: What was being done, for the message.
        topic: Topic concerned, if any.
        partition: Partition concerned, if any.

    Returns:
        An error to be raised `from` the original. An error of the package itself is returned as it is.
    """
    if isinstance(error, errors.RivvenKafkaError):
        return error
    detail = str(error)
    chosen = next((ours for theirs, ours in _CLASSES if isinstance(error, theirs)), errors.BrokerError)
    if isinstance(error, kafka_errors.KafkaTimeoutError) and _NO_BROKER in detail:
        # Nothing was asked yet, so no outcome is unknown.
        chosen = errors.ConnectError
    name = type(error).__name__
    message = f"{context}: {detail}" if detail.startswith(name) else f"{context}: {name}: {detail}"
    return chosen(message, code=name, topic=topic, partition=partition)
