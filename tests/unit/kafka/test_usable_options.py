"""Options that cannot work: a `ConfigError` that names them, before anything is connected."""

import threading

import pytest
from rivven_kafka import KafkaSink, KafkaSource
from rivven_kafka.config import KafkaSinkConfig
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka import BatchProducer
from rivven_kafka.sink import producer_options

NOWHERE = "127.0.0.1:1"


def calls(**options):
    """Everything that connects to Kafka."""
    options = {"brokers": NOWHERE, "topic": "t", "request_timeout_ms": 1000, **options}
    source = KafkaSource(**options)
    producer = producer_options(KafkaSinkConfig(**options), "name")
    return {
        "read": source.read,
        "discover": source.discover,
        "write": lambda: KafkaSink(**options).write([]),
        "produce": lambda: BatchProducer(producer),
    }


CALLS = list(calls())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificate_files(tmp_path, call, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    security = {"protocol": "SSL", "ssl_ca_cert": str(path)}
    with pytest.raises(ConfigError, match=r"^security\.ssl_ca_cert: got '/.*expected a PEM file$") as caught:
        calls(security=security)[call]()
    assert repr(str(path)) in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_what_kafka_python_refuses(call):
    threads = threading.active_count()
    with pytest.raises(ConfigError, match=r"^kafka_options\.client_dns_lookup: .*got 'foo'"):
        calls(kafka_options={"client_dns_lookup": "foo"})[call]()
    assert threading.active_count() == threads


def test_options_of_a_consumer_that_do_not_go_together():
    source = KafkaSource(brokers=NOWHERE, topic="t", kafka_options={"fetch_max_wait_ms": 40_000})
    with pytest.raises(ConfigError, match=r"^kafka_options\..*fetch_max_wait_ms \(40000\)"):
        source.read()


def test_a_check_finds_them_without_a_connection():
    source = KafkaSource(brokers=NOWHERE, topic="t", kafka_options={"client_dns_lookup": "foo"})
    first = source.check().checks[0]
    assert (first.name, first.status) == ("config", "failed")
    assert first.detail.startswith("kafka_options.client_dns_lookup: ")
