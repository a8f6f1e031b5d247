"""TLS to Rivven, through a proxy in front of a real rivvend: each option right and wrong, and both connectors."""

import ssl
import threading
import time
from contextlib import closing, contextmanager

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import BrokerConfig, RetrySettings, parse_connect
from rivven_kafka.errors import AuthenticationError, ConnectError, ProtocolError
from rivven_kafka.pipeline import SourcePipeline
from rivven_kafka.pipeline.entry_check import check_source_entry
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.runtime import connector as runtime
from rivven_kafka.runtime.backoff import RestartBackoff

from tests.integration.pipelines import Running
from tests.support.certificates import Certificates
from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.numbered import Arrivals, fill_kafka, kafka_values, rivven_ends, rivven_values
from tests.support.ports import ReservedPort
from tests.support.tls_terminator import TlsTerminator
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def connected(address, retries=0, **tls):
    """A client that does not try again."""
    broker = BrokerConfig(
        bootstrap_servers=address,
        connection_timeout_ms=2000,
        request_timeout_ms=2000,
        tls={"enabled": True, **tls},
    )
    arguments = client_arguments(broker, RetrySettings(max_retries=retries), "tls-test")
    with closing(RivvenClient(**arguments)) as client:
        yield client


def trusting(certificates, **options):
    return {"ca_path": str(certificates.ca.path), **options}


def as_client(certificate):
    return {"cert_path": str(certificate.path), "key_path": str(certificate.key)}


def assert_refused(error, text, address, **tls):
    with connected(address, **tls) as client, pytest.raises(error) as caught:
        client.topics()
    assert text in str(caught.value)
    assert address in str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_records_of_every_size_go_both_ways(rivven, certificates, topic_name, version):
    name = topic_name()
    sizes = [0, 1, 16_383, 16_384, 16_385, 300_000, 5_000_000]
    values = [bytes([number]) * size for number, size in enumerate(sizes)]
    with (
        TlsTerminator(rivven.port, certificates.server, highest=version) as proxy,
        connected(proxy.address, **trusting(certificates)) as client,
    ):
        client.create_topic(name, 1)
        for value in values:
            client.publish(name, 0, [(None, value)])
        found = []
        while len(found) < len(values):
            found += client.fetch(name, 0, len(found), max_messages=1).values()
        assert found == values
        assert proxy.connections == 1


def test_requests_do_not_wait_for_delayed_acknowledgements(rivven, certificates):
    with (
        TlsTerminator(rivven.port, certificates.server) as proxy,
        connected(proxy.address, **trusting(certificates)) as client,
    ):
        client.ping()
        start = time.monotonic()
        for _ in range(50):
            client.ping()
        assert time.monotonic() - start < 50 * 0.04


def test_the_certificate_has_to_be_right(rivven, certificates):
    for certificate, text in [
        (certificates.untrusted, "is of a CA that is not trusted (broker.tls.ca_path)"),
        (certificates.named, "and not for 127.0.0.1 (broker.tls.server_name)"),
        (certificates.expired, "certificate has expired"),
        (certificates.ca, "is that of a CA"),
    ]:
        with TlsTerminator(rivven.port, certificate) as proxy:
            assert_refused(AuthenticationError, text, proxy.address, **trusting(certificates))
            # Unless anybody will do.
            with connected(proxy.address, insecure=True) as client:
                client.ping()
    with TlsTerminator(rivven.port, certificates.server) as proxy:
        assert_refused(AuthenticationError, "is of a CA that is not trusted", proxy.address)


def test_another_server_takes_the_place_of_one_that_cannot_be_trusted(rivven, certificates):
    trust = trusting(certificates)
    with (
        TlsTerminator(rivven.port, certificates.expired) as bad,
        TlsTerminator(rivven.port, certificates.server) as good,
    ):
        for servers in ([bad.address, good.address], [bad.address, bad.address, good.address]):
            with connected(servers, **trust) as client:
                client.ping()
        assert_refused(AuthenticationError, "certificate has expired", bad.address, **trust)


def test_a_certificate_may_vouch_for_itself(rivven, certificates):
    lone = {"ca_path": str(certificates.lone.path)}
    with TlsTerminator(rivven.port, certificates.lone) as proxy, connected(proxy.address, **lone) as client:
        client.ping()


def test_a_server_is_asked_for_by_name(rivven, certificates):
    named = trusting(certificates, server_name="rivven.test")
    with TlsTerminator(rivven.port, certificates.named) as proxy:
        with connected(proxy.address, **named) as client:
            client.ping()
        assert proxy.names == ["rivven.test"]
        by_host = proxy.address.replace("127.0.0.1", "localhost")
        assert_refused(
            AuthenticationError, "rivven.test, and not for localhost", by_host, **trusting(certificates)
        )
        assert proxy.names[1:] == ["localhost"]
    with TlsTerminator(rivven.port, certificates.server) as proxy:
        assert_refused(AuthenticationError, "and not for rivven.test", proxy.address, **named)
        with connected(proxy.address, **trusting(certificates, server_name="127.0.0.1")) as client:
            client.ping()
        # There are no names for addresses in TLS.
        assert proxy.names[1:] == [None]


def test_the_certificates_of_the_system_are_trusted_without_others(rivven, certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca.path))
    with TlsTerminator(rivven.port, certificates.server) as proxy, connected(proxy.address) as client:
        client.ping()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_is_shown(rivven, certificates, version):
    with TlsTerminator(
        rivven.port, certificates.server, client_ca=certificates.ca.path, highest=version
    ) as proxy:
        trust = trusting(certificates)
        with connected(proxy.address, **trust, **as_client(certificates.client)) as client:
            client.ping()
        assert_refused(AuthenticationError, "cert_path and key_path are not given", proxy.address, **trust)
        stranger = as_client(certificates.unknown_client)
        assert_refused(
            AuthenticationError,
            "does not know the CA of the client certificate",
            proxy.address,
            **trust,
            **stranger,
        )


def test_one_side_speaks_tls_and_the_other_does_not(rivven, certificates):
    assert_refused(ProtocolError, "does not speak TLS", rivven.bootstrap, **trusting(certificates))
    with (
        TlsTerminator(rivven.port, certificates.server) as proxy,
        closing(RivvenClient([proxy.address], max_retries=0)) as client,
        pytest.raises(ConnectError, match=r"it expects TLS \(broker.tls.enabled\)"),
    ):
        client.topics()


def test_a_server_that_is_away_behind_the_proxy_is_told_from_one_that_refuses(certificates):
    with ReservedPort() as nobody, TlsTerminator(nobody.number, certificates.server) as proxy:
        assert_refused(ConnectError, "what is behind it is away", proxy.address, **trusting(certificates))


@pytest.fixture
def document(kafka, rivven, topic_name, certificates):
    """A function: the configurations of a source and a sink, from one Kafka topic over Rivven into another."""
    origin, middle, copy = topic_name(), topic_name(), topic_name()
    create_topic(kafka.bootstrap, copy, 2)
    options = {"session_timeout_ms": 6000, "connections": 8}

    def make(address, **tls):
        broker = {"bootstrap_servers": [address], "tls": {"enabled": True, **trusting(certificates, **tls)}}
        source = source_file(kafka.bootstrap, address, origin, middle, f"g-{origin}", **options)
        sink = sink_file(kafka.bootstrap, address, middle, copy, f"g-{middle}", value_format="event")
        return source | {"broker": broker}, sink | {"broker": broker}

    make.origin, make.middle, make.copy = origin, middle, copy
    return make


def test_records_cross_both_ways_with_certificates_on_both_sides(
    kafka, rivven, certificates, document, tmp_path
):
    count = 500
    fill_kafka(kafka.bootstrap, document.origin, 2, count)
    with TlsTerminator(rivven.port, certificates.named, client_ca=certificates.ca.path) as proxy:
        source, sink = document(proxy.address, server_name="rivven.test", **as_client(certificates.client))
        both = source | {"sinks": sink["sinks"]}
        with Connector(tmp_path, both) as connector:
            wait_until(
                lambda: sum(map(len, kafka_values(kafka.bootstrap, document.copy).values())) >= 2 * count,
                60,
                connector.log_tail,
            )
            assert connector.stop() == 0
        assert "broker.tls" not in connector.log()
    Arrivals.of(kafka_values(kafka.bootstrap, document.copy), 2, count).check(0)


def test_a_restart_of_the_proxy_loses_nothing(kafka, rivven, certificates, document):
    count = 1000
    fill_kafka(kafka.bootstrap, document.origin, 2, count)
    with TlsTerminator(rivven.port, certificates.server) as proxy:
        source, sink = document(proxy.address)
        for config in (source, sink):
            config["settings"] = {"retry": {"initial_backoff_ms": 20, "max_backoff_ms": 200}}
        with Running(source) as reading:
            for part in (1, 2):
                wait_until(
                    lambda part=part: sum(rivven_ends(rivven, document.middle, 2)) > part * count // 2,
                    30,
                    reading.describe,
                )
                proxy.stop()
                time.sleep(0.1)
                proxy.start()
            wait_until(
                lambda: reading.pipeline.delivered() >= 2 * count or reading.error, 60, reading.describe
            )
        assert reading.error is None
        Arrivals.of(rivven_values(rivven, document.middle, 2), 2, count).check(count)

        with Running(sink) as writing:
            wait_until(lambda: writing.pipeline.delivered() > count // 2, 30, writing.describe)
            proxy.stop()
            time.sleep(0.1)
            proxy.start()
            ends = sum(rivven_ends(rivven, document.middle, 2))
            wait_until(lambda: writing.pipeline.delivered() >= ends or writing.error, 60, writing.describe)
        assert writing.error is None
    Arrivals.of(kafka_values(kafka.bootstrap, document.copy), 2, count).check(2 * count)


def test_insecure_is_said_in_the_log(kafka, rivven, certificates, document, tmp_path):
    fill_kafka(kafka.bootstrap, document.origin, 1, 10)
    with TlsTerminator(rivven.port, certificates.untrusted) as proxy:
        source, _ = document(proxy.address, insecure=True)
        with Connector(tmp_path, source) as connector:
            wait_until(lambda: rivven_ends(rivven, document.middle, 1) == [10], 30, connector.log_tail)
            assert connector.stop() == 0
        assert "WARNING broker.tls.insecure: the certificate of Rivven is not checked" in connector.log()


def test_a_file_that_is_half_written_is_read_again(kafka, rivven, certificates, document, tmp_path):
    """By a source that had worked before."""
    fill_kafka(kafka.bootstrap, document.origin, 1, 10)
    ca, whole = tmp_path / "ca.pem", certificates.ca.path.read_bytes()
    ca.write_bytes(whole)
    stop = threading.Event()
    with TlsTerminator(rivven.port, certificates.server) as proxy:
        config = parse_connect(document(proxy.address, ca_path=str(ca))[0])
        pipeline = SourcePipeline("in", config.sources["in"], config.broker, config.settings)
        source = runtime.Connector(pipeline, 5_000, RestartBackoff(first_s=0.2, longest_s=0.5))
        source.start(stop)
        wait_until(lambda: rivven_ends(rivven, document.middle, 1) == [10], 30)
        ca.write_bytes(whole[: len(whole) // 2])
        assert source.restart()
        wait_until(lambda: source.status().restarts > 1, 30)
        assert f"broker.tls.ca_path: got '{ca}'" in source.status().last_error
        assert "expected a PEM file" in source.status().last_error
        ca.write_bytes(whole)
        wait_until(lambda: source.status().state is runtime.State.RUNNING, 30)
        stop.set()
        source.join(20)
    assert (source.alive, source.error) == (False, None)


def test_check_names_what_is_wrong_with_tls(rivven, certificates, document, kafka):
    create_topic(kafka.bootstrap, document.origin, 1)

    def checked(address, **tls):
        config = parse_connect(document(address, **tls)[0])
        result = check_source_entry("in", config.sources["in"], config.broker, config.settings)
        return {check.name: check for check in result.checks}["rivven"]

    with TlsTerminator(rivven.port, certificates.server) as proxy:
        assert checked(proxy.address).ok
        assert (
            "another-host (broker.tls.server_name)"
            in checked(proxy.address, server_name="another-host").detail
        )
        missing = checked(proxy.address, ca_path="/nowhere.pem")
        assert missing.detail == (
            "broker.tls.ca_path: got '/nowhere.pem': No such file or directory: expected a PEM file"
        )
        assert not missing.ok
