"""Temporary AWS credentials, from servers that speak as AWS does: assumed roles and containers."""

import io
import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from kafka import errors as kafka_errors
from kafka.net.sasl import get_sasl_mechanism
from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import AuthenticationError, ConnectError
from rivven_kafka.kafka.credentials import connection_options
from rivven_kafka.log_filter import KafkaSecretsFilter

from tests.support.leaks import leaks
from tests.support.ports import LOOPBACK, ReservedPort

pytestmark = pytest.mark.integration

ROLE = "arn:aws:iam::123456789012:role/reader"
SECRETS = ["s3cr3t-of-the-user", "s3cr3t/of+the=role", "token-of-the//role=="]
USER = {"aws_access_key_id": "AKIDUSER", "aws_secret_access_key": SECRETS[0]}
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/me</Arn><AssumedRoleId>A:me</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
DENIED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"""

BUSY = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"""


class Aws:
    """Gives out credentials that are about to expire, numbered; notes who asked for what."""

    def __init__(self):
        self.asked = []
        self.denies = False
        self.busy = False
        aws = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, code, text):
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def given(self):
                expires = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
                return {
                    "number": len(aws.asked),
                    "secret": SECRETS[1],
                    "token": SECRETS[2],
                    "expires": expires,
                }

            def do_GET(self):
                aws.asked.append({"path": self.path})
                given = self.given()
                self.answer(200, json.dumps({
                    "AccessKeyId": f"ASIA{given['number']}", "SecretAccessKey": given["secret"],
                    "Token": given["token"], "Expiration": given["expires"],
                }))  # fmt: skip

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                aws.asked.append({name: value for name, [value] in parse_qs(body).items()} | {
                    "signed": self.headers["Authorization"]
                })  # fmt: skip
                if aws.busy:
                    self.answer(400, BUSY)
                else:
                    self.answer(403, DENIED) if aws.denies else self.answer(
                        200, ASSUMED.format(**self.given())
                    )

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def aws(monkeypatch, tmp_path):
    for name in (
        "PROFILE",
        "ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY",
        "SESSION_TOKEN",
        "REGION",
        "DEFAULT_REGION",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / name))
    with Aws() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
        yield aws


def logins(**options):
    """Makes logins with the same section, one after the other; each is what a broker would get."""
    security = SecurityConfig(
        protocol="SASL_SSL", sasl_mechanism="AWS_MSK_IAM", aws_region="eu-west-1", **options
    )
    found = connection_options(["k:9098"], security, client_id="test", request_timeout_ms=1000)
    while True:
        yield json.loads(get_sasl_mechanism("AWS_MSK_IAM")(host="k", **found).auth_bytes())


def test_a_role_is_assumed_and_renewed(aws):
    attempts = logins(**USER, aws_role_arn=ROLE, aws_role_session_name="me")
    first, second = next(attempts), next(attempts)
    asked = aws.asked[0]
    assert (asked["Action"], asked["RoleArn"], asked["RoleSessionName"]) == ("AssumeRole", ROLE, "me")
    assert "Credential=AKIDUSER/" in asked["signed"]
    assert "/eu-west-1/sts/" in asked["signed"]
    for message in (first, second):
        assert message["x-amz-credential"].startswith("ASIA")
        assert message["x-amz-security-token"] == SECRETS[2]
    # They were about to expire.
    assert first["x-amz-credential"] < second["x-amz-credential"]


def test_a_role_has_a_name_for_its_session(aws):
    next(logins(**USER, aws_role_arn=ROLE))
    assert aws.asked[0]["RoleSessionName"] == "rivven-kafka"


def test_a_container_gives_credentials(aws, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/credentials")
    attempts = logins()
    assert next(attempts)["x-amz-credential"] < next(attempts)["x-amz-credential"]
    assert {asked["path"] for asked in aws.asked} == {"/credentials"}


def test_a_role_that_may_not_be_assumed(aws):
    aws.denies = True
    with pytest.raises(AuthenticationError, match="AWS gives no credentials: .*AccessDenied"):
        next(logins(**USER, aws_role_arn=ROLE))


def test_a_login_while_aws_is_busy_is_tried_again(aws):
    attempts = logins(**USER, aws_role_arn=ROLE)
    next(attempts)
    aws.busy = True
    with pytest.raises(kafka_errors.KafkaConnectionError, match="AWS gives no credentials now: .*Throttling"):
        next(attempts)
    with pytest.raises(ConnectError, match="AWS gives no credentials now: .*Throttling"):
        next(logins(**USER, aws_role_arn=ROLE))
    aws.busy = False
    assert next(logins(**USER, aws_role_arn=ROLE))["x-amz-credential"].startswith("ASIA")


def test_aws_that_does_not_answer(aws, monkeypatch):
    with ReservedPort() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{port.address}")
        with pytest.raises(ConnectError, match="cannot obtain AWS credentials: .*connect"):
            next(logins(**USER, aws_role_arn=ROLE))


def test_a_refusal_later_ends_the_login_and_shows_no_secret(aws):
    attempts = logins(**USER, aws_role_arn=ROLE)
    next(attempts)
    aws.denies = True
    with pytest.raises(kafka_errors.SaslAuthenticationFailedError, match="AccessDenied") as raised:
        next(attempts)
    assert leaks({"error": repr(raised.value)}, SECRETS) == []


@pytest.mark.parametrize("filtered", [True, False])
def test_debug_messages_of_botocore_are_left_out(aws, filtered):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    if filtered:
        handler.addFilter(KafkaSecretsFilter())
    loggers = [logging.getLogger(name) for name in ("", "botocore", "urllib3", "kafka")]
    levels = [each.level for each in loggers]
    try:
        loggers[0].addHandler(handler)
        for each in loggers:
            each.setLevel(logging.DEBUG)
        next(logins(**USER, aws_role_arn=ROLE))
    finally:
        loggers[0].removeHandler(handler)
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
    found = leaks({"log": stream.getvalue()}, SECRETS)
    # Without the filter there is something to find.
    assert bool(found) is not filtered
