"""Records that Kafka deleted before they were read."""

import logging
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, TopicPartition
from rivven_kafka.kafka import BlockConsumer

from tests.support.topics import Row, create_topic, fill

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
