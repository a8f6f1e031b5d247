"""Logins at a rivvend as it comes: it wants one and knows no users, or it knows no logins."""

from contextlib import closing, contextmanager

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import BrokerConfig, RetrySettings, parse_connect
from rivven_kafka.errors import AuthenticationError
from rivven_kafka.pipeline.entry_check import check_source_entry
from rivven_kafka.rivven.options import client_arguments

from tests.support import RivvenBroker
from tests.support.certificates import Certificates
from tests.support.connector import Connector, source_file, wait_until
from tests.support.tls_terminator import TlsTerminator
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

# What SCRAM has to escape.
AUTH = {"username": "bridge,a=b", "password": "very-secret"}


@pytest.fixture(scope="module")
def closed():
    """A rivvend that wants a login."""
    with RivvenBroker(logins=True) as broker:
        yield broker


@contextmanager
def connected(address, auth=AUTH, **tls):
    broker = BrokerConfig(bootstrap_servers=address, request_timeout_ms=5000, auth=auth, tls=tls)
    arguments = client_arguments(broker, RetrySettings(max_retries=0), "login-test")
    with closing(RivvenClient(**arguments)) as client:
        yield client


def test_an_unknown_user_is_refused_in_the_end(closed, tmp_path):
    """Not at the beginning: the server challenges whoever asks, so as to not tell who is known."""
    certificates = Certificates(tmp_path)
    with TlsTerminator(closed.port, certificates.server) as proxy:
        for address, tls in [
            (closed.bootstrap, {}),
            (proxy.address, {"enabled": True, "ca_path": str(certificates.ca.path)}),
        ]:
            with connected(address, **tls) as client, pytest.raises(AuthenticationError) as caught:
                client.topics()
            assert str(caught.value) == (
                f"{address}: the login of 'bridge,a=b' failed: the server refuses it: Authentication failed"
            )
            assert not caught.value.retriable


def test_without_a_login_the_option_is_named(closed):
    with (
        connected(closed.bootstrap, None) as client,
        pytest.raises(AuthenticationError, match=r"AUTHENTICATION_REQUIRED.*\(broker.auth is not given\)"),
    ):
        client.topics()


def test_a_server_without_logins_is_told_from_one_that_refuses(rivven):
    with (
        connected(rivven.bootstrap) as client,
        pytest.raises(AuthenticationError, match=r"the server has no logins: expected no broker.auth"),
    ):
        client.topics()


def test_check_and_log_name_the_login_and_not_the_password(kafka, closed, topic_name, tmp_path):
    origin = topic_name()
    create_topic(kafka.bootstrap, origin, 1)
    document = source_file(kafka.bootstrap, closed.bootstrap, origin, topic_name(), "g")
    document["broker"]["auth"] = AUTH
    config = parse_connect(document)
    result = check_source_entry("in", config.sources["in"], config.broker, config.settings)
    [check] = [check for check in result.checks if check.name == "rivven"]
    assert "the server refuses it" in check.detail
    with Connector(tmp_path, document, verbose=True) as connector:
        wait_until(lambda: "the server refuses it" in connector.log(), 30, connector.log_tail)
        connector.stop()
    assert AUTH["password"] not in connector.log() + check.detail
