"""Tokens from an endpoint over HTTP and HTTPS, and what is said when it hands out none; never the secret."""

import socket
import traceback
from contextlib import closing
from dataclasses import replace

import pytest
from rivven_kafka.errors import AuthenticationError, ConnectError
from rivven_kafka.kafka.token_endpoint import TokenEndpoint

from tests.support.secured_kafka import make_certificate
from tests.support.token_issuer import CLIENT, SCOPE, SECRET, TokenIssuer

pytestmark = pytest.mark.integration

ODD = "a+b /c:%&=ä"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("issuer")


@pytest.fixture(scope="module")
def issuers(directory):
    pair = directory / "certificate.pem", directory / "key.pem"
    make_certificate(*pair)
    with TokenIssuer(directory) as plain, TokenIssuer(directory, pair) as secure:
        yield {"http": plain, "https": secure}


@pytest.fixture
def plain(issuers):
    yield issuers["http"]
    issuers["http"].refuse = None


def endpoint(issuer, **options):
    return TokenEndpoint(issuer.token_url, CLIENT, SECRET, SCOPE, **options)


def failure(endpoint, kind, timeout_s=5.0):
    with pytest.raises(kind) as caught:
        endpoint.fetch(timeout_s)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert ODD not in shown
    assert endpoint.url in str(caught.value)
    return str(caught.value)


def test_a_token_and_its_life(plain):
    plain.lifetime_s = 300
    token = endpoint(plain).fetch(5.0)
    assert token.text.count(".") == 2
    assert token.lifetime_s == 300


def test_over_tls(issuers, directory):
    """Only with a certificate that is trusted."""
    secure = issuers["https"]
    assert endpoint(secure, ca_file=str(directory / "certificate.pem")).fetch(5.0).text
    told = failure(endpoint(secure), AuthenticationError)
    assert "its certificate is not accepted" in told
    assert "security.oauth.ssl_ca_cert" in told


def test_the_secret_travels_as_in_a_form(plain, monkeypatch):
    monkeypatch.setattr("tests.support.token_issuer.SECRET", ODD)
    assert replace(endpoint(plain), client_secret=ODD).fetch(5.0).text
    assert "invalid_client" in failure(endpoint(plain), AuthenticationError)


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (
            (400, b'{"error": "unauthorized_client"}'),
            AuthenticationError,
            "HTTP status 400 (unauthorized_client)",
        ),
        (
            (401, b'{"error": "no such thing: client-secret"}'),
            AuthenticationError,
            "HTTP status 401: look at",
        ),
        ((403, b"client-secret"), ConnectError, "HTTP status 403"),
        ((404, b"[]"), ConnectError, "HTTP status 404"),
        ((302, b""), ConnectError, "HTTP status 302: expected a URL that does not redirect"),
        ((429, b""), ConnectError, "HTTP status 429"),
        ((500, b"client-secret"), ConnectError, "HTTP status 500"),
        ((503, b'{"error": "temporarily_unavailable"}'), ConnectError, "503 (temporarily_unavailable)"),
        ((200, b"client-secret"), ConnectError, "no JSON object"),
        ((200, b'{"token": "client-secret"}'), ConnectError, "no access_token"),
        ((200, b'{"access_token": "a\\u0001auth=x"}'), ConnectError, "no access_token"),
        ((200, b'{"access_token": "a", "token_type": "mac"}'), ConnectError, "token_type"),
        ((200, b" " * 2**21), ConnectError, "HTTPException"),
    ],
)
def test_what_is_no_token(plain, answer, kind, told):
    plain.refuse = answer
    assert told in failure(endpoint(plain), kind)


@pytest.mark.parametrize(
    "given", [b"", b', "expires_in": "x"', b', "expires_in": -1', b', "expires_in": 1e999']
)
def test_a_life_that_is_not_told(plain, given):
    plain.refuse = 200, b'{"access_token": "abc"' + given + b"}"
    assert endpoint(plain).fetch(5.0) == ("abc", 0.0)


def test_an_endpoint_that_is_away():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = TokenEndpoint(f"http://127.0.0.1:{nobody.getsockname()[1]}/", CLIENT, SECRET)
        assert "connection refused" in failure(away, ConnectError)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        mute = TokenEndpoint(f"http://127.0.0.1:{silent.getsockname()[1]}/", CLIENT, SECRET)
        assert "no answer in time" in failure(mute, ConnectError, 0.2)


def test_no_proxy_within_this_host(plain, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert endpoint(plain).fetch(5.0).text
