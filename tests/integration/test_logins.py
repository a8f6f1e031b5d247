"""Every protocol and SASL mechanism against a real Kafka: all clients log in, and only with the right secret."""

import time

import pytest
from rivven_kafka import KafkaSink, KafkaSource, SourceEvent
from rivven_kafka.errors import AuthenticationError

from tests.support.login_kafka import KEY_PASSWORD, LoginKafka, unsigned_token
from tests.support.topics import create_topic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

USER, PASSWORD, WRONG = "bridge", "bridge-secret", "wrong-secret"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)


@pytest.fixture(scope="module")
def broker():
    with LoginKafka({USER: PASSWORD}) as broker:
        broker.add_scram_user(USER, PASSWORD)
        yield broker


def credentials(mechanism, right=True):
    if mechanism == "OAUTHBEARER":
        return {"oauth_token": unsigned_token(USER, 3600 if right else -30)}
    return {"sasl_username": USER, "sasl_password": PASSWORD if right else WRONG}


def clients(address, topic, security, timeout_ms=10_000):
    options = {"brokers": address, "topic": topic, "security": security, "request_timeout_ms": timeout_ms}
    return KafkaSource(**options, consumer_group=f"g-{topic}"), KafkaSink(**options)


def assert_admitted(address, topic, security):
    """Producer, consumer and admin client do their work."""
    reader, writer = clients(address, topic, security)
    assert writer.check().ok
    with writer:
        assert writer.write([SourceEvent("t", b"v", timestamp_ms=NOW)]).ok
    assert reader.check().ok
    assert topic in [stream.name for stream in reader.discover()]
    with reader.read() as events:
        assert next(events).value == b"v"
    return reader.check()


def assert_refused(address, topic, security):
    for connector in clients(address, topic, security):
        checks = {check.name: check for check in connector.check().checks}
        assert checks["connectivity"].ok
        assert checks["authentication"].status == "failed"


def assert_read_refused(address, topic, security):
    """Beside the check, a reader says so, and keeps the secret to itself."""
    reader, _ = clients(address, topic, security, 2_000)
    with pytest.raises(AuthenticationError) as caught:
        reader.read()
    assert not caught.value.retriable
    assert WRONG not in str(caught.value)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_client_logs_in(broker, topic_name, protocol, mechanism):
    name = topic_name()
    create_topic(broker.bootstrap, name, 1)
    tls = {"ssl_ca_cert": str(broker.certificate)} if protocol == "SASL_SSL" else {}
    address = broker.login if tls else broker.plain_login
    base = {"protocol": protocol, "sasl_mechanism": mechanism, **tls}
    result = assert_admitted(address, name, {**base, **credentials(mechanism)})
    [detail] = [check.detail for check in result.checks if check.name == "authentication"]
    assert mechanism in detail
    wrong = {**base, **credentials(mechanism, right=False)}
    assert_refused(address, name, wrong)
    if not tls:
        assert_read_refused(address, name, wrong)


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_client_certificate_is_shown(broker, topic_name, encrypted):
    name = topic_name()
    create_topic(broker.bootstrap, name, 1)
    base = {"protocol": "SSL", "ssl_ca_cert": str(broker.certificate)}
    key = (
        {"ssl_client_key": str(broker.encrypted_key), "ssl_key_password": KEY_PASSWORD}
        if encrypted
        else {"ssl_client_key": str(broker.private_key)}
    )
    assert_admitted(broker.mutual, name, {**base, "ssl_client_cert": str(broker.certificate), **key})
    assert_refused(broker.mutual, name, base)


def test_tls_without_a_login(broker, topic_name):
    name = topic_name()
    create_topic(broker.bootstrap, name, 1)
    assert_admitted(broker.tls, name, {"protocol": "SSL", "ssl_ca_cert": str(broker.certificate)})
    # Nobody vouches for the certificate.
    assert_refused(broker.tls, name, {"protocol": "SSL"})


def test_the_certificate_has_to_be_for_the_host(broker, topic_name):
    """It is issued for 127.0.0.1 only, and Kafka is reached as localhost."""
    name = topic_name()
    create_topic(broker.bootstrap, name, 1)
    security = {"protocol": "SSL", "ssl_ca_cert": str(broker.certificate)}
    address = broker.tls.replace("127.0.0.1", "localhost")
    assert_refused(address, name, security)
    assert_admitted(address, name, {**security, "ssl_check_hostname": False})
