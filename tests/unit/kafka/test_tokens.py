"""Bearer tokens: from a file, and from an endpoint that is asked as rarely as possible."""

import base64
import gc
import json
import threading
import time

import pytest
from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import ConnectError
from rivven_kafka.kafka.renewal import EndpointToken
from rivven_kafka.kafka.token_endpoint import Token, TokenEndpoint
from rivven_kafka.kafka.token_expiry import bearer_expiry, token_expiry
from rivven_kafka.kafka.tokens import FileToken, token_provider

from tests.support.connector import wait_until

SECRET = "very-secret"
ENDPOINT = {
    "token_endpoint_url": "https://login.example.com/token",
    "client_id": "c",
    "client_secret": SECRET,
}


class Endpoint:
    """Hands out numbered tokens that live for `lifetime_s`, unless it is told to fail."""

    ca_file = None

    def __init__(self, lifetime_s):
        self.lifetime_s = lifetime_s
        self.asked = 0
        self.fails = False

    def fetch(self, timeout_s):
        self.asked += 1
        if self.fails:
            raise ConnectError("no token from there")
        return Token(f"token-{self.asked}", self.lifetime_s)


def renewing():
    return [thread for thread in threading.enumerate() if thread.name == "token renewal"]


def test_one_token_serves_many_logins():
    endpoint = Endpoint(3600)
    provider = EndpointToken(endpoint)
    assert {provider.token() for _ in range(10)} == {"token-1"}
    assert endpoint.asked == 1


def test_threads_that_log_in_at_once_ask_once():
    endpoint = Endpoint(3600)
    provider = EndpointToken(endpoint)
    threads = [threading.Thread(target=provider.token) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert endpoint.asked == 1


def test_a_token_is_renewed_before_it_expires():
    endpoint = Endpoint(1.0)
    provider = EndpointToken(endpoint)
    begin = time.monotonic()
    assert provider.token() == "token-1"
    wait_until(lambda: endpoint.asked == 2, 5)
    # Nobody had to ask, and the old one was still good.
    assert 0.6 < time.monotonic() - begin < 0.98
    wait_until(lambda: provider.token() == "token-2", 5)


def test_a_life_that_is_not_known_is_a_login():
    endpoint = Endpoint(0.0)
    provider = EndpointToken(endpoint)
    assert [provider.token(), provider.token()] == ["token-1", "token-2"]


def test_an_endpoint_that_fails_is_not_asked_at_each_login():
    endpoint = Endpoint(3600)
    endpoint.fails = True
    provider = EndpointToken(endpoint)
    for _ in range(20):
        with pytest.raises(ConnectError, match="no token from there"):
            provider.token()
    assert endpoint.asked == 1
    endpoint.fails = False
    time.sleep(0.6)
    assert provider.token() == "token-2"


def test_the_token_at_hand_is_used_while_the_endpoint_fails(caplog):
    endpoint = Endpoint(1.0)
    provider = EndpointToken(endpoint)
    provider.token()
    endpoint.fails = True
    wait_until(lambda: endpoint.asked == 2, 5)
    assert provider.token() == "token-1"
    wait_until(lambda: "no token from there; the token at hand is good for" in caplog.text, 5)


def test_a_token_that_a_broker_refuses_is_replaced_if_another_one_is_to_be_had():
    endpoint = Endpoint(3600)
    provider = EndpointToken(endpoint)
    assert provider.token() == "token-1"
    endpoint.fails = True
    provider.doubt()
    # Other brokers may still accept it.
    assert provider.token() == "token-1"
    endpoint.fails = False
    wait_until(lambda: provider.token() == "token-3", 5)
    assert provider.token() == "token-3"
    assert endpoint.asked == 3


def test_the_thread_ends_with_the_last_client():
    provider = EndpointToken(Endpoint(3600))
    before = set(renewing())
    provider.token()
    [thread] = set(renewing()) - before
    del provider
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def provider_of(**options):
    return token_provider(SecurityConfig(protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **options))


def test_clients_with_the_same_credentials_share_their_tokens():
    first, second = (provider_of(oauth=ENDPOINT) for _ in range(2))
    other = provider_of(oauth={**ENDPOINT, "scope": "kafka"})
    assert first is second
    assert first is not other


def test_the_secret_is_not_shown():
    endpoint = TokenEndpoint("https://login.example.com/token", "c", SECRET)
    assert SECRET not in repr(endpoint)
    assert SECRET not in repr(vars(EndpointToken(endpoint)))


def test_a_file_is_read_at_each_login(tmp_path):
    path = tmp_path / "token"
    path.write_text("first.token\n")
    provider = provider_of(oauth={"token_file": str(path)})
    assert provider.token() == "first.token"
    path.write_text("second.token")
    assert provider.token() == "second.token"


@pytest.mark.parametrize("content", [None, b"", b"two tokens", b"\xff\xfe", b"a\x01auth=b"])
def test_a_file_without_a_token(tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    provider = FileToken(str(path))
    # One that is just being written is no reason to give up.
    with pytest.raises(ConnectError, match=r"^security\.oauth\.token_file: got '.*expected a file") as caught:
        provider.token()
    assert "auth" not in str(caught.value).replace("oauth", "")


def web_token(claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{part}.c2lnbmF0dXJl"


def security(**options):
    return SecurityConfig(protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **options)


@pytest.mark.parametrize(
    "claims", [{}, [], {"exp": "soon"}, {"exp": None}, {"exp": True}, {"exp": -1}, {"exp": 1e300}]
)
def test_a_token_that_does_not_tell_when_it_expires(claims):
    assert bearer_expiry(web_token(claims)) is None


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "..", "a.%.c", "e30.W10.x"])
def test_what_is_no_web_token_tells_nothing(token):
    assert bearer_expiry(token) is None


def test_the_expiry_of_a_token_that_was_given():
    token = web_token({"exp": 1_900_000_000, "sub": "me"})
    assert token_expiry(security(oauth_token=token)) == 1_900_000_000


def test_the_expiry_of_the_token_in_a_file(tmp_path):
    path = tmp_path / "token"
    given = security(oauth={"token_file": str(path)})
    assert token_expiry(given) is None, "there is no file"
    path.write_text(web_token({"exp": 17.5}))
    assert token_expiry(given) == 17.5


def test_the_expiry_of_a_token_of_an_endpoint():
    provider = EndpointToken(Endpoint(60))
    assert provider.expires is None
    before = time.time()
    provider.token()
    assert before + 60 <= provider.expires <= time.time() + 60
    endless = EndpointToken(Endpoint(0))
    endless.token()
    assert endless.expires is None


def test_the_expiry_is_asked_by_the_section():
    given = security(oauth=ENDPOINT)
    assert token_expiry(given) is None, "nobody has logged in"
    provider = token_provider(given)
    provider._endpoint = Endpoint(60)
    provider.token()
    assert time.time() + 50 < token_expiry(given) <= time.time() + 60
    assert token_expiry(SecurityConfig()) is None
