"""From the security section to kafka-python's options."""

import json

from kafka.net.sasl import get_sasl_mechanism
from rivven_kafka.config import SecurityConfig
from rivven_kafka.kafka.credentials import connection_options

KEYS = {
    "protocol": "SASL_SSL",
    "sasl_mechanism": "AWS_MSK_IAM",
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "very-secret",
}


def options(**security):
    return connection_options(
        ["k:9092"], SecurityConfig(**security), client_id="test", request_timeout_ms=1000
    )


def test_plain_text_sends_no_credentials():
    assert not [name for name in options() if name.startswith(("ssl_", "sasl_"))]


def test_tls_and_login_reach_kafka_python():
    found = options(
        protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="user",
        sasl_password="pass",
        ssl_ca_cert="ca.pem",
        ssl_client_cert="c.pem",
        ssl_client_key="k.pem",
        ssl_key_password="kp",
    )
    expected = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "user",
        "sasl_plain_password": "pass",
        "ssl_cafile": "ca.pem",
        "ssl_certfile": "c.pem",
        "ssl_keyfile": "k.pem",
        "ssl_password": "kp",
        "ssl_check_hostname": True,
    }
    assert expected.items() <= found.items()


def test_a_static_token_is_handed_out():
    found = options(protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", oauth_token="t0k3n")
    assert found["sasl_oauth_token_provider"].token() == "t0k3n"


def test_msk_signs_with_the_configured_keys():
    found = options(**KEYS, aws_region="eu-west-1", aws_session_token="session")
    assert "very-secret" not in repr(found)
    mechanism = get_sasl_mechanism("AWS_MSK_IAM")(host="broker.example", **found)
    message = json.loads(mechanism.auth_bytes())
    assert message["host"] == "broker.example"
    assert message["x-amz-credential"].startswith("AKIDEXAMPLE/")
    assert message["x-amz-credential"].endswith("/eu-west-1/kafka-cluster/aws4_request")
    assert message["x-amz-security-token"] == "session"
    assert "very-secret" not in json.dumps(message)
