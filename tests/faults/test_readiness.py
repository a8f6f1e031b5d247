"""`/ready` tells the truth while a broker is away, and when it is back."""

import threading
import time
from contextlib import closing

import pytest
from rivven_kafka._native import RivvenClient

from tests.support.connector import Connector, advance, sink_file, source_file, wait_until
from tests.support.endpoint import ask
from tests.support.topics import Row, TopicWriter, create_topic, end_offsets

pytestmark = pytest.mark.faults

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
QUICK = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 500, "request_timeout_ms": 2_000}


class Running:
    """A connector with its health endpoint."""

    def __init__(self, directory, document, port):
        document["settings"] = {"health": {"enabled": True, "port": port.number}}
        document["broker"]["request_timeout_ms"] = 2_000
        self.connector = Connector(directory, document)
        self._address = port.address

    def wait(self, code, reason=""):
        def seen():
            answer = ask(self._address, "/ready")
            return answer.code == code and reason in str(answer.json["reasons"])

        wait_until(seen, 45, self.connector.log_tail)


def test_a_source_whose_kafka_is_away(own_kafka, rivven, topic_name, tmp_path, port):
    topic = topic_name()
    create_topic(own_kafka.bootstrap, topic, 2)
    document = source_file(own_kafka.bootstrap, rivven.bootstrap, topic, topic, f"g-{topic}", **QUICK)
    running = Running(tmp_path, document, port)
    with running.connector as connector:
        wait_until(lambda: "assigned" in connector.log(), 60, connector.log_tail)
        running.wait(200)
        # It has found where to read, or it would fail instead of wait.
        with TopicWriter(own_kafka.bootstrap, topic, 2) as writer:
            writer.write(0, [Row(NOW, None, b"x", [])])
            writer.write(1, [Row(NOW, None, b"x", [])])
        with closing(RivvenClient([rivven.bootstrap])) as client:
            wait_until(
                lambda: all(client.offset_bounds(topic, n)[1] == 1 for n in (0, 1)), 30, connector.log_tail
            )
        own_kafka.kill()
        running.wait(503, "the coordinator of the Kafka group does not answer")
        own_kafka.start()
        running.wait(200)


def test_a_source_whose_rivven_is_away(kafka, own_rivven, topic_name, tmp_path, port):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    document = source_file(kafka.bootstrap, own_rivven.bootstrap, topic, topic, f"g-{topic}", **QUICK)
    running = Running(tmp_path, document, port)
    with running.connector as connector, TopicWriter(kafka.bootstrap, topic, 1) as writer:
        wait_until(lambda: "assigned" in connector.log(), 60, connector.log_tail)
        running.wait(200)
        own_rivven.pause()
        writer.write(0, [Row(NOW, None, b"x", [])] * 20)
        writer.flush()
        running.wait(503, "Rivven does not acknowledge what was sent")
        own_rivven.resume()
        running.wait(200)


def test_a_sink_whose_kafka_is_away(own_kafka, rivven, topic_name, tmp_path, port):
    topic = topic_name()
    create_topic(own_kafka.bootstrap, topic, 1)
    document = sink_file(
        own_kafka.bootstrap,
        rivven.bootstrap,
        topic,
        topic,
        f"g-{topic}",
        request_timeout_ms=2_000,
        retries=100,
    )
    running = Running(tmp_path, document, port)
    ended = threading.Event()

    def add():
        with closing(RivvenClient([rivven.bootstrap])) as client:
            while not ended.wait(0.05):
                client.publish(topic, 0, [(None, b"x")])

    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(topic, 1)
    writer = threading.Thread(target=add)
    writer.start()
    try:
        with running.connector as connector:
            advance(lambda: sum(end_offsets(own_kafka.bootstrap, topic).values()), 10, connector)
            running.wait(200)
            own_kafka.pause()
            running.wait(503, "Kafka does not acknowledge what was sent")
            own_kafka.resume()
            running.wait(200)
    finally:
        ended.set()
        writer.join()
