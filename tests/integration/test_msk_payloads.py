"""What is sent to log in with AWS_MSK_IAM, beside what Amazon's own client and botocore make of the same keys."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from kafka.net.sasl import get_sasl_mechanism, msk
from rivven_kafka.config import SecurityConfig
from rivven_kafka.kafka.credentials import connection_options

from tests.support.msk_dist import AwsLogin, amazon_payloads

pytestmark = pytest.mark.integration

EUROPE = "b-1.orders.abc123.c2.kafka.eu-west-1.amazonaws.com"
CHINA = "b-2.orders.abc123.c3.kafka.cn-north-1.amazonaws.com.cn"
LOGINS = {
    "keys": AwsLogin(EUROPE, "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    "temporary keys": AwsLogin(EUROPE, "ASIAEXAMPLE", "s3cr3t/+=", "FwoGZXIvYXdzE//+Ab=="),
    "another partition of AWS": AwsLogin(CHINA, "AKIDEXAMPLE", "s3cr3t"),
    "odd characters": AwsLogin(EUROPE, "AKID+/=~ *&?", "ü 漢 %2F\\\"'\t+", "t ö&=+/?%20~*!'()\"\\漢"),
}
REGIONS = {EUROPE: "eu-west-1", CHINA: "cn-north-1"}
# Says which client it is; it is not signed.
NOT_SIGNED = "user-agent"


@pytest.fixture(scope="module")
def amazon():
    return dict(zip(LOGINS, amazon_payloads(LOGINS.values()), strict=True))


def freeze(monkeypatch, text):
    """Stops the clock of both Python libraries at a time as AWS writes it."""
    moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment.astimezone(tz)

    class Module:
        datetime = Frozen
        timezone = type("timezone", (), {"utc": UTC})

    monkeypatch.setattr(msk, "datetime", Module)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: moment.replace(tzinfo=None))


def ours(login):
    security = SecurityConfig(
        protocol="SASL_SSL",
        sasl_mechanism="AWS_MSK_IAM",
        aws_access_key_id=login.access_key_id,
        aws_secret_access_key=login.secret_access_key,
        aws_session_token=login.session_token or None,
        aws_region=REGIONS[login.host],
    )
    options = connection_options(["k:9098"], security, client_id="test", request_timeout_ms=1000)
    message = get_sasl_mechanism("AWS_MSK_IAM")(host=login.host, **options).auth_bytes()
    return json.loads(message)


def botocores(login):
    request = AWSRequest("GET", f"https://{login.host}/?Action=kafka-cluster%3AConnect")
    keys = Credentials(login.access_key_id, login.secret_access_key, login.session_token or None)
    signer = botocore.auth.SigV4QueryAuth(keys, "kafka-cluster", REGIONS[login.host], expires=900)
    signer.add_auth(request)
    return {name.lower(): value for name, value in parse_qsl(urlsplit(request.url).query)}


def signed(payload):
    return {name: value for name, value in payload.items() if name != NOT_SIGNED}


@pytest.mark.parametrize("name", LOGINS)
def test_each_field_is_that_of_amazons_client(name, amazon, monkeypatch):
    freeze(monkeypatch, amazon[name]["x-amz-date"])
    message = ours(LOGINS[name])
    assert signed(message) == signed(amazon[name])
    assert message[NOT_SIGNED] != amazon[name][NOT_SIGNED] == "test"
    assert ("x-amz-security-token" in message) is bool(LOGINS[name].session_token)


@pytest.mark.parametrize("name", LOGINS)
def test_each_field_is_that_of_botocore(name, monkeypatch):
    freeze(monkeypatch, "20261126T235959Z")
    message = ours(LOGINS[name])
    expected = botocores(LOGINS[name])
    assert {field: message[field] for field in expected} == expected
    assert set(message) - set(expected) == {"version", "host", NOT_SIGNED}
    assert message["x-amz-date"] == "20261126T235959Z"


def test_another_key_or_time_makes_another_signature(monkeypatch):
    login = LOGINS["keys"]
    freeze(monkeypatch, "20261126T235959Z")
    first = ours(login)["x-amz-signature"]
    assert ours(login._replace(secret_access_key="another"))["x-amz-signature"] != first
    assert ours(login._replace(session_token="one"))["x-amz-signature"] != first
    freeze(monkeypatch, "20261127T000000Z")
    assert ours(login)["x-amz-signature"] != first
