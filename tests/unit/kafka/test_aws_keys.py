"""Where the keys for AWS_MSK_IAM come from, without asking AWS."""

import builtins
import json
import sys
import traceback

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from kafka.net.sasl import get_sasl_mechanism
from rivven_kafka import KafkaSink, KafkaSource
from rivven_kafka.config import ConnectConfig, SecurityConfig
from rivven_kafka.errors import AuthenticationError, ConfigError, ConnectError
from rivven_kafka.kafka.credentials import connection_options
from rivven_kafka.kafka.msk import RenewedKeys, SectionKeys, aws_keys, require_aws
from rivven_kafka.kafka.refusal import reason
from rivven_kafka.runtime.runner import Runner

KEYS = {"aws_access_key_id": "AKIDGIVEN", "aws_secret_access_key": "s3cr3t"}
ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine that knows nothing of AWS, and where its files are looked for."""
    for name in ("REGION", "DEFAULT_REGION", "PROFILE", "DEFAULT_PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY",
                 "SESSION_TOKEN", "ROLE_ARN", "WEB_IDENTITY_TOKEN_FILE", "CONTAINER_CREDENTIALS_RELATIVE_URI",
                 "CONTAINER_CREDENTIALS_FULL_URI"):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def section(**options):
    return SecurityConfig(protocol="SASL_SSL", sasl_mechanism="AWS_MSK_IAM", **options)


def message(**options):
    found = connection_options(["k:9098"], section(**options), client_id="test", request_timeout_ms=1000)
    return json.loads(get_sasl_mechanism("AWS_MSK_IAM")(host="k", **found).auth_bytes())


def scope(**options):
    key, _, region, *_ = message(**options)["x-amz-credential"].split("/")
    return key, region


def environment(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def test_the_region_comes_from_the_option_or_the_environment(monkeypatch):
    with pytest.raises(
        ConfigError, match=r"security\.aws_region: missing: .* AWS_REGION or AWS_DEFAULT_REGION"
    ):
        message(**KEYS)
    environment(monkeypatch, DEFAULT_REGION="eu-north-1")
    assert scope(**KEYS) == ("AKIDGIVEN", "eu-north-1")
    environment(monkeypatch, REGION="eu-west-1")
    assert scope(**KEYS) == ("AKIDGIVEN", "eu-west-1")
    assert scope(**KEYS, aws_region="us-east-1") == ("AKIDGIVEN", "us-east-1")


def test_without_keys_those_of_the_environment_are_used(monkeypatch):
    environment(
        monkeypatch, ACCESS_KEY_ID="AKIDENV", SECRET_ACCESS_KEY="s", SESSION_TOKEN="t", REGION="eu-west-1"
    )
    assert scope() == ("AKIDENV", "eu-west-1")
    assert message()["x-amz-security-token"] == "t"


def test_a_profile_gives_keys_and_region(machine, monkeypatch):
    (machine / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s\n"
        "[moves]\naws_access_key_id = AKIDMOVES\naws_secret_access_key = s\n"
    )
    (machine / "config").write_text("[default]\nregion = eu-west-3\n[profile moves]\nregion = sa-east-1\n")
    assert scope() == ("AKIDDEFAULT", "eu-west-3")
    assert scope(aws_profile="moves") == ("AKIDMOVES", "sa-east-1")
    assert scope(aws_profile="moves", aws_region="us-east-2") == ("AKIDMOVES", "us-east-2")
    # What is asked for by name comes before what happens to be in the environment.
    environment(monkeypatch, ACCESS_KEY_ID="AKIDENV", SECRET_ACCESS_KEY="s")
    assert scope(aws_profile="moves") == ("AKIDMOVES", "sa-east-1")
    with pytest.raises(ConfigError, match="AWS credentials: The config profile .nobody. could not be found"):
        message(aws_profile="nobody")


def test_each_login_uses_the_keys_of_its_time():
    class Changing:
        number = 0

        def get_frozen_credentials(self):
            self.number += 1
            return type("Frozen", (), {"access_key": f"AKID{self.number}", "secret_key": "s", "token": None})

    keys = RenewedKeys(Changing(), "eu-west-1")
    mechanism = get_sasl_mechanism("AWS_MSK_IAM")
    connection_options(["k:1"], section(**KEYS, aws_region="r"), client_id="t", request_timeout_ms=1)
    for number in (1, 2):
        login = mechanism(host="k", sasl_oauth_token_provider=keys)
        assert json.loads(login.auth_bytes())["x-amz-credential"].startswith(f"AKID{number}/")


def test_no_credentials_are_told_before_anything_connects():
    with pytest.raises(
        ConnectError, match="no AWS credentials found: expected security.aws_access_key_id"
    ) as raised:
        message(aws_region="eu-west-1")
    # The service of an instance may only be away: a connector that runs tries again.
    assert raised.value.retriable
    # A later start may find some.
    require_aws(section(aws_region="eu-west-1"))


@pytest.mark.parametrize("options", [{}, {"aws_profile": "p"}, {**KEYS, "aws_role_arn": ROLE}])
def test_without_botocore_it_is_named(options, monkeypatch):
    load = builtins.__import__

    def without(name, *arguments, **more):
        if name.partition(".")[0] == "botocore":
            raise ImportError(name)
        return load(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for act in (message, lambda **given: require_aws(section(**given))):
        with pytest.raises(ConfigError, match=r"needs botocore .* pip install 'rivven-kafka\[msk\]'"):
            act(aws_region="eu-west-1", **options)
    # Keys alone need none.
    assert scope(**KEYS, aws_region="eu-west-1") == ("AKIDGIVEN", "eu-west-1")


@pytest.mark.parametrize("connector", [KafkaSource, KafkaSink])
def test_a_check_tells_what_is_missing_and_connects_to_nothing(connector):
    source = connector(
        brokers="127.0.0.1:1", topic="t", request_timeout_ms=1000,
        security={"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"},
    )  # fmt: skip
    first = source.check().checks[0]
    assert (first.name, first.status) == ("config", "failed")
    assert first.detail.startswith("security.aws_region: missing")


def test_the_keys_show_nothing():
    keys = aws_keys(section(**KEYS, aws_session_token="s3cr3t-token", aws_region="eu-west-1"))
    assert "s3cr3t" not in repr(keys) + str(keys)


def test_only_aws_is_asked_for_aws():
    require_aws(SecurityConfig())


NO_JSON = f"{sys.executable} -c \"print('AKIDPROGRAM s3cr3t')\""
ANOTHER_SHAPE = f"{sys.executable} -c \"print('[1]')\""
PROGRAMS = {
    "not there": ("/nowhere/keys", "cannot obtain AWS credentials: /nowhere/keys: No such file or directory"),
    "no JSON": (NO_JSON, "cannot obtain AWS credentials: the answer makes no sense (JSONDecodeError)"),
    "another shape": (
        ANOTHER_SHAPE,
        "cannot obtain AWS credentials: the answer makes no sense (AttributeError)",
    ),
    "fails": (
        "false",
        "cannot obtain AWS credentials: Error when retrieving credentials from custom-process: ",
    ),
}


@pytest.mark.parametrize(("program", "expected"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_gives_no_keys(machine, program, expected):
    (machine / "config").write_text(f"[default]\nregion = eu-west-1\ncredential_process = {program}\n")
    config = ConnectConfig(
        broker={"bootstrap_servers": "r:9092"},
        sources={"in": {"connector": "kafka", "topic": "t", "config": {
            "brokers": "k:9098", "topic": "t",
            "security": {"protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"},
        }}},
    )  # fmt: skip
    with pytest.raises(ConfigError) as at_start:
        Runner(config)
    assert str(at_start.value) == f"security: {expected}"
    # A connector that runs tries again.
    with pytest.raises(ConnectError) as later:
        SectionKeys(section()).current()
    assert str(later.value) == expected
    assert "s3cr3t" not in "".join(
        text for raised in (at_start, later) for text in traceback.format_exception(raised.value)
    )


def test_a_token_of_web_identity_that_is_not_there(machine, monkeypatch):
    missing = str(machine / "token")
    environment(monkeypatch, ROLE_ARN=ROLE, WEB_IDENTITY_TOKEN_FILE=missing, REGION="eu-west-1")
    require_aws(section())
    with pytest.raises(ConnectError, match=f"cannot obtain AWS credentials: {missing}: No such file"):
        SectionKeys(section()).current()


REFUSALS = [
    (ClientError({"Error": {"Code": "Throttling"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "AssumeRole"), False),
    (ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": 429}}, "AssumeRole"), False),
    (ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "AssumeRole"), False),
    (ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "AssumeRole"), True),
    (ClientError({"Error": {"Code": "x"}}, "AssumeRole"), True),
    (CredentialRetrievalError(provider="iam-role", error_msg="no answer"), False),
    (json.JSONDecodeError("Expecting value", "s3cr3t", 0), False),
    (FileNotFoundError(2, "No such file or directory", "/nowhere/keys"), False),
]  # fmt: skip


@pytest.mark.parametrize(("error", "final"), REFUSALS, ids=[str(error) for error, _ in REFUSALS])
def test_only_a_refusal_that_does_not_pass_is_final(error, final):
    class Refusing:
        def get_frozen_credentials(self):
            raise error

    keys = RenewedKeys(Refusing(), "eu-west-1")
    with pytest.raises(AuthenticationError if final else ConnectError) as raised:
        keys.current()
    assert "s3cr3t" not in "".join(traceback.format_exception(raised.value))
    options = connection_options(
        ["k:1"], section(**KEYS, aws_region="r"), client_id="t", request_timeout_ms=1
    )
    login = get_sasl_mechanism("AWS_MSK_IAM")(host="k", sasl_oauth_token_provider=keys)
    with pytest.raises(SaslAuthenticationFailedError if final else KafkaConnectionError) as refused:
        login.auth_bytes()
    assert reason(refused.value, options).final is final


def test_keys_of_the_file_are_used_without_a_look_at_the_files_of_aws(machine):
    (machine / "config").write_text("[default]\nregion = eu-west-3\n")
    with pytest.raises(ConfigError, match=r"security\.aws_region: missing"):
        message(**KEYS)
    described = SecurityConfig.model_fields["aws_region"].description
    assert "AWS configuration files, unless keys are given without aws_role_arn" in described
