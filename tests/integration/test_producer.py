"""The batch producer when Kafka does not answer."""

import threading

import pytest
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.errors import DeliveryError
from rivven_kafka.kafka import BatchProducer

from tests.support import KafkaBroker
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration


def test_closing_does_not_wait_for_a_kafka_that_is_gone(topic_name):
    topic = topic_name()
    with KafkaBroker() as kafka:
        create_topic(kafka.bootstrap, topic, 1)
        producer = BatchProducer({"bootstrap_servers": [kafka.bootstrap], "acks": -1})
        encoder = SinkEncoder(1)

        def send(value):
            encoder.append(block_from_rows(topic, 0, [(-1, None, value, [])]))
            for batch in encoder.take_ready(0):
                producer.send(topic, batch.partition, batch)

        send(b"stored")
        assert producer.flush(10)
        kafka.pause()
        send(b"not answered")
        producer.close(0.2)
        names = [thread.name for thread in threading.enumerate() if "network-thread" in thread.name]
        assert not names, "the sender has ended"
        assert producer.in_flight == 0
        with pytest.raises(DeliveryError, match="closed"):
            producer.check()
        assert encoder.take_positions() == [(topic, 0, 1)], "the position stays before what was not stored"
        kafka.resume()
