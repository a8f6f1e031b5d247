"""From the configuration to the arguments of the native client."""

import pytest
from rivven_kafka._native import RivvenClient, RivvenSecurity
from rivven_kafka.config import BrokerConfig, Settings
from rivven_kafka.errors import ConfigError
from rivven_kafka.rivven.options import client_arguments, security_warnings

from tests.support.certificates import Certificates

INT32 = 2**31 - 1


@pytest.mark.parametrize(
    "option", ["max_retries", "initial_backoff_ms", "max_backoff_ms", "backoff_multiplier"]
)
def test_retries_are_taken_as_far_as_native_code_counts(option):
    settings = Settings.build({"retry": {"max_backoff_ms": INT32, option: INT32}})
    assert getattr(settings.retry, option) == INT32
    RivvenClient(**client_arguments(BrokerConfig(bootstrap_servers="127.0.0.1:1"), settings.retry, "me"))
    for value in (INT32 + 1, 10**30):
        with pytest.raises(ConfigError, match=rf"^retry.{option}: got {value}: expected .* to 2147483647"):
            Settings.build({"retry": {"max_backoff_ms": INT32, option: value}})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def arguments(**broker):
    retry = Settings.build({}).retry
    return client_arguments(BrokerConfig(bootstrap_servers="127.0.0.1:1", **broker), retry, "me")


def test_without_tls_and_login_there_is_nothing_to_secure():
    assert arguments()["security"] is None
    # Files of a TLS that is off are not looked at.
    assert arguments(tls={"enabled": False, "ca_path": "/nowhere"})["security"] is None


def test_the_files_of_tls_are_read_before_anything_is_connected(certificates, tmp_path):
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    client, ca = certificates.client, certificates.ca
    own = {"cert_path": str(client.path), "key_path": str(client.key)}
    assert arguments(tls={"enabled": True, "ca_path": str(ca.path), **own})["security"] is not None
    for option, path, problem in [
        ("ca_path", "/nowhere.pem", "No such file or directory"),
        ("ca_path", tmp_path, "Is a directory"),
        ("ca_path", junk, "it holds no certificate"),
        ("cert_path", junk, "it holds no certificate"),
        ("key_path", "/nowhere.pem", "No such file or directory"),
        ("key_path", client.path, "it holds no private key, or one that is encrypted"),
        ("key_path", ca.key, "it is not the key of the certificate in cert_path"),
    ]:
        with pytest.raises(ConfigError) as caught:
            arguments(tls={"enabled": True, "ca_path": str(ca.path), **own, option: str(path)})
        assert str(caught.value) == f"broker.tls.{option}: got '{path}': {problem}: expected a PEM file"


def test_the_password_is_not_shown():
    auth = {"username": "bridge", "password": "very-secret"}
    shown = arguments(auth=auth)
    assert isinstance(shown["security"], RivvenSecurity)
    assert "very-secret" not in repr(shown)
    assert "very-secret" not in repr(BrokerConfig(bootstrap_servers="a:1", auth=auth))


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ({}, []),
        ({"tls": {"enabled": True}}, []),
        ({"tls": {"insecure": True}}, []),
        ({"tls": {"enabled": True, "insecure": True}}, ["broker.tls.insecure: "]),
        ({"auth": True}, []),
        ({"auth": True, "bootstrap_servers": "localhost:1,[::1]:2,127.8.9.1:3"}, []),
        ({"auth": True, "bootstrap_servers": "localhost:1,rivven:2,10.0.0.1:3"},
         ["broker.auth: the login at rivven:2, 10.0.0.1:3 "]),
        ({"auth": True, "bootstrap_servers": "rivven:2", "tls": {"enabled": True}}, []),
    ],
)  # fmt: skip
def test_what_is_warned_of(broker, expected):
    auth = {"auth": {"username": "u", "password": "p"}} if "auth" in broker else {}
    config = BrokerConfig(**{"bootstrap_servers": "127.0.0.1:1", **broker, **auth})
    warnings = list(security_warnings(config))
    assert len(warnings) == len(expected)
    assert all(text.startswith(start) for text, start in zip(warnings, expected, strict=True))
