"""Asks an OpenID Connect provider for a token with the client's own credentials (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote_plus, urlencode, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from rivven_kafka.errors import AuthenticationError, ConnectError, RivvenKafkaError
from rivven_kafka.kafka.tokens import is_bearer

_MOST_BYTES = 1024 * 1024
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_CLIENT_ERRORS = 400
_REFUSALS = {400, 401}
"""Source: RFC 6749, section 5.2."""


class Token(NamedTuple):
    """A bearer token.

    Attributes:
        text: The token.
        lifetime_s: How long it is good from when it was asked for (s); 0 if the endpoint does not tell.
    """

    text: str
    lifetime_s: float


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the secret is for this endpoint only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Makes it an error."""


@dataclass(frozen=True)
class TokenEndpoint:
    """A token endpoint, and who asks it.

    Attributes:
        url: Its URL; https, or http to this host itself.
        client_id: Who asks.
        client_secret: The secret of `client_id`.
        scope: What the token is to be good for; None to let the endpoint decide.
        ca_file: File with the CA certificates to trust (PEM); the system's if None.
    """

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    ca_file: str | None = None

    def fetch(self, timeout_s: float) -> Token:
        """Asks for a token.

        Args:
            timeout_s: Longest wait for the answer (s).

        Raises:
            AuthenticationError: The endpoint refuses, or cannot be trusted.
            ConnectError: It does not answer, or not with a token.
        """
        deadline = time.monotonic() + timeout_s
        try:
            with self._opener().open(self._request(), timeout=timeout_s) as response:
                body = _read(response, deadline)
        except HTTPError as error:
            with error:
                raise self._refused(error) from None
        except URLError as error:
            # Neither shown nor chained: only the reason is known to be free of the request.
            inner = error.reason
            failure = self._unreached(inner if isinstance(inner, BaseException) else error)
            raise failure from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreached(error) from None
        return self._token(body)

    def _opener(self) -> OpenerDirector:
        tls = HTTPSHandler(context=ssl.create_default_context(cafile=self.ca_file))
        if urlsplit(self.url).scheme == "http":
            # Within this host the secret travels as it is, so it must not take a way round.
            return build_opener(tls, _NoRedirect(), ProxyHandler({}))
        return build_opener(tls, _NoRedirect())

    def _request(self) -> Request:
        # Both are encoded as in a form first. Source: RFC 6749, section 2.3.1.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        form = {"grant_type": "client_credentials"}
        if self.scope is not None:
            form["scope"] = self.scope
        return Request(
            self.url,
            urlencode(form).encode(),
            {
                "Accept": "application/json",
                "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )

    def _refused(self, error: HTTPError) -> RivvenKafkaError:
        status = f"HTTP status {error.code}"
        code = _error_code(error)
        if code:
            status += f" ({code})"
        if error.code < _CLIENT_ERRORS:
            return ConnectError(f"{self._what}: {status}: expected a URL that does not redirect", code=code)
        if error.code not in _REFUSALS:
            # Also what a proxy says while the provider behind it is away.
            return ConnectError(f"{self._what}: {status}", code=code)
        return AuthenticationError(
            f"{self._what}: {status}: look at client_id, client_secret and scope in security.oauth", code=code
        )

    def _unreached(self, error: BaseException) -> RivvenKafkaError:
        code = type(error).__name__
        match error:
            case ssl.SSLCertVerificationError():
                return AuthenticationError(
                    f"{self._what}: its certificate is not accepted: {error.verify_message}: look at "
                    "security.oauth.ssl_ca_cert",
                    code=code,
                )
            case ssl.SSLError():
                return ConnectError(f"{self._what}: the TLS handshake failed: {error.reason}", code=code)
            case TimeoutError():
                return ConnectError(f"{self._what}: no answer in time", code=code)
            case OSError():
                return ConnectError(f"{self._what}: {error.strerror or code}".lower(), code=code)
        return ConnectError(f"{self._what}: does not answer as HTTP does: {code}", code=code)

    def _token(self, body: bytes) -> Token:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, Mapping):
            raise ConnectError(f"{self._what}: its answer is no JSON object with a token")
        text, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
        if not isinstance(text, str) or not is_bearer(text):
            raise ConnectError(f"{self._what}: its answer has no access_token that can be sent")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ConnectError(f"{self._what}: its answer has another token_type than Bearer")
        try:
            lifetime_s = float(answer.get("expires_in") or 0)
        except (TypeError, ValueError):
            lifetime_s = 0.0
        # Neither infinite nor not a number.
        return Token(text, lifetime_s if 0 < lifetime_s < float("inf") else 0.0)

    @property
    def _what(self) -> str:
        # Without the query, which may hold a key.
        url = urlsplit(self.url)
        return f"no token from {url.scheme}://{url.netloc}{url.path}"


def _read(response: Any, deadline: float) -> bytes:
    body = b""
    while chunk := response.read1(64 * 1024):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise http.client.HTTPException("the answer is too long")
        if time.monotonic() > deadline:
            raise TimeoutError
    return body


def _error_code(error: HTTPError) -> str | None:
    """The endpoint's word for what is wrong; other texts may repeat the request. Source: RFC 6749, 5.2."""
    try:
        answer = json.loads(error.read(64 * 1024))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    code = answer.get("error") if isinstance(answer, Mapping) else None
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else None
