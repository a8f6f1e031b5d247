"""The batch producer when Kafka does not answer."""

import threading

import pytest
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.errors import DeliveryError
from rivven_kafka.kafka import BatchProducer

from tests.support import KafkaBroker
from tests.support.connector import wait_until
from tests.support.kafka_tap import ApiKey
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration


def senders():
    """The threads of producers in this process."""
    return {thread for thread in threading.enumerate() if "network-thread" in thread.name}


def test_closing_does_not_wait_for_a_kafka_that_is_gone(topic_name):
    topic = topic_name()
    with KafkaBroker() as kafka:
        create_topic(kafka.bootstrap, topic, 1)
        others = senders()
        producer = BatchProducer({"bootstrap_servers": [kafka.bootstrap], "acks": -1})
        encoder = SinkEncoder(1)

        def send(value):
            encoder.append(block_from_rows(topic, 0, [(-1, None, value, [])]))
            producer.send(topic, encoder.take_ready(0))

        send(b"stored")
        assert producer.flush(10)
        kafka.pause()
        send(b"not answered")
        producer.close(0.2)
        assert not senders() - others, "the sender has ended"
        assert producer.in_flight == 0
        with pytest.raises(DeliveryError, match="closed"):
            producer.check()
        assert encoder.take_positions() == [(topic, 0, 1)], "the position stays before what was not stored"
        kafka.resume()


def test_closing_with_many_batches_leaves_neither_thread_nor_connection(tapped, topic_name):
    """The first batch that fails ends those that wait behind it, before the close comes to them."""
    topic = topic_name()
    create_topic(tapped.bootstrap, topic, 3)
    options = {"bootstrap_servers": [tapped.tap.address], "acks": -1, "client_id": topic}
    others = senders()
    producer = BatchProducer(options)
    encoder = SinkEncoder(3, batch_size_bytes=1)
    with tapped.tap.drop(ApiKey.Produce):
        for partition in range(3):
            rows = [(-1, None, b"%d" % number, []) for number in range(5)]
            encoder.append(block_from_rows(topic, partition, rows))
        producer.send(topic, encoder.take_ready(0))
        wait_until(lambda: tapped.tap.of_client(topic, ApiKey.Produce), 10)
        producer.close(0.2)
    assert producer.in_flight == 0
    assert not senders() - others
    mine = {exchange.connection for exchange in tapped.tap.of_client(topic)}
    connections = tapped.tap.connections()
    wait_until(lambda: all(connections[number].closed is not None for number in mine), 10)
    with pytest.raises(DeliveryError, match="closed"):
        producer.check()
