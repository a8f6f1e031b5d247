"""Options that cannot work: a `ConfigError` that names them, before anything is connected."""

import threading
from pathlib import Path

import pytest
from rivven_kafka import KafkaSink, KafkaSource
from rivven_kafka.config import KafkaSinkConfig
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka import BatchProducer
from rivven_kafka.sink import producer_options

from tests.support.secured_kafka import make_certificate, openssl

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


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two certificates with their keys, and the first key once more, encrypted."""
    directory = tmp_path_factory.mktemp("pairs")
    found = {
        name: str(directory / f"{name}.pem") for name in ("cert", "key", "other", "other-key", "encrypted")
    }
    for certificate, key in (("cert", "key"), ("other", "other-key")):
        make_certificate(Path(found[certificate]), Path(found[key]))
    encrypt = ("rsa", "-aes256", "-passout", "pass:key-secret", "-in", found["key"])
    openssl(*encrypt, "-out", found["encrypted"])
    return found


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("key", "password", "problem"),
    [
        (
            "other-key",
            None,
            r"security\.ssl_client_key: got '.*': expected the private key of security\.ssl_client_",
        ),
        (
            "encrypted",
            None,
            r"security\.ssl_key_password: missing: security\.ssl_client_key '.*' is encrypted",
        ),
        (
            "encrypted",
            "wrong-secret",
            r"security\.ssl_key_password: got \*\*\*: expected the password of security",
        ),
        ("cert", None, r"security\.ssl_client_key: got '.*': .*: expected a PEM file"),
    ],
)
def test_keys_and_their_passwords(pairs, call, key, password, problem):
    security = {"protocol": "SSL", "ssl_client_cert": pairs["cert"], "ssl_client_key": pairs[key]}
    if password is not None:
        security["ssl_key_password"] = password
    with pytest.raises(ConfigError, match=f"^{problem}") as caught:
        calls(security=security)[call]()
    assert "secret" not in str(caught.value)


def test_a_key_without_a_password_needs_none(pairs):
    options = {"protocol": "SSL", "ssl_client_cert": pairs["cert"], "ssl_client_key": pairs["key"]}
    for more in ({}, {"ssl_key_password": "of no use"}):
        first = KafkaSource(brokers=NOWHERE, topic="t", security={**options, **more}).check().checks[0]
        assert (first.name, first.status) == ("config", "ok")


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
