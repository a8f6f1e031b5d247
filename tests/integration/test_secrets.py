"""A full run with every kind of secret, and no secret in anything that the program says of itself."""

import base64
import contextlib
import copy
import io
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import yaml
from rivven_kafka import KafkaSink, KafkaSource
from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig, SecurityConfig, load_connect_file
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.kafka.credentials import connection_options
from rivven_kafka.log_filter import KafkaSecretsFilter

from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.leaks import forms, leaks
from tests.support.login_kafka import KEY_PASSWORD, LoginKafka, unsigned_token
from tests.support.numbered import fill_kafka
from tests.support.ports import ReservedPort
from tests.support.token_issuer import TokenIssuer
from tests.support.topics import create_topic, end_offsets

pytestmark = pytest.mark.integration

USER = "carrier"
PASSWORD = "pass/w0rd+of the=carrier&ü"
WRONG = "another~pass%20word"
TOKEN = unsigned_token(USER)
AWS = {
    "aws_access_key_id": "AKIAHUNTER2",
    "aws_secret_access_key": "secret/access+key=",
    "aws_session_token": "session//token++==",
}
CONTROL, WRONG_CONTROL = "control-token-0123456789", "guessed-token-0123456789"
PROXY = "proxy-pass-word"
CLIENT_SECRET = "client/secret+of the=bridge~ü"
SECRETS = [PASSWORD, WRONG, TOKEN, KEY_PASSWORD, CLIENT_SECRET, *AWS.values(), CONTROL, WRONG_CONTROL, PROXY]
PATHS = ("/", "/health", "/live", "/metrics", "/ready", "/status", "/nothing")
ONCE = (
    *("plan --source in", "plan --source in --format json", "plan --source wrong"),
    *(
        "migrate --source in",
        "migrate --source in --format json",
        "migrate --source mutual --report wrong.json",
    ),
    *("verify --source in", "verify --source in --format json", "verify --source wrong"),
    *("repair --source in", "offsets translate here:0@3 --source in", "groups migrate --source in --all"),
)


@pytest.fixture(scope="module")
def logins(tmp_path_factory):
    with LoginKafka({USER: "not used"}) as broker, TokenIssuer(tmp_path_factory.mktemp("issuer")) as issuer:
        # It does not keep secrets.
        issuer.refuse = (401, f"no client with {CLIENT_SECRET}".encode())
        broker.issuer = issuer
        broker.add_scram_user(USER, PASSWORD)
        for topic in ("there", "unread"):
            create_topic(broker.bootstrap, topic, 1)
        fill_kafka(broker.bootstrap, "here", 1, 20)
        yield broker


def sections(broker):
    """What logs in, and what does not."""
    tls = {"protocol": "SASL_SSL", "ssl_ca_cert": str(broker.certificate)}
    scram = {**tls, "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": USER}
    return {
        "scram": {**scram, "sasl_password": PASSWORD},
        "oauth": {**tls, "sasl_mechanism": "OAUTHBEARER", "oauth_token": TOKEN},
        "mutual": {
            "protocol": "SSL",
            "ssl_ca_cert": str(broker.certificate),
            "ssl_client_cert": str(broker.certificate),
            "ssl_client_key": str(broker.encrypted_key),
            "ssl_key_password": KEY_PASSWORD,
        },
        "wrong": {**scram, "sasl_password": WRONG},
        "endpoint": {
            **tls,
            "sasl_mechanism": "OAUTHBEARER",
            "oauth": {
                "token_endpoint_url": broker.issuer.token_url,
                "client_id": "bridge",
                "client_secret": CLIENT_SECRET,
            },
        },
        "aws": {**tls, "sasl_mechanism": "AWS_MSK_IAM", "aws_region": "eu-west-1", **AWS},
    }


@pytest.fixture
def document(logins, rivven, topic_name, tmp_path):
    """Two sources and a sink that work, and three connectors that cannot log in."""
    found, middle = sections(logins), topic_name()
    kept = tmp_path / "token"
    kept.write_text(TOKEN + "\n")
    kept.chmod(0o600)
    scram = {**found["scram"], "sasl_password": "${CARRIER_PASSWORD}"}
    oauth = {**found["oauth"], "oauth_token": f"${{file:{kept}}}"}
    quick = {"request_timeout_ms": 3000, "value_format": "raw"}
    document = source_file(logins.login, rivven.bootstrap, "here", middle, middle, security=scram, **quick)
    document |= sink_file(logins.login, rivven.bootstrap, middle, "there", middle, security=oauth, **quick)
    sources = {
        "mutual": (logins.mutual, "mutual"),
        "wrong": (logins.login, "wrong"),
        "endpoint": (logins.login, "endpoint"),
        "aws": (logins.login, "aws"),
    }
    for name, (address, section) in sources.items():
        other = source_file(
            address, rivven.bootstrap, "unread", topic_name(), f"g-{name}", security=found[section], **quick
        )
        document["sources"][name] = other["sources"]["in"]
    return document


class Gathered(dict):
    """Texts by name."""

    def run(self, name, *arguments, env=None, directory=None):
        command = [sys.executable, "-m", "rivven_kafka.cli", *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **(env or {})},
            cwd=directory,
        )
        self[name] = done.stdout + done.stderr
        assert self[name]
        return done


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_nothing_that_a_run_says_of_itself_holds_a_secret(logins, document, tmp_path):
    env = {"CARRIER_PASSWORD": PASSWORD}
    texts = Gathered()
    with ReservedPort() as port:
        document["settings"] = {
            "health": {"enabled": True, "port": port.number},
            "control": {"token": CONTROL},
        }
        address = port.address
        with Connector(tmp_path, document, verbose=True, env=env) as connector:
            wait_until(lambda: answers(address, "/live"), 60, connector.log_tail)
            wait_until(lambda: end_offsets(logins.bootstrap, "there")[0] >= 20, 60, connector.log_tail)

            def failed():
                sources = ask(address, "/status").json["sources"]
                return all(
                    each["last_error"] for each in sources if each["name"] in ("wrong", "endpoint", "aws")
                )

            wait_until(failed, 60, connector.log_tail)
            assert ask(address, "/connectors/wrong/restart", "POST", bearer(CONTROL)).code == 202
            for token, code in ((WRONG_CONTROL, 403), (CONTROL, 404)):
                answer = ask(address, "/connectors/none/pause", "POST", bearer(token))
                assert answer.code == code
                texts[f"control {code}"] = f"{answer.headers}{answer.text}"
            for path in PATHS:
                answer = ask(address, path)
                texts[path] = f"{answer.headers}{answer.text}"
            texts["command line"] = Path(f"/proc/{connector.pid}/cmdline").read_text()
            connector.stop()
        texts["log"] = connector.log()
    file = str(connector._file)
    assert "ApiVersionsResponse(" in texts["log"], "kafka-python's debug messages are missing"
    assert "unhealthy" in texts["/status"]

    commands = ("check --format json", "validate", "validate --format json", "status", "spec single")
    for command in (*commands, "--log-format json discover in"):
        texts.run(command, "-v", "-c", file, *command.split(), env=env)
    for command in ONCE:
        texts.run(command, "-v", "-c", file, *command.split(), env=env, directory=tmp_path)
    for path in tmp_path.glob("*.*"):
        if path.suffix in (".json", ".html"):
            texts[path.name] = path.read_text()
    assert {"migration-in.json", "migration-in.html"} <= texts.keys()
    # With something wrong in every section.
    wrong_values = [
        (("sources", "in", "config", "security", "sasl_mechanism"), "PLIAN"),
        (("sources", "mutual", "config", "security", "ssl_key_password"), [KEY_PASSWORD]),
        (("sources", "endpoint", "config", "security", "oauth", "client_secret"), [CLIENT_SECRET]),
        (("sources", "aws", "config", "security", "aws_access_key_id"), ""),
        (("settings", "control", "token"), f"{CONTROL} {CONTROL}"),
        (("settings", "control"), CONTROL),
        (("sinks", "out", "config", "kafka_options"), {"proxy_url": f"socks5://u:{PROXY}@p:1", "oh": PROXY}),
    ]
    wrong = tmp_path / "wrong.yaml"
    for path, value in wrong_values:
        *above, option = path
        broken = copy.deepcopy(document)
        section = broken
        for key in above:
            section = section[key]
        section[option] = value
        wrong.write_text(yaml.safe_dump(broken))
        with pytest.raises(ConfigError) as raised:
            load_connect_file(wrong, env)
        texts[f"wrong {path}"] = f"{raised.value} {raised.value!r} {raised.value.problems}"
    # All commands read the file in the same way.
    assert texts.run("run", "-v", "-c", str(wrong), "run", env=env).returncode == 78

    config = load_connect_file(file, env)
    for name, text in {
        "repr": repr(config),
        "str": str(config),
        "dump": repr(config.model_dump()),
        "JSON dump": config.model_dump_json(warnings=False),
    }.items():
        texts[name] = text
        assert "SCRAM-SHA-512" in text
    assert leaks(texts, SECRETS) == []


@contextlib.contextmanager
def all_loggers(stream, *filters):
    """Every logger at DEBUG, into a stream."""
    handler = logging.StreamHandler(stream)
    for each in filters:
        handler.addFilter(each)
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    before = root.level, kafka.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    kafka.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        kafka.setLevel(before[1])


def use(broker, name, security):
    """Everything that a program can do with a section; what it prints, and what it raises."""
    texts = []
    address = broker.mutual if name == "mutual" else broker.login
    options = {"brokers": address, "security": security, "request_timeout_ms": 1000}
    source = KafkaSource(
        KafkaSourceConfig(topic="here", consumer_group=f"p-{name}", start_offset="earliest", **options)
    )
    sink = KafkaSink(KafkaSinkConfig(topic="unread", **options))

    def read():
        with source.read() as events:
            return next(iter(events))

    for act in (source.check, sink.check, source.discover, read, lambda: sink.write([]), sink.close):
        try:
            texts.append(repr(act()))
        except RivvenKafkaError as error:
            texts += [repr(error), str(vars(error)), "".join(traceback.format_exception(error))]
    texts += [repr(source), repr(vars(source)), repr(sink), repr(vars(sink))]
    config = SecurityConfig(**security)
    found = connection_options([address], config, client_id="test", request_timeout_ms=1000)
    # The options hold plain passwords, since kafka-python takes them so; what holds keys of AWS shows none.
    texts += [repr(found.get("sasl_oauth_token_provider")), str(found.get("sasl_oauth_token_provider"))]
    return texts


@pytest.mark.parametrize("name", ["scram", "oauth", "mutual", "wrong", "endpoint", "aws"])
def test_nothing_that_a_program_sees_holds_a_secret(logins, name):
    stream = io.StringIO()
    with all_loggers(stream, KafkaSecretsFilter()):
        texts = use(logins, name, sections(logins)[name])
    log = stream.getvalue()
    assert "ApiVersionsResponse(" in log, "kafka-python's debug messages are missing"
    assert leaks({"log": log, "program": "\n".join(texts)}, SECRETS) == []


def test_without_the_filter_there_is_something_to_find(logins):
    stream = io.StringIO()
    with all_loggers(stream):
        use(logins, "oauth", sections(logins)["oauth"])
    assert leaks({"log": stream.getvalue()}, [TOKEN])


@pytest.mark.parametrize("secret", SECRETS)
def test_what_is_planted_is_found(secret):
    raw = secret.encode()
    planted = [
        secret,
        f"password={secret!r}",
        json.dumps({"password": secret}),
        repr(b"\0carrier\0" + raw),
        raw.hex(),
        *(base64.b64encode(before + raw + b"...").decode() for before in (b"", b"a", b"ab", b"\0user\0")),
        *(base64.urlsafe_b64encode(before + raw).decode() for before in (b"", b"a", b"ab")),
    ]
    assert [text for text in planted if not leaks({"text": f"before {text} after"}, [secret])] == []
    assert leaks({"text": "nothing of it"}, [secret]) == []
    assert all(len(form) >= len(raw) - 1 for form in forms(secret))
