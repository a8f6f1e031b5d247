"""A report to try things with."""

from rivven_kafka.migrate.report import PartitionCopy, Report, TopicCopy


def report(**changes):
    """A migration of two topics with two partitions each, of which nothing is copied yet."""
    topics = [
        TopicCopy(
            name,
            f"id-{name}",
            f"mirror.{name}",
            3,
            {"cleanup.policy": "compact"},
            [PartitionCopy(number, 10, 110, 10) for number in range(2)],
        )
        for name in ("orders", "pay")
    ]
    values = {
        "source": "in",
        "kafka_cluster": "cluster",
        "kafka": ["kafka1:9092"],
        "rivven": ["rivven1:9092"],
        "group": "g",
        "options": {"value_format": "event", "isolation_level": "read_committed", "partitioning": "preserve"},
        "snapshot": "2026-01-31T12:00:00.000Z",
        "topics": topics,
    }
    return Report(**{**values, **changes})
