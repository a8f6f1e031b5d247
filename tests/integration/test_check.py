"""`check` against a Kafka that knows users: every problem is found, and named so that it can be mended."""

import re
import socket
import threading
from contextlib import closing

import pytest
from kafka.admin import ACLOperation, ResourceType
from rivven_kafka import CheckStatus, KafkaSink, KafkaSource, SourceEvent
from rivven_kafka.checks import run_checks
from rivven_kafka.errors import AuthenticationError
from rivven_kafka.kafka import connection_options
from rivven_kafka.kafka.admin import Admin
from rivven_kafka.kafka.cluster_check import ClusterCheck, TopicSelection

from tests.support.connector import wait_until
from tests.support.secured_kafka import SecuredKafka
from tests.support.socks5 import Socks5
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

READER = ("reader", "reader-secret")
WRITER = ("writer", "writer-secret")
TIMEOUT_MS = 10_000
SHORT_MS = 3000
ALL = ["config", "connectivity", "authentication", "topic", "authorization"]


@pytest.fixture(scope="module")
def secured():
    """A Kafka with the topic `orders`, which `reader` may read in group `copy`, and `writer` may write."""
    with SecuredKafka(dict([READER, WRITER])) as broker:
        create_topic(broker.bootstrap, "orders", 3)
        broker.allow("reader", ResourceType.TOPIC, "orders", ACLOperation.READ)
        broker.allow("reader", ResourceType.GROUP, "copy", ACLOperation.READ)
        broker.allow("writer", ResourceType.TOPIC, "orders", ACLOperation.WRITE)
        broker.allow("writer", ResourceType.TRANSACTIONAL_ID, "mine", ACLOperation.WRITE)
        yield broker


@pytest.fixture
def silent():
    """The address of a listener that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def full():
    """The address of a listener whose queue is full: the kernel answers no further connection."""
    with closing(socket.socket()) as server, closing(socket.socket()) as guest:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        guest.connect(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


def login(user, password):
    return {
        "protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": user,
        "sasl_password": password,
    }


def source(brokers, credentials=None, **options):
    options = {"topic": "orders", "consumer_group": "copy", "request_timeout_ms": TIMEOUT_MS, **options}
    security = {} if credentials is None else {"security": login(*credentials)}
    return KafkaSource(brokers=brokers, **security, **options)


def sink(brokers, credentials=None, **options):
    options = {"topic": "orders", "request_timeout_ms": TIMEOUT_MS, **options}
    security = {} if credentials is None else {"security": login(*credentials)}
    return KafkaSink(brokers=brokers, **security, **options)


def checked(connector):
    """The checks of a connector by name."""
    threads = threading.active_count()
    result = connector.check()
    # Attempts to connect run out on their own.
    wait_until(lambda: threading.active_count() <= threads, 10)
    assert [check.name for check in result.checks] == ALL
    assert result.ok == all(check.status != "failed" for check in result.checks)
    assert all(check.duration_ms >= 0 and check.detail for check in result.checks)
    return {check.name: check for check in result.checks}


def statuses(checks):
    return [str(checks[name].status) for name in ALL]


def test_everything_is_fine(secured):
    checks = checked(source(secured.sasl, READER))
    assert all(check.ok for check in checks.values())
    assert all(check.duration_ms > 0 for check in checks.values())
    assert secured.sasl in checks["connectivity"].detail
    assert "logged in as 'reader' with PLAIN; Kafka 4.1" in checks["authentication"].detail
    assert checks["topic"].detail == "topic 'orders' has 3 partitions"
    assert checks["authorization"].detail == "allowed: READ, DESCRIBE on topic 'orders'; READ on group 'copy'"
    assert statuses(checked(sink(secured.sasl, WRITER))) == ["ok"] * 5


def test_the_rights_that_a_check_asks_for_are_those_that_the_work_needs(secured):
    # WRITE on the topic is all that an idempotent producer needs.
    writer = sink(secured.sasl, WRITER, idempotent=True, include_headers=False)
    assert writer.check().ok
    with writer:
        assert writer.write([SourceEvent("orders", b"v")]).ok
    reader = source(secured.sasl, READER)
    assert reader.check().ok
    with reader.read() as events:
        assert next(events).value == b"v"


def test_a_kafka_without_login_says_so(secured):
    checks = checked(source(secured.bootstrap))
    assert statuses(checks) == ["ok"] * 5
    assert "no login is configured (protocol PLAINTEXT)" in checks["authentication"].detail


@pytest.mark.parametrize("credentials", [("reader", "wrong-secret"), ("nobody", "reader-secret")])
def test_a_wrong_password_is_not_taken_for_a_broker_that_is_away(secured, credentials):
    reader = source(secured.sasl, credentials, request_timeout_ms=SHORT_MS)
    checks = checked(reader)
    assert statuses(checks) == ["ok", "ok", "failed", "skipped", "skipped"]
    detail = checks["authentication"].detail
    assert detail.startswith(f"{secured.sasl}: does not accept the credentials: ")
    assert "Invalid username or password" in detail
    assert not any("secret" in check.detail for check in checks.values())
    assert {checks[name].detail for name in ("topic", "authorization")} == {
        "not tried, because authentication failed"
    }
    for call in (reader.discover, reader.read):
        with pytest.raises(AuthenticationError, match="Invalid username or password") as caught:
            call()
        assert not caught.value.retriable


@pytest.mark.parametrize("option", ["ssl_ca_cert", "ssl_client_cert", "ssl_client_key"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificate_files_are_read_before_anything_else(secured, tmp_path, option, content):
    good = secured.certificate
    files = {"ssl_ca_cert": good, "ssl_client_cert": good, "ssl_client_key": secured.private_key}
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_text(content)
    files[option] = bad
    security = {"protocol": "SSL"} | {name: str(path) for name, path in files.items()}
    checks = checked(source(secured.tls, security=security))
    # What can be tried without the files still is.
    assert statuses(checks) == ["failed", "ok", "skipped", "skipped", "skipped"]
    assert f"{str(bad)!r}" in checks["config"].detail
    assert "expected a PEM file" in checks["config"].detail


def test_good_certificates_pass(secured):
    files = {"ssl_ca_cert": str(secured.certificate)}
    checks = checked(source(secured.tls, security={"protocol": "SSL", **files}))
    assert statuses(checks) == ["ok"] * 5
    assert "certificate files can be read" in checks["config"].detail
    assert "protocol SSL" in checks["authentication"].detail


def test_a_user_without_rights_on_the_topic(secured):
    checks = checked(source(secured.sasl, WRITER, topic="orders"))
    # WRITE implies DESCRIBE, so the topic can be seen.
    assert statuses(checks) == ["ok", "ok", "ok", "ok", "failed"]
    assert checks["authorization"].detail == ("not allowed: READ on topic 'orders'; READ on group 'copy'")
    checks = checked(source(secured.sasl, READER, topic="secret"))
    assert statuses(checks) == ["ok", "ok", "ok", "skipped", "failed"]
    assert "DESCRIBE is not allowed on 'secret'" in checks["topic"].detail
    assert checks["authorization"].detail.startswith("not allowed: READ, DESCRIBE on topic 'secret';")
    checks = checked(sink(secured.sasl, READER))
    assert statuses(checks) == ["ok", "ok", "ok", "ok", "failed"]
    assert checks["authorization"].detail == "not allowed: WRITE on topic 'orders'"


def test_a_user_who_may_read_the_topic_but_not_the_group(secured):
    checks = checked(source(secured.sasl, READER, consumer_group="other"))
    assert statuses(checks) == ["ok", "ok", "ok", "ok", "failed"]
    assert checks["authorization"].detail == (
        "not allowed: READ on group 'other'; allowed: READ, DESCRIBE on topic 'orders'"
    )


def test_the_right_to_a_transactional_id_is_found_without_using_it(secured):
    security = source(secured.sasl, WRITER).config.security
    options = connection_options([secured.sasl], security, client_id="c", request_timeout_ms=TIMEOUT_MS)
    with Admin(options) as admin:
        assert admin.may_write_transactional_id("mine")
        assert not admin.may_write_transactional_id("yours")
        assert not any(admin._client.list_transactions().values())


def test_checking_leaves_no_trace_in_kafka(secured):
    checked(source(secured.bootstrap, consumer_group="untouched"))
    options = {"bootstrap_servers": [secured.bootstrap], "request_timeout_ms": TIMEOUT_MS}
    with Admin(options) as admin:
        assert "untouched" not in [group["group_id"] for group in admin._client.list_groups()]


def test_a_missing_topic(secured):
    checks = checked(source(secured.bootstrap, topic="no-such-topic"))
    assert statuses(checks) == ["ok", "ok", "ok", "failed", "skipped"]
    assert checks["topic"].detail == "Kafka topic does not exist: 'no-such-topic'"
    # The group is asked about all the same.
    assert "allowed: READ on group 'copy'" in checks["authorization"].detail


def selected(secured, names=(), pattern="", credentials=READER):
    """The checks of a selection of topics, by name."""
    config = source(secured.sasl, credentials).config
    options = connection_options(
        config.brokers, config.security, client_id="c", request_timeout_ms=TIMEOUT_MS
    )

    def selects(topic):
        return topic in names or (not names and re.fullmatch(pattern, topic) is not None)

    cluster = ClusterCheck(options, config.security, TopicSelection(tuple(names), selects, "topics so"))
    steps = [*cluster.steps(), cluster.authorization(("READ", "DESCRIBE"))]
    return {check.name: check for check in run_checks(steps).checks}


def test_several_topics_by_name(secured):
    create_topic(secured.bootstrap, "returns", 1)
    secured.allow("reader", ResourceType.TOPIC, "returns", ACLOperation.DESCRIBE)
    secured.allow("reader", ResourceType.TOPIC, "not-there", ACLOperation.READ)
    secured.allow("reader", ResourceType.TOPIC, "not-there-either", ACLOperation.READ)
    checks = selected(secured, ["returns", "orders"])
    assert checks["topic"].detail == "topic 'orders' has 3 partitions; topic 'returns' has 1 partition"
    assert checks["authorization"].detail == (
        "not allowed: READ on topic 'returns'; allowed: READ, DESCRIBE on topic 'orders'"
    )
    checks = selected(secured, ["orders", "not-there", "not-there-either"])
    assert checks["topic"].detail == "Kafka topics do not exist: 'not-there', 'not-there-either'"
    # The one that exists is asked about all the same.
    assert checks["authorization"].detail == "allowed: READ, DESCRIBE on topic 'orders'"


def test_topics_by_a_rule(secured):
    checks = selected(secured, pattern="ord.*")
    assert checks["topic"].detail == "topic 'orders' has 3 partitions"
    assert checks["authorization"].ok
    checks = selected(secured, pattern="x.*")
    assert checks["topic"].status == "failed"
    assert checks["topic"].detail == "Kafka has no topics so that the user may see"


def test_addresses_that_cannot_be_reached(secured, full):
    for brokers, reason in (
        (secured.nobody, "connection refused"),
        ("no-such-host.invalid:9092", "the name does not resolve"),
        (full, f"timed out after {SHORT_MS} ms"),
    ):
        checks = checked(source(brokers, request_timeout_ms=SHORT_MS))
        assert checks["connectivity"].duration_ms < 2 * SHORT_MS
        assert statuses(checks) == ["ok", "failed", "skipped", "skipped", "skipped"]
        assert checks["connectivity"].detail == f"no broker can be reached: {brokers}: {reason}"
        assert checks["authorization"].detail == "not tried, because connectivity failed"


def test_a_broker_that_never_answers(silent):
    # With TLS kafka-python alone would wait for the end of the handshake for ever.
    for protocol in ("PLAINTEXT", "SSL"):
        checks = checked(source(silent, security={"protocol": protocol}, request_timeout_ms=SHORT_MS))
        assert statuses(checks) == ["ok", "ok", "failed", "skipped", "skipped"]
        assert checks["authentication"].detail == f"{silent}: no answer within {SHORT_MS} ms"
        assert checks["authentication"].duration_ms < 2 * SHORT_MS


def test_a_server_that_is_no_kafka(rivven):
    checks = checked(source(rivven.bootstrap))
    assert statuses(checks) == ["ok", "ok", "failed", "skipped", "skipped"]
    assert checks["authentication"].detail.startswith(f"{rivven.bootstrap}: ")


def test_one_good_address_is_enough(secured, silent):
    checks = checked(source([secured.nobody, silent, secured.bootstrap], request_timeout_ms=2 * SHORT_MS))
    assert statuses(checks) == ["ok"] * 5
    assert f"not reached: {secured.nobody}: connection refused" in checks["connectivity"].detail
    assert f"but {silent}: no answer" in checks["authentication"].detail


@pytest.mark.symptom("Kafka cannot be reached, although the address is right.")
def test_a_cluster_that_advertises_an_address_out_of_reach(secured):
    checks = checked(source(secured.astray))
    assert statuses(checks) == ["ok", "ok", "ok", "failed", "skipped"]
    assert f"cannot be reached from here: {secured.nobody}: connection refused" in checks["topic"].detail
    assert "advertised.listeners" in checks["topic"].detail


def test_the_third_state_is_neither_good_nor_bad(secured):
    checks = checked(source(secured.nobody))
    assert checks["topic"].status is CheckStatus.SKIPPED
    assert not checks["topic"].ok
    assert checks["topic"].duration_ms == 0


@pytest.mark.parametrize("option", ["proxy_url", "socks5_proxy"])
def test_behind_a_proxy_everything_goes_through_it(secured, option):
    # Nobody listens at `nobody`, where only the proxy finds the broker; Kafka advertises the same address.
    astray, nobody = (int(address.rpartition(":")[2]) for address in (secured.astray, secured.nobody))
    with Socks5({nobody: astray}) as proxy:
        checks = checked(source(secured.nobody, kafka_options={option: proxy.url}))
        assert statuses(checks) == ["ok", "skipped", "ok", "ok", "ok"]
        assert f"kafka_options.{option} is given" in checks["connectivity"].detail
        assert secured.nobody in checks["authentication"].detail
    with Socks5({nobody: 1}) as proxy:
        behind = source(secured.bootstrap, kafka_options={option: proxy.url}, request_timeout_ms=SHORT_MS)
        assert statuses(checked(behind)) == ["ok", "skipped", "ok", "ok", "ok"]
        astray = source(secured.astray, kafka_options={option: proxy.url}, request_timeout_ms=SHORT_MS)
        checks = checked(astray)
        assert statuses(checks) == ["ok", "skipped", "ok", "failed", "skipped"]
        assert f"cannot be reached from here: {secured.nobody}: " in checks["topic"].detail


def test_the_reason_for_a_failure_behind_a_proxy_comes_through_it(secured):
    sasl, nobody = (int(address.rpartition(":")[2]) for address in (secured.sasl, secured.nobody))
    with Socks5({nobody: sasl}) as proxy:
        behind = source(
            secured.nobody,
            ("reader", "wrong-secret"),
            kafka_options={"proxy_url": proxy.url},
            request_timeout_ms=SHORT_MS,
        )
        checks = checked(behind)
        assert statuses(checks) == ["ok", "skipped", "failed", "skipped", "skipped"]
        # A direct connection would be refused.
        with pytest.raises(AuthenticationError, match="Invalid username or password"):
            behind.discover()
