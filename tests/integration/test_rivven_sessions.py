"""Sessions at Rivven: SCRAM-SHA-256 against the server of rivvend's own library, which has a user here."""

import threading
import time
from contextlib import closing, contextmanager

import pytest
from rivven_kafka._native import Fetcher, RivvenClient
from rivven_kafka.config import BrokerConfig, RetrySettings
from rivven_kafka.errors import AuthenticationError
from rivven_kafka.rivven.options import client_arguments

from tests.integration.pipelines import Running
from tests.support.certificates import Certificates
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, kafka_values
from tests.support.secured_rivven import SecuredRivven
from tests.support.tls_terminator import TlsTerminator
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

# Both have what SCRAM has to escape, or would stumble over.
USER, PASSWORD = "bridge,a=b", "Pass,word=1 ü"
WRONG = "Wrong,word=1 ü"
SESSION_S = 2
AUTH = {"username": USER, "password": PASSWORD}


@pytest.fixture(scope="module")
def secured():
    """A Rivven with one user, whose logins are good for an hour."""
    with SecuredRivven(USER, PASSWORD) as broker:
        yield broker


@pytest.fixture(scope="module")
def hasty():
    """A Rivven with one user, whose logins are good for two seconds."""
    with SecuredRivven(USER, PASSWORD, session_s=SESSION_S) as broker:
        yield broker


def arguments(address, auth=AUTH, **tls):
    broker = BrokerConfig(bootstrap_servers=address, request_timeout_ms=5000, auth=auth, tls=tls)
    return client_arguments(broker, RetrySettings(max_retries=0), "login-test")


@contextmanager
def connected(address, auth=AUTH):
    with closing(RivvenClient(**arguments(address, auth))) as client:
        yield client


def test_only_the_right_password_opens(secured, topic_name):
    name = topic_name()
    with connected(secured.bootstrap) as client:
        assert client.create_topic(name, 1)
        client.publish(name, 0, [(None, b"value")])
        assert client.fetch(name, 0, 0).values() == [b"value"]
    for auth in ({**AUTH, "password": WRONG}, {**AUTH, "username": "nobody"}):
        with connected(secured.bootstrap, auth) as client, pytest.raises(AuthenticationError) as caught:
            client.topics()
        text = str(caught.value)
        assert f"{secured.bootstrap}: the login of '{auth['username']}' failed: the server refuses it" in text
        assert auth["password"] not in text
        assert not caught.value.retriable


def test_many_connections_work_the_password_out_once(secured, topic_name):
    name, count = topic_name(), 40
    with connected(secured.bootstrap) as client:
        client.create_topic(name, count)
        for partition in range(count):
            client.publish(name, partition, [(None, b"v")])
    start = time.process_time()
    with closing(Fetcher(**arguments(secured.bootstrap), connections=count)) as fetcher:
        fetcher.assign([(name, partition, 0) for partition in range(count)])
        found = 0
        while found < count:
            found += sum(map(len, fetcher.poll(5000)))
    # One costs about 0.3 s.
    assert time.process_time() - start < count * 0.3 / 2


def test_a_session_that_ends_is_renewed(hasty, topic_name):
    name = topic_name()
    with connected(hasty.bootstrap) as client:
        client.create_topic(name, 1)
        published = 0
        end = time.monotonic() + 2 * SESSION_S + 1
        while time.monotonic() < end:
            assert client.publish(name, 0, [(None, b"busy")]) == published
            published += 1
        time.sleep(1.5 * SESSION_S)
        assert client.publish(name, 0, [(None, b"after a rest")]) == published


def test_records_cross_both_ways_while_sessions_end(kafka, hasty, topic_name):
    origin, middle, copy = topic_name(), topic_name(), topic_name()
    partitions, count = 2, 2500
    fill_kafka(kafka.bootstrap, origin, partitions, count)
    create_topic(kafka.bootstrap, copy, partitions)
    broker = {"bootstrap_servers": [hasty.bootstrap], "auth": AUTH}
    options = {"session_timeout_ms": 6000, "connections": 4}
    settings = {"topic": {"require_topic_exists": False}}
    source = source_file(kafka.bootstrap, "", origin, middle, f"g-{origin}", **options) | {"broker": broker}
    sink = sink_file(kafka.bootstrap, "", middle, copy, f"g-{middle}", value_format="event")
    sink |= {"broker": broker, "settings": settings}
    with Running(source) as reading, Running(sink) as writing:
        both = (reading, writing)
        wait_until(
            lambda: (
                all(each.pipeline.delivered() >= partitions * count for each in both)
                or any(each.error for each in both)
            ),
            90,
            lambda: f"{reading.describe()}; {writing.describe()}",
        )
    assert reading.error is writing.error is None
    Arrivals.of(kafka_values(kafka.bootstrap, copy), partitions, count).check(0)


def test_a_login_inside_tls(secured, tmp_path):
    certificates = Certificates(tmp_path)
    with TlsTerminator(secured.port, certificates.server) as proxy:
        tls = {"enabled": True, "ca_path": str(certificates.ca.path)}
        with closing(RivvenClient(**arguments(proxy.address, **tls))) as client:
            client.topics()


def test_a_stop_ends_a_login_that_is_not_answered(secured):
    secured.pause()
    try:
        client = RivvenClient(**arguments(secured.bootstrap))
        failed = []

        def ask():
            try:
                client.topics()
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.3)
        start = time.monotonic()
        client.close()
        thread.join(5)
        assert failed
        assert time.monotonic() - start < 1
    finally:
        secured.resume()
