"""Every listener of Kafka and every way to log in, for each kind of client, with the right secret and with wrong ones.

`pytest --collect-only -q` prints the matrix.
"""

import re
import time
import uuid
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaConnectionError
from rivven_kafka import KafkaSink, KafkaSource, SourceEvent
from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import AuthenticationError
from rivven_kafka.kafka import connection_options
from rivven_kafka.kafka.login import log_in
from rivven_kafka.kafka.net_client import net_client

from tests.support import hostile, hostile_login
from tests.support.kafka_tap import ApiKey, KafkaTap
from tests.support.login_kafka import KEY_PASSWORD, LoginKafka, unsigned_token
from tests.support.socks5 import Socks5
from tests.support.token_issuer import CLIENT, SCOPE, SECRET
from tests.support.topics import Row, create_topic, fill

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

USER, PASSWORD, WRONG = "bridge", "bridge-secret", "wrong-secret"
TIMEOUT_MS = 30_000
AT_ONCE_S = 10
"""Far less than the timeout, and enough for a busy machine."""
# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
TOPIC = "logins"


@pytest.fixture(scope="module")
def broker(issuer):
    with LoginKafka({USER: PASSWORD}, issuer) as broker:
        broker.add_scram_user(USER, PASSWORD)
        create_topic(broker.bootstrap, TOPIC, 1)
        fill(broker.bootstrap, TOPIC, {0: [Row(NOW, None, b"there", [])]})
        yield broker


@pytest.fixture(autouse=True)
def long_lived_tokens(issuer):
    issuer.lifetime_s, issuer.refuse = 3600, None


def tls(broker, **options):
    return {"protocol": "SSL", "ssl_ca_cert": str(broker.certificate), **options}


def by_password(mechanism, password=PASSWORD):
    return {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": password}


def bearer(**options):
    return {"sasl_mechanism": "OAUTHBEARER", **options}


def endpoint(issuer, secret=SECRET):
    options = {"client_id": CLIENT, "client_secret": secret, "scope": SCOPE}
    return bearer(oauth={"token_endpoint_url": issuer.token_url, **options})


def in_file(broker, token):
    path = broker.directory / "token"
    path.write_text(token + "\n")
    return bearer(oauth={"token_file": str(path)})


def pair(certificate, key, **options):
    return {"ssl_client_cert": str(certificate), "ssl_client_key": str(key), **options}


LOGINS = {
    "PLAIN": lambda b, i: by_password("PLAIN"),
    "SCRAM-SHA-256": lambda b, i: by_password("SCRAM-SHA-256"),
    "SCRAM-SHA-512": lambda b, i: by_password("SCRAM-SHA-512"),
    "OAUTHBEARER token": lambda b, i: bearer(oauth_token=unsigned_token(USER)),
    "OAUTHBEARER signed token": lambda b, i: bearer(oauth_token=i.token()),
    "OAUTHBEARER token file": lambda b, i: in_file(b, i.token()),
    "OAUTHBEARER endpoint": lambda b, i: endpoint(i),
}
REFUSED = {
    "PLAIN, wrong password": lambda b, i: by_password("PLAIN", WRONG),
    "SCRAM-SHA-256, wrong password": lambda b, i: by_password("SCRAM-SHA-256", WRONG),
    "SCRAM-SHA-512, wrong password": lambda b, i: by_password("SCRAM-SHA-512", WRONG),
    "OAUTHBEARER, expired token": lambda b, i: bearer(oauth_token=unsigned_token(USER, -30)),
    "OAUTHBEARER, expired signed token": lambda b, i: bearer(oauth_token=i.token(-5)),
    "OAUTHBEARER, signed token of a stranger": lambda b, i: bearer(oauth_token=i.token(key=b.stranger[1])),
    "OAUTHBEARER, token for another audience": lambda b, i: in_file(b, i.token(aud="others")),
}
CREDENTIALS = "does not accept the credentials"


def sasl_cases(logins, expected):
    """Each of `logins` with and without TLS, at the listener that can judge it."""
    for name, login in logins.items():
        signed = "signed" in name or "file" in name or "endpoint" in name or "audience" in name
        plain, secure = ("PLAINOIDC", "OIDC") if signed else ("PLAINLOGIN", "LOGIN")
        yield (
            f"SASL_PLAINTEXT {name}",
            plain,
            lambda b, i, login=login: {"protocol": "SASL_PLAINTEXT", **login(b, i)},
            expected,
        )
        yield (
            f"SASL_SSL {name}",
            secure,
            lambda b, i, login=login: {**tls(b), "protocol": "SASL_SSL", **login(b, i)},
            expected,
        )


def mutual(b, **options):
    return tls(b, **pair(b.certificate, b.private_key), **options)


def encrypted(b):
    return tls(b, **pair(b.certificate, b.encrypted_key, ssl_key_password=KEY_PASSWORD))


def expects(protocol):
    return f"security.protocol .*, expected {protocol}$"


# What is tried, the listener, the security section, and what the error says: nothing if it works.
GOOD = [
    ("PLAINTEXT", None, lambda b, i: {}, None),
    ("SSL", "TLS", lambda b, i: tls(b), None),
    ("SSL client certificate", "MUTUAL", lambda b, i: mutual(b), None),
    ("SSL client certificate, encrypted key", "MUTUAL", lambda b, i: encrypted(b), None),
    *sasl_cases(LOGINS, None),
]
BAD = [
    *sasl_cases(REFUSED, CREDENTIALS),
    ("PLAINTEXT at a TLS port", "TLS", lambda b, i: {}, expects("SSL")),
    ("PLAINTEXT at a SASL port", "PLAINLOGIN", lambda b, i: {}, expects("SASL_PLAINTEXT")),
    ("PLAINTEXT at a SASL_SSL port", "LOGIN", lambda b, i: {}, expects("SASL_SSL")),
    ("SSL at a plaintext port", None, lambda b, i: tls(b), expects("PLAINTEXT")),
    ("SSL at a SASL_SSL port", "LOGIN", lambda b, i: tls(b), expects("SASL_SSL")),
    (
        "SASL_SSL at a SASL_PLAINTEXT port",
        "PLAINLOGIN",
        lambda b, i: {**tls(b), "protocol": "SASL_SSL", **by_password("PLAIN")},
        expects("SASL_PLAINTEXT"),
    ),
    (
        "SASL_PLAINTEXT at a SASL_SSL port",
        "LOGIN",
        lambda b, i: {"protocol": "SASL_PLAINTEXT", **by_password("PLAIN")},
        expects("SASL_SSL"),
    ),
    (
        "SASL_PLAINTEXT at a plaintext port",
        None,
        lambda b, i: {"protocol": "SASL_PLAINTEXT", **by_password("PLAIN")},
        expects("PLAINTEXT"),
    ),
    (
        "SASL_PLAINTEXT SCRAM where only PLAIN is",
        "SASL",
        lambda b, i: {"protocol": "SASL_PLAINTEXT", **by_password("SCRAM-SHA-256")},
        r"does not offer the configured security\.sasl_mechanism SCRAM-SHA-256",
    ),
    (
        "SSL, unknown CA",
        "TLS",
        lambda b, i: tls(b, ssl_ca_cert=str(b.stranger[0])),
        r"from a CA that is not trusted .*got security\.ssl_ca_cert '.*stranger",
    ),
    (
        "SSL, CA not given",
        "TLS",
        lambda b, i: {"protocol": "SSL"},
        r"from a CA that is not trusted .*expected the file of its CA in security\.ssl_ca_cert",
    ),
    (
        "SSL, expired certificate",
        "EXPIRED",
        lambda b, i: tls(b, ssl_ca_cert=str(b.expired_certificate)),
        "its certificate, or one that vouches for it, has expired",
    ),
    (
        "SSL, certificate of another host",
        "localhost",
        lambda b, i: tls(b),
        r"its certificate is for another host: .*'localhost'.*security\.ssl_check_hostname",
    ),
    (
        "SSL, no client certificate",
        "MUTUAL",
        lambda b, i: tls(b),
        r"wants a certificate of the client .*expected security\.ssl_client_cert",
    ),
    (
        "SSL, unknown client certificate",
        "MUTUAL",
        lambda b, i: tls(b, **pair(*b.stranger)),
        r"does not accept the client's certificate .*got security\.ssl_client_cert '.*stranger",
    ),
    (
        "SASL_SSL OAUTHBEARER endpoint, wrong secret",
        "OIDC",
        lambda b, i: {**tls(b), "protocol": "SASL_SSL", **endpoint(i, WRONG)},
        r"no token from http://127.*/token: HTTP status 401 \(invalid_client\): look at client_id",
    ),
]


def consume(options, _):
    options |= {"consumer_group": f"g-{uuid.uuid4()}", "start_offset": "earliest"}
    with KafkaSource(**options).read() as events:
        assert next(events).value == b"there"


def produce(options, topic):
    with KafkaSink(**options | {"topic": topic}) as sink:
        assert sink.write([SourceEvent("t", b"v", timestamp_ms=NOW)]).ok


def administer(options, _):
    assert TOPIC in [stream.name for stream in KafkaSource(**options).discover()]


CLIENTS = {"consumer": consume, "producer": produce, "admin": administer}


def options_of(broker, issuer, listener, security):
    if listener == "localhost":
        address = broker.tls.replace("127.0.0.1", "localhost")
    else:
        address = broker.bootstrap if listener is None else broker.address(listener)
    return {
        "brokers": address,
        "topic": TOPIC,
        "security": security(broker, issuer),
        "request_timeout_ms": TIMEOUT_MS,
    }


@pytest.fixture(scope="module")
def written(broker):
    create_topic(broker.bootstrap, "written", 1)
    return "written"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", GOOD, ids=[case[0] for case in GOOD])
def test_is_let_in(broker, issuer, written, case, client):
    CLIENTS[client](options_of(broker, issuer, *case[1:3]), written)


@pytest.mark.symptom("Kafka expects TLS, a login, or none of them.")
@pytest.mark.symptom("Kafka does not accept the credentials.")
@pytest.mark.symptom("A CA that is not trusted.")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", BAD, ids=[case[0] for case in BAD])
def test_is_refused(broker, issuer, written, case, client):
    """At once, with an error that tells the address, what is wrong, and no secret."""
    options = options_of(broker, issuer, *case[1:3])
    begin = time.monotonic()
    with pytest.raises(AuthenticationError, match=case[3]) as caught:
        CLIENTS[client](options, written)
    assert time.monotonic() - begin < AT_ONCE_S
    text = str(caught.value)
    assert not caught.value.retriable
    assert options["brokers"] in text or issuer.url in text
    assert not any(secret in text for secret in (WRONG, PASSWORD, SECRET, "eyJ"))


def test_a_check_tells_how_it_logged_in(broker, issuer):
    security = {**tls(broker), "protocol": "SASL_SSL", **by_password("SCRAM-SHA-512")}
    options = options_of(broker, issuer, "LOGIN", lambda b, i: security)
    [detail] = [each.detail for each in KafkaSink(**options).check().checks if each.name == "authentication"]
    assert f"logged in as '{USER}' with SCRAM-SHA-512" in detail


@pytest.mark.parametrize("case", BAD, ids=[case[0] for case in BAD])
def test_a_check_tells_the_same(broker, issuer, case):
    checks = {
        check.name: check for check in KafkaSource(**options_of(broker, issuer, *case[1:3])).check().checks
    }
    assert checks["connectivity"].ok
    assert checks["authentication"].status == "failed"
    assert re.search(case[3], checks["authentication"].detail)


def test_the_host_of_the_certificate_need_not_be_checked(broker, issuer, written):
    options = options_of(broker, issuer, "localhost", lambda b, i: tls(b, ssl_check_hostname=False))
    administer(options, written)


def test_one_address_that_lets_us_in_is_enough(broker, issuer, written):
    """The others may refuse us, or be away."""
    login = {"protocol": "SASL_PLAINTEXT", **by_password("SCRAM-SHA-256")}
    options = options_of(broker, issuer, "PLAINLOGIN", lambda b, i: login)
    administer(options | {"brokers": [broker.sasl, broker.nobody, broker.plain_login]}, written)


def test_who_refuses_us_counts_though_another_is_away(broker, issuer, written):
    login = {"protocol": "SASL_PLAINTEXT", **by_password("PLAIN", WRONG)}
    options = options_of(broker, issuer, "PLAINLOGIN", lambda b, i: login) | {"request_timeout_ms": 3_000}
    begin = time.monotonic()
    with pytest.raises(AuthenticationError) as caught:
        administer(options | {"brokers": [broker.nobody, broker.plain_login]}, written)
    # The other one may let us in when it is back.
    assert time.monotonic() - begin > 2
    assert f"{broker.nobody}: connection refused; {broker.plain_login}: {CREDENTIALS}" in str(caught.value)


def test_a_refusal_comes_through_a_proxy_as_well(broker, issuer, written):
    nobody, listener = (int(address.rpartition(":")[2]) for address in (broker.nobody, broker.tls))
    with Socks5({nobody: listener}) as proxy:
        options = options_of(broker, issuer, "nobody", lambda b, i: {})
        with pytest.raises(AuthenticationError, match=expects("SSL")):
            administer(options | {"kafka_options": {"proxy_url": proxy.url}}, written)


def test_handshakes_that_fail_leave_no_socket(broker):
    security = SecurityConfig(protocol="SSL", ssl_ca_cert=str(broker.stranger[0]))
    options = connection_options([broker.tls], security, client_id="c", request_timeout_ms=TIMEOUT_MS)
    host, _, port = broker.tls.rpartition(":")
    node = SimpleNamespace(node_id=1, host=host, port=int(port), rack=None)
    with closing(net_client(options)) as client:
        client._net.start()
        # Whoever keeps an error keeps what its traceback refers to.
        errors = []
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            with pytest.raises(KafkaConnectionError, match="certificate verify failed") as caught:
                client._manager.run(client._manager._build_transport, node)
            errors.append(caught.value)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before


HANDSHAKE, STEP = ApiKey.SaslHandshake, ApiKey.SaslAuthenticate
LIES = {
    "countless mechanisms": (
        HANDSHAKE,
        hostile_login.mechanisms([f"M{n}" for n in range(90_000)]),
        "does not offer",
    ),
    "a handshake of another request": (HANDSHAKE, hostile.other_id(0), "answers in another protocol"),
    "a step of another request": (STEP, hostile.other_id(0), "answers in another protocol"),
    "rounds without end": (STEP, hostile_login.rounds(10**9), "too large"),
    "too few rounds": (STEP, hostile_login.rounds(4095), "asks for 4095 iterations: expected at least 4096"),
    "no rounds": (STEP, hostile_login.rounds(0), "asks for 0 iterations"),
    "another nonce": (STEP, hostile_login.challenge(b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), "nonce"),
    "no challenge": (STEP, hostile_login.challenge(b""), "does not answer as Kafka does"),
    "a challenge that is no text": (
        STEP,
        hostile_login.challenge(b"\xff\xfe"),
        "does not answer as Kafka does",
    ),
    "a challenge of megabytes": (STEP, hostile_login.challenge(b"r=" + b"x" * 8_000_000), "nonce"),
    "a refusal of megabytes": (
        STEP,
        hostile_login.refusal("x" * 8_000_000),
        "does not accept the credentials: xxx",
    ),
    "a refusal of lines": (STEP, hostile_login.refusal("x\n2026 INFO forged"), r"credentials: x\n2026"),
}


def log_in_to(address, security):
    options = connection_options(
        [address], SecurityConfig(**security), client_id="c", request_timeout_ms=1_500
    )
    begin = time.monotonic()
    login = log_in(options, [address], 1_500)[address]
    assert time.monotonic() - begin < 4
    return login.error


@pytest.mark.parametrize("lie", LIES)
def test_a_broker_that_lies_in_a_login(broker, lie, caplog):
    """It is found out in time, and its words fill neither the error nor the log."""
    api, action, said = LIES[lie]
    security = {"protocol": "SASL_PLAINTEXT", **by_password("SCRAM-SHA-256")}
    with KafkaTap(int(broker.plain_login.rpartition(":")[2])) as tap, tap.fault(api, action) as fault:
        text = str(log_in_to(tap.address, security))
    assert fault.hits
    assert said in text
    assert len(text) < 2_000
    assert sum(len(record.getMessage()) for record in caplog.records) < 20_000
    assert PASSWORD not in text + caplog.text


def test_a_login_without_a_last_step(broker):
    security = {"protocol": "SASL_PLAINTEXT", **bearer(oauth_token=unsigned_token(USER))}
    with closing(hostile_login.EndlessLogin(broker.plain_login)) as endless:
        assert "no answer within 1500 ms" in str(log_in_to(endless.address, security))
        steps = endless.steps
        assert steps > 2
        time.sleep(0.2)
        assert endless.steps == steps


@pytest.mark.parametrize("lifetime_ms", [-5, 1, 2**63 - 1])
def test_a_session_whose_length_makes_no_sense(broker, lifetime_ms):
    """It is neither renewed without a pause, nor is it the end of the login."""
    security = {"protocol": "SASL_PLAINTEXT", **by_password("PLAIN")}
    options = {"topic": TOPIC, "start_offset": "earliest", "consumer_group": f"g-{uuid.uuid4()}"}
    lie = hostile_login.challenge(b"", session_lifetime_ms=lifetime_ms)
    with KafkaTap(int(broker.plain_login.rpartition(":")[2])) as tap, tap.fault(STEP, lie) as fault:
        with KafkaSource(brokers=tap.address, security=security, **options).read() as events:
            assert next(events).value == b"there"
            time.sleep(1)
        assert 1 <= len(fault.hits) <= 3
