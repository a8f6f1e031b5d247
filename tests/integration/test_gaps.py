"""Records that Kafka deleted before they were read."""

import logging
import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, TopicPartition
from rivven_kafka.kafka import BlockConsumer

from tests.support.connector import Connector, source_file, wait_until
from tests.support.numbered import fill_kafka, numbered, place_of, rivven_ends, rivven_values
from tests.support.topics import Row, TopicWriter, committed_offsets, create_topic, fill

pytestmark = pytest.mark.integration


def test_a_position_that_is_gone_is_reported(kafka, topic_name, caplog):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    fill(kafka.bootstrap, topic, {0: [Row(-1, None, b"%d" % number, []) for number in range(100)]})
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 0): 40})
    options = {"bootstrap_servers": [kafka.bootstrap], "group_id": None, "auto_offset_reset": "earliest"}
    with closing(BlockConsumer(options)) as consumer, caplog.at_level(logging.WARNING, "rivven_kafka"):
        consumer.assign([(topic, 0, 10)])
        blocks: list = []
        while not blocks:
            blocks = consumer.poll(1000, 1000)
    assert blocks[0].first_offset == 40
    [record] = [record for record in caplog.records if "does not hold the position" in record.message]
    assert (record.topic, record.partition, record.offset) == (topic, 0, 10)


@pytest.mark.parametrize(
    "more",
    [
        {"auto_commit_interval_ms": 600_000},
        {"delivery_guarantee": "exactly_once"},
        {"delivery_guarantee": "exactly_once", "value_format": "raw"},
    ],
    ids=["at least once", "exactly once", "exactly once, raw"],
)
def test_the_end_at_which_reading_goes_on_is_committed_at_once(kafka, rivven, topic_name, tmp_path, more):
    """`latest` after retention: what comes while the source is away again is not behind a later end."""
    topic, group = topic_name(), f"g-{time.time_ns()}"
    fill_kafka(kafka.bootstrap, topic, 1, 5)
    config = source_file(
        kafka.bootstrap, rivven.bootstrap, topic, topic, group, start_offset="latest", **more
    )
    connector = Connector(tmp_path, config)

    def write(first, after):
        with TopicWriter(kafka.bootstrap, topic, 1) as writer:
            writer.write(0, numbered(0, range(first, after)))

    def committed():
        return committed_offsets(kafka.bootstrap, group, topic).get(0)

    with connector:
        wait_until(lambda: committed() == 5, 30, connector.log_tail)
        write(5, 10)
        wait_until(lambda: rivven_ends(rivven, topic, 1) == [5], 30, connector.log_tail)
        assert connector.stop() == 0
    assert committed() == 10
    write(10, 30)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 0): 20})
    with connector:
        wait_until(lambda: committed() == 30, 30, connector.log_tail)
        assert "Kafka does not hold the position any more" in connector.log()
        assert connector.stop() == 0
    write(30, 40)
    with connector:
        wait_until(lambda: rivven_ends(rivven, topic, 1) == [15], 30, connector.log_tail)
        assert connector.stop() == 0
    arrived = [place_of(value)[1] for value in rivven_values(rivven, topic, 1)[0]]
    assert arrived == [*range(5, 10), *range(30, 40)]
