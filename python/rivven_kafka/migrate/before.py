"""What a consumer group has committed before a migration, which is not copied again."""

from __future__ import annotations

from contextlib import closing

from rivven_kafka._native import RivvenClient
from rivven_kafka.config import BrokerConfig, Settings, SourceEntry
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.migrate.report import Report
from rivven_kafka.rivven.options import client_arguments


def note_before(report: Report, entry: SourceEntry, broker: BrokerConfig, settings: Settings) -> None:
    """Notes in a new report what the group has committed, and makes sure that it may be in Rivven.

    Args:
        report: A snapshot that was just taken.
        entry: The section of its source.
        broker: How to reach Rivven, which is asked only where something was committed.
        settings: What holds for all connectors.

    Raises:
        RivvenKafkaError: It is not, as the Rivven topic holds nothing; or Rivven cannot be reached.
    """
    before = [topic for topic in report.topics if topic.before]
    if not before:
        return
    arguments = client_arguments(broker, settings.retry, entry.config.client_id or report.source)
    with closing(RivvenClient(**arguments)) as client:
        for topic in before:
            if not _holds_records(client, topic.destination):
                raise RivvenKafkaError(
                    f"Kafka group {report.group!r} of source {report.source!r} has committed "
                    f"{topic.before} offsets of topic {topic.topic!r} before, and Rivven topic "
                    f"{topic.destination!r} holds nothing: expected another consumer group, which has "
                    f"committed none"
                )
    count = sum(topic.before for topic in before)
    report.notes.append(f"{count} offsets were committed before, and are not copied")


def _holds_records(client: RivvenClient, topic: str) -> bool:
    bounds = (client.offset_bounds(topic, number) for number in range(client.partition_count(topic) or 0))
    return any(first < end for first, end in bounds)
