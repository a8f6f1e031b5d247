"""Logins of connectors that run: tokens are renewed and sessions go on, and credentials that were changed are noticed."""

import itertools
import logging
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from rivven_kafka import KafkaSink, KafkaSource, SourceEvent
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import AuthenticationError
from rivven_kafka.runtime.backoff import RestartBackoff
from rivven_kafka.runtime.connector import State
from rivven_kafka.runtime.runner import Runner

from tests.integration.connector_kit import QUICK
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.login_kafka import SHORT_SESSION_MS, LoginKafka
from tests.support.token_issuer import CLIENT, SCOPE, SECRET
from tests.support.topics import TopicWriter, create_topic, read_topic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NOW = int(time.time() * 1000)
LIFETIME_S = 4
LONGEST_GAP_S = 2.0


@pytest.fixture(scope="module")
def broker(issuer):
    with LoginKafka({}, issuer) as broker:
        yield broker


BACKOFF = RestartBackoff(first_s=0.2, longest_s=0.5, refused_for_s=1.5)


class Connectors:
    """A source and a sink that run side by side until the end of the block."""

    def __init__(self, *documents):
        merged = documents[0] | {"sinks": documents[1]["sinks"]}
        self.runner = Runner(ConnectConfig.model_validate(merged), BACKOFF)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: self.runner.run(self._stop))

    def status(self):
        return self.runner.status()

    def describe(self):
        return str(self.status())

    @property
    def ended(self):
        return not self._thread.is_alive()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)


def round_trip(broker, rivven, names, address, security):
    """From the first Kafka topic through Rivven to the second, with `security` on both ways."""
    origin, copy, back = names
    for name in (origin, back):
        create_topic(broker.bootstrap, name, 1)
    options = {"security": security, "request_timeout_ms": 10_000}
    return Connectors(
        source_file(
            address, rivven.bootstrap, origin, copy, f"g-{origin}", value_format="raw", **QUICK, **options
        ),
        sink_file(address, rivven.bootstrap, copy, back, f"g-{copy}", **options),
    )


def test_tokens_are_renewed_under_load(broker, issuer, rivven, topic_name, caplog):
    """Nothing is lost, doubled or held up while every connection logs in anew, time and again."""
    names = origin, _, back = [topic_name() for _ in range(3)]
    issuer.lifetime_s = LIFETIME_S
    first = issuer.issued
    security = {
        "protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "oauth": {
            "token_endpoint_url": issuer.token_url,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": SCOPE,
        },
    }
    numbers = itertools.count()
    gaps = {"source": 0.0, "sink": 0.0}
    caplog.set_level(logging.INFO, "kafka.net.connection")
    with (
        round_trip(broker, rivven, names, broker.address("PLAINOIDC"), security) as connectors,
        TopicWriter(broker.bootstrap, origin, 1) as writer,
    ):

        def delivered():
            return {status.direction: status.events_processed for status in connectors.status()}

        wait_until(
            lambda: all(s.state is State.RUNNING for s in connectors.status()), 30, connectors.describe
        )
        moved, before = dict.fromkeys(gaps, None), delivered()
        # The fifth token is out when the fourth has been in use: three renewals under load.
        while issuer.issued - first < 5:
            for _ in range(5):
                writer.write(0, [(NOW, None, b"%d" % next(numbers), [])])
            writer.flush()
            time.sleep(0.05)
            now, count = time.monotonic(), delivered()
            for way in gaps:
                if count[way] > before[way]:
                    since = moved[way]
                    gaps[way] = max(gaps[way], 0.0 if since is None else now - since)
                    moved[way] = now
            before = count
        written = next(numbers)
        wait_until(lambda: delivered()["sink"] >= written, 30, connectors.describe)
        assert all(status.restarts == 0 for status in connectors.status())
    values = [row.value for row in read_topic(broker.bootstrap, back)[0]]
    assert values == [b"%d" % number for number in range(written)]
    assert max(gaps.values()) < LONGEST_GAP_S, gaps
    # As written at the time: what a connection says of itself changes.
    told = caplog.text.splitlines()
    # A connection that is connected already, by its own port.
    again = Counter(
        match["port"]
        for text in told
        if (match := re.search(r"<-(?P<port>\d+)\].*\(connected\)>: Authenticated via SASL / OAuth", text))
    )
    # The source's that reads, its coordinator's, and the sink's: each of them stays, and logs in anew.
    assert len(again) == 3
    assert min(again.values()) >= 2
    assert sum(again.values()) >= 8
    assert not any("Connection lost" in text or "re-authentication failed" in text for text in told)


def test_an_endpoint_that_is_away_is_a_warning_while_the_token_is_good(broker, issuer, topic_name, caplog):
    issuer.lifetime_s = LIFETIME_S
    name = topic_name()
    create_topic(broker.bootstrap, name, 1)
    login = {"token_endpoint_url": issuer.token_url + "?away", "client_id": CLIENT, "client_secret": SECRET}
    security = {
        "protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "oauth": {**login, "scope": SCOPE},
    }
    with KafkaSink(brokers=broker.address("PLAINOIDC"), topic=name, security=security) as sink:
        assert sink.write([SourceEvent("t", b"1", timestamp_ms=NOW)]).ok
        issuer.refuse = 503, b'{"error": "temporarily_unavailable"}'
        asked = issuer.requests
        try:
            wait_until(lambda: "the token at hand is good for" in caplog.text, LIFETIME_S)
            assert "HTTP status 503 (temporarily_unavailable)" in caplog.text
            assert sink.write([SourceEvent("t", b"2", timestamp_ms=NOW)]).ok
            # The sink's session ends as well, and what it is given then has to wait.
            wait_until(lambda: "re-authentication failed" in caplog.text, 2 * LIFETIME_S)
            with ThreadPoolExecutor(1) as pool:
                late = pool.submit(sink.write, [SourceEvent("t", b"3", timestamp_ms=NOW)])
                time.sleep(0.5)
                assert not late.done()
                # With pauses, whoever asks.
                assert issuer.requests - asked < 10
                issuer.refuse = None
                assert late.result(30).ok
        finally:
            issuer.refuse = None
    assert [row.value for row in read_topic(broker.bootstrap, name)[0]] == [b"1", b"2", b"3"]
    assert SECRET not in caplog.text
    assert "eyJ" not in caplog.text


@pytest.mark.symptom("It worked, and after some time it does not.")
def test_a_password_that_was_changed_ends_the_connectors(broker, rivven, topic_name):
    """They fail for good after a while, and do not go on knocking."""
    user, password = "changing", "first-secret"
    broker.add_scram_user(user, password)
    names = origin, _, back = [topic_name() for _ in range(3)]
    security = {
        "protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_username": user,
        "sasl_password": password,
    }

    def refused():
        return broker.log_path.read_text().count("Failed authentication with")

    with (
        round_trip(broker, rivven, names, broker.address("SHORT"), security) as connectors,
        TopicWriter(broker.bootstrap, origin, 1) as writer,
    ):
        # Sessions outlive their time as long as the password is right.
        begin = time.monotonic()
        for number in itertools.count():
            writer.write(0, [(NOW, None, b"%d" % number, [])])
            writer.flush()
            wait_until(
                lambda: len(read_topic(broker.bootstrap, back).get(0, ())) == number + 1,  # noqa: B023 - at once
                30,
                connectors.describe,
            )
            if time.monotonic() - begin > 1.5 * SHORT_SESSION_MS / 1000:
                break
        assert refused() == 0
        broker.add_scram_user(user, "second-secret")
        wait_until(lambda: connectors.ended, 30, connectors.describe)
        for status in connectors.status():
            assert status.state is State.FAILED
            assert status.restarts <= 6
            assert "does not accept the credentials" in status.last_error
            assert broker.address("SHORT") in status.last_error
            assert "secret" not in status.last_error
        # A connection of each kind is closed, and refused twice.
        assert 2 <= refused() <= 60
        before = refused()
        time.sleep(1)
        assert refused() == before
    options = {"brokers": broker.address("SHORT"), "topic": origin, "security": security}
    with pytest.raises(AuthenticationError):
        KafkaSource(**options).discover()
