"""What the tests of offsets share: a source that has copied, and what lies where by plain reading."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from rivven_kafka._native import RivvenClient
from rivven_kafka.cli.main import main
from rivven_kafka.config import ConnectConfig
from rivven_kafka.offsets import Translation, migrate_groups, translate_offsets

from tests.integration.connector_kit import QUICK
from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import source_file, wait_until


class Copy:
    """A Kafka topic and the Rivven topic that a source has filled from it."""

    def __init__(self, kafka: str, rivven: str, origin: str, **config: Any) -> None:
        self.kafka, self.rivven, self.origin = kafka, rivven, origin
        self.topic, self.group = f"{origin}-copy", f"s-{origin}"
        self.document = source_file(kafka, rivven, origin, self.topic, self.group, **{**QUICK, **config})

    def run(self, count: int) -> None:
        """Runs the source until it has delivered so many records and committed all that Kafka has."""
        with Running(self.document) as running:
            wait_until(lambda: running.pipeline.delivered() >= count or running.error, 30, running.describe)
        assert running.error is None

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the functions want to know about the source."""
        config = ConnectConfig.model_validate(self.document)
        return "in", config.sources["in"], config.broker, config.settings

    def translate(self, *places: str, **options: Any) -> list[Translation]:
        """Translates places."""
        return translate_offsets(*self.arguments, places, **options)

    def migrate(self, *groups: str, **options: Any) -> list[tuple[Any, ...]]:
        """Migrates groups; group, Rivven partition, position in Rivven, new one, what became of it."""
        report = migrate_groups(*self.arguments, groups or None, **options)
        return [
            (at.group, at.rivven_partition, at.now, at.offset, str(at.status), str(at.move))
            for at in report.positions
        ]

    def copied(self) -> dict[int, list[tuple[str, int, int] | None]]:
        """Kafka topic, partition and offset of each record in Rivven, by partition; None for foreign ones."""
        return {
            partition: [_position(value) for _, value in records]
            for partition, records in rivven_records(self.rivven, self.topic).items()
        }

    def in_kafka(self, partition: int, isolation_level: str = "read_uncommitted") -> list[int]:
        """The offsets of the records that Kafka has, as kafka-python reads them."""
        options = {"bootstrap_servers": self.kafka, "enable_auto_commit": False, "metrics_enabled": False}
        with closing(KafkaConsumer(**options, isolation_level=isolation_level)) as consumer:
            tp = TopicPartition(self.origin, partition)
            consumer.assign([tp])
            consumer.seek_to_beginning(tp)
            end, found = consumer.end_offsets([tp])[tp], []
            while consumer.position(tp) < end:
                for records in consumer.poll(timeout_ms=500).values():
                    found += [record.offset for record in records]
            return found

    def commit(self, group: str, offsets: dict[int, int]) -> None:
        """Commits offsets of a Kafka group without members."""
        with closing(KafkaAdminClient(bootstrap_servers=self.kafka)) as admin:
            wanted = {
                TopicPartition(self.origin, partition): OffsetAndMetadata(offset, "", -1)
                for partition, offset in offsets.items()
            }
            admin.alter_group_offsets(group, wanted)

    def in_rivven(self, group: str, partition: int) -> int | None:
        """What a group has committed in Rivven."""
        with closing(RivvenClient([self.rivven])) as client:
            return client.committed_offset(group, self.topic, partition)

    def publish(self, partition: int, values: list[bytes]) -> None:
        """Adds records to the Rivven topic, beside the source."""
        with closing(RivvenClient([self.rivven])) as client:
            client.publish(self.topic, partition, [(None, value) for value in values])


def in_process(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the command without a process; returns exit code, standard output and error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        loggers = [logging.getLogger(name) for name in ("", "kafka", "botocore")]
        before = [(logger.handlers[:], logger.level) for logger in loggers]
        try:
            code = main([*map(str, arguments)])
        finally:
            for logger, (handlers, level) in zip(loggers, before, strict=True):
                logger.handlers[:] = handlers
                logger.setLevel(level)
        return code, *capsys.readouterr()

    return command


def _position(value: bytes) -> tuple[str, int, int] | None:
    try:
        topic, partition, offset = json.loads(value)["metadata"]["position"].split(":")
    except (KeyError, TypeError, ValueError):
        return None
    return topic, int(partition), int(offset)
