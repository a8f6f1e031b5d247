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
    (kafka_errors.FencedInstanceIdError, errors.FencedError),
    (kafka_errors.RetriableError, errors.RetriableBrokerError),
)
_MOST_DETAIL = 1_000
"""Characters of an error that are told: some of it may be a broker's words, which may be many."""

SAME_INSTANCE = "another process has the same group_instance_id"
"""Why Kafka has put a static member out."""

# How kafka-python says that no bootstrap broker answered; it has no class for that.
_NO_BROKER = "Unable to bootstrap"


def _needed(error: BaseException, right: str, topic: str | None, transactional_id: str | None) -> str | None:
    """The right whose lack an error is about, with its resource; None if it is about none."""
    told = error.args[0] if error.args else None
    names = sorted(told) if isinstance(told, set | frozenset | list | tuple) else [told]
    known = [name for name in names if isinstance(name, str)]
    match error:
        case kafka_errors.TopicAuthorizationFailedError():
            found = known or ([] if topic is None else [topic])
            return ", ".join(f"{right} on topic {name!r}" for name in found) or f"{right} on the topic"
        case kafka_errors.GroupAuthorizationFailedError():
            return ", ".join(f"READ on group {name!r}" for name in known) or "READ on the group"
        case kafka_errors.TransactionalIdAuthorizationFailedError():
            return f"WRITE on transactional id {transactional_id!r}"
        case kafka_errors.ClusterAuthorizationFailedError():
            return "IDEMPOTENT_WRITE on the cluster"
    return None


def plain(text: str) -> str:
    """The beginning of a text, in one line."""
    if len(text) > _MOST_DETAIL:
        text = f"{text[:_MOST_DETAIL]}... ({len(text)} characters)"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def translate(
    error: BaseException,
    context: str,
    *,
    topic: str | None = None,
    partition: int | None = None,
    right: str = "READ",
    user: str | None = None,
    transactional_id: str | None = None,
) -> errors.RivvenKafkaError:
    """The package's error for one of kafka-python's.

    Args:
        error: What kafka-python raised.
        context: What was being done, for the message.
        topic: Topic concerned, if any.
        partition: Partition concerned, if any.
        right: What the client has to be allowed to do with its topics, in Kafka's words.
        user: Who it has logged in as; None if that is not known.
        transactional_id: Its transactional id, if any.

    Returns:
        An error to be raised `from` the original. An error of the package itself is returned as it is.
    """
    if isinstance(error, errors.RivvenKafkaError):
        return error
    detail = plain(str(error))
    chosen = next((ours for theirs, ours in _CLASSES if isinstance(error, theirs)), errors.BrokerError)
    if isinstance(error, kafka_errors.KafkaTimeoutError) and _NO_BROKER in detail:
        # Nothing was asked yet, so no outcome is unknown.
        chosen = errors.ConnectError
    name = type(error).__name__
    message = f"{context}: {detail}" if detail.startswith(name) else f"{context}: {name}: {detail}"
    if chosen is errors.AuthenticationError:
        # kafka-python repeats the name of the class.
        message = f"{context}: does not accept the credentials: {detail.rpartition('Error: ')[2]}"
    if isinstance(error, kafka_errors.FencedInstanceIdError):
        message += f"; {SAME_INSTANCE}"
    needed = _needed(error, right, topic, transactional_id)
    if needed is not None:
        message += f"; {'the user' if user is None else f'user {user!r}'} needs {needed}"
    return chosen(message, code=name, topic=topic, partition=partition)
