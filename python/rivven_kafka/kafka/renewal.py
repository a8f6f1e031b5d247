"""Tokens of an endpoint, renewed before they expire, for all clients with the same credentials."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
import weakref
from typing import NamedTuple

from kafka.net.sasl.oauth import AbstractTokenProvider

from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka.token_endpoint import TokenEndpoint
from rivven_kafka.kafka.usable import require_certificates

log = logging.getLogger(__name__)

_FETCH_S = 10.0
"""Longest wait for an endpoint."""

_RENEW_AT = (0.7, 0.8)
"""After what part of its life a token is renewed: kafka-python logs in anew at 85 to 95 % of a session."""

_GOOD_UNTIL = 0.98
"""A token on its way to the broker must not expire there."""

_AGAIN_S = (0.5, 10.0)
"""Pause after an endpoint did not hand out a token: the shortest and the longest."""


class _Held(NamedTuple):
    """A token and its times, by the monotonic clock (s); `expires` in seconds since 1970, None if unknown."""

    text: str
    renew_at: float
    good_until: float
    expires: float | None


class EndpointToken(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python is untyped
    """Hands out tokens of an endpoint; a thread of its own renews them before they expire.

    Clients with the same credentials share one, see `endpoint_token`.

    Args:
        endpoint: Where the tokens come from.
        timeout_s: Longest wait for it (s).
    """

    def __init__(self, endpoint: TokenEndpoint, timeout_s: float = _FETCH_S) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._held: _Held | None = None
        self._doubted: str | None = None
        self._fetching = threading.Lock()
        self._failed: tuple[float, RivvenKafkaError] | None = None
        self._failures = 0
        self._renews = False
        self._ended = threading.Event()
        # Also when nobody refers to it any more.
        weakref.finalize(self, self._ended.set)

    def require_usable(self) -> None:
        """Makes sure that its certificate file can be loaded.

        Raises:
            ConfigError: It cannot.
        """
        if self._endpoint.ca_file is not None:
            require_certificates("security.oauth.ssl_ca_cert", self._endpoint.ca_file)

    def token(self) -> str:
        """A token that is in date: the one at hand, or a new one.

        Raises:
            AuthenticationError: There is none, and the endpoint refuses to hand one out.
            ConnectError: There is none, and the endpoint cannot be reached.
        """
        held = self._good()
        if held is None or held.text == self._doubted:
            with self._fetching:
                held = self._good()
                if held is None:
                    held = self._fetch()
                elif held.text == self._doubted:
                    # Others may still accept it.
                    with contextlib.suppress(RivvenKafkaError):
                        held = self._fetch()
                self._start_renewing()
        return held.text

    def doubt(self) -> None:
        """A broker does not accept the token at hand: another one is asked for, if there is one to be had."""
        held = self._held
        self._doubted = None if held is None else held.text

    @property
    def expires(self) -> float | None:
        """When the token at hand expires (s since 1970); None if there is none, or it is not told."""
        held = self._held
        return None if held is None else held.expires

    def _good(self) -> _Held | None:
        held = self._held
        return held if held is not None and time.monotonic() < held.good_until else None

    def _fetch(self) -> _Held:
        """Asks the endpoint, unless it has just failed to answer; to be called by one thread at a time."""
        if self._failed is not None and time.monotonic() < self._failed[0]:
            raise self._failed[1]
        begin = time.monotonic()
        try:
            token = self._endpoint.fetch(self._timeout_s)
        except RivvenKafkaError as error:
            shortest, longest = _AGAIN_S
            pause = min(shortest * 2**self._failures, longest)
            self._failures += 1
            self._failed = time.monotonic() + pause, error
            raise
        self._failed, self._failures = None, 0
        renew_at = begin + token.lifetime_s * random.uniform(*_RENEW_AT)
        # One whose life is not told is good for a moment only.
        expires = time.time() + begin - time.monotonic() + token.lifetime_s if token.lifetime_s > 0 else None
        held = self._held = _Held(token.text, renew_at, begin + token.lifetime_s * _GOOD_UNTIL, expires)
        log.debug("got a token that is good for %.0f s", token.lifetime_s)
        return held

    def _start_renewing(self) -> None:
        held = self._held
        # One whose life is not told is asked for at each login.
        if self._renews or held is None or self._good() is None:
            return
        self._renews = True
        threading.Thread(
            target=_keep_fresh, args=(weakref.ref(self), self._ended), name="token renewal", daemon=True
        ).start()

    def renew_if_due(self) -> float:
        """Renews the token when it is time to; returns after how long to ask again (s)."""
        held = self._held
        assert held is not None
        now = time.monotonic()
        if now < held.renew_at:
            return held.renew_at - now
        with self._fetching:
            try:
                fresh = self._fetch()
            except RivvenKafkaError as error:
                left = held.good_until - time.monotonic()
                log.warning("%s; the token at hand %s", error, _left(left))
                assert self._failed is not None
                return max(self._failed[0] - time.monotonic(), 0.0)
        return max(fresh.renew_at - time.monotonic(), _AGAIN_S[0])


def _left(seconds: float) -> str:
    return f"is good for {seconds:.0f} s" if seconds > 0 else "has expired"


def _keep_fresh(provider: weakref.ref[EndpointToken], ended: threading.Event) -> None:
    pause = 0.0
    while not ended.wait(pause):
        found = provider()
        if found is None:
            return
        pause = found.renew_if_due()
        # Not held while waiting, so that it can end.
        del found


_SHARED: weakref.WeakValueDictionary[TokenEndpoint, EndpointToken] = weakref.WeakValueDictionary()
_SHARING = threading.Lock()


def endpoint_token(endpoint: TokenEndpoint) -> EndpointToken:
    """The tokens of that endpoint, the same ones for all that ask it with the same credentials."""
    with _SHARING:
        found = _SHARED.get(endpoint)
        if found is None:
            found = _SHARED[endpoint] = EndpointToken(endpoint)
        return found


def endpoint_expiry(endpoint: TokenEndpoint) -> float | None:
    """When the token that was fetched there last expires (s since 1970); None if none is known."""
    with _SHARING:
        found = _SHARED.get(endpoint)
    return None if found is None else found.expires
