"""Where a time lies in Kafka partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.protocol.consumer import OffsetSpec

from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate


def offsets_for_times(
    options: Mapping[str, Any], times: Iterable[tuple[str, int, int]], isolation_level: str
) -> dict[tuple[str, int, int], int]:
    """The offset of the first record whose timestamp is not before a time; the end where there is none.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        times: Topics, partitions and times (ms since 1970).
        isolation_level: `read_committed` or `read_uncommitted`.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    found = {}
    try:
        with closing(connected(KafkaAdminClient, options)) as client:
            for topic, partition, time_ms in times:
                tp = TopicPartition(topic, partition)
                offset = client.list_partition_offsets({tp: time_ms}, isolation_level)[tp].offset
                if offset < 0:
                    offset = client.list_partition_offsets({tp: OffsetSpec.LATEST}, isolation_level)[
                        tp
                    ].offset
                found[topic, partition, time_ms] = offset
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot look up times in Kafka") from error
    return found
