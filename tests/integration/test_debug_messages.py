"""With `-v` the log tells what the clients of Kafka do, but no secret and no content of a record."""

import subprocess
import sys

import pytest
import yaml
from kafka import KafkaProducer
from kafka.admin import ACLOperation, ResourceType

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.secured_kafka import SecuredKafka
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.integration

USER, PASSWORD = "carrier", "hunter2-secret"
CONTENT = "content-of-a-record"
LOGIN = {
    "protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": USER,
    "sasl_password": PASSWORD,
}


@pytest.fixture(scope="module")
def secured():
    """A Kafka whose topic `from` holds a record, and a user who may read it and write to the topic `to`."""
    with SecuredKafka({USER: PASSWORD}) as broker:
        for topic in ("from", "to"):
            create_topic(broker.bootstrap, topic, 1)
            broker.allow(USER, ResourceType.TOPIC, topic, ACLOperation.READ, ACLOperation.WRITE)
        broker.allow(USER, ResourceType.GROUP, "g", ACLOperation.READ)
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
        producer.send("from", CONTENT.encode())
        producer.close()
        yield broker


@pytest.fixture
def document(secured, rivven, topic_name):
    """A source and a sink that carry the record from one topic to the other, through Rivven."""
    middle = topic_name()
    options = {"security": LOGIN, "value_format": "raw"}
    source = source_file(secured.sasl, rivven.bootstrap, "from", middle, "g", **options)
    return source | sink_file(secured.sasl, rivven.bootstrap, middle, "to", f"g-{middle}", **options)


def assert_nothing_is_shown(log):
    assert "ApiVersionsResponse(" in log, "kafka-python's debug messages are missing"
    assert PASSWORD not in log
    assert CONTENT not in log
    assert "auth_bytes" not in log


def test_a_source_and_a_sink_show_no_secret(secured, document, tmp_path):
    with Connector(tmp_path, document, verbose=True) as connector:
        wait_until(lambda: end_offsets(secured.bootstrap, "to")[0] > 0, 60, connector.log_tail)
        assert connector.stop() == 0, connector.log_tail()
    assert_nothing_is_shown(connector.log())


def test_a_check_shows_no_secret(document, tmp_path):
    file = tmp_path / "connect.yaml"
    file.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "rivven_kafka.cli", "-v", "-c", str(file), "check"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_nothing_is_shown(result.stderr)
    assert PASSWORD not in result.stdout
