"""`rivven-kafka verify`: every single record that is not as Kafka has it is found, and named."""

import hashlib
import json
import struct
from contextlib import closing

import pytest
import yaml
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.verify import verify_source

from tests.integration.connector_kit import QUICK, filled, through_rivven
from tests.integration.pipelines import rivven_records
from tests.integration.test_cli_commands import command
from tests.support.connector import source_file
from tests.support.topics import read_topic

pytestmark = pytest.mark.integration

COUNTS = (40, 30)
PLACE = 17


class Verified:
    """A source that has copied its topic, and a second Rivven topic to which its records are published again."""

    def __init__(self, kafka, rivven, name, counts=COUNTS, **config):
        self.kafka, self.rivven, self.origin, self.copy = kafka, rivven, name, f"{name}-copy"
        filled(kafka, name, *counts)
        self.records, _ = through_rivven(kafka, rivven, name, self.copy, sum(counts), **config)
        self.config = {**QUICK, **config}

    def publish(self, changed, topic=None):
        """Publishes the records, those of partition 0 changed, to another topic, which is verified from now on."""
        self.copy = f"{self.origin}-again" if topic is None else topic
        with closing(RivvenClient([self.rivven.bootstrap])) as client:
            client.create_topic(self.copy, len(self.records))
            for partition, records in self.records.items():
                client.publish(self.copy, partition, changed(list(records)) if partition == 0 else records)

    def document(self):
        bootstraps = self.kafka.bootstrap, self.rivven.bootstrap
        return source_file(*bootstraps, self.origin, self.copy, f"r-{self.origin}", **self.config)

    def verify(self, **options):
        config = ConnectConfig.model_validate(self.document())
        return verify_source("in", config.sources["in"], config.broker, config.settings, **options)


def corrupted(records):
    key, value = records[PLACE]
    records[PLACE] = key, value.replace(b'"n": 17', b'"n": 71')
    return records


def dropped(records):
    del records[PLACE]
    return records


def doubled(records):
    records.insert(PLACE + 1, records[PLACE])
    return records


def swapped(records):
    records[PLACE], records[PLACE + 1] = records[PLACE + 1], records[PLACE]
    return records


@pytest.mark.parametrize("value_format", ["event", "raw"])
@pytest.mark.parametrize(
    ("change", "kind", "offset"),
    [
        (corrupted, "altered", PLACE),
        (dropped, "missing", PLACE),
        (doubled, "doubled", {"event": PLACE, "raw": PLACE + 1}),
        (swapped, {"event": "out_of_order", "raw": "swapped"}, PLACE),
    ],
)
def test_a_single_record_is_found(kafka, rivven, topic_name, value_format, change, kind, offset):
    lane = Verified(kafka, rivven, topic_name(), value_format=value_format)
    report = lane.verify()
    assert report.equal
    assert [(p.start, p.end, p.records_kafka, p.records_rivven) for p in report.partitions] == [
        (0, 40, 40, 40),
        (0, 30, 30, 30),
    ]
    lane.publish(change)
    report = lane.verify()
    first, second = report.partitions
    assert not report.equal
    assert second.equal
    found = first.first_difference
    assert found.kind == (kind if isinstance(kind, str) else kind[value_format])
    assert found.offset == (offset if isinstance(offset, int) else offset[value_format])
