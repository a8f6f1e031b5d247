"""What may be changed over HTTP: connectors are paused, resumed and restarted by whoever knows the token."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import SecretStr

from rivven_kafka.runtime.connector import Connector
from rivven_kafka.runtime.runner import Runner

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

log = logging.getLogger(__name__)

_PREFIX = "/connectors/"
_METHODS = ("POST", "PUT")
# The calls take none; what comes along all the same is read, so that the answer arrives.
_MAX_BODY_BYTES = 4096
# Whoever can connect could fill the log.
_LOG_EVERY_S = 10.0
_ACTIONS: dict[str, Callable[[Connector], bool | None]] = {
    "pause": lambda connector: connector.pause(),
    "resume": lambda connector: connector.resume(),
    "restart": lambda connector: connector.restart(),
}

Outcome = tuple[str, dict[str, object], list[tuple[str, str]]]
"""Status, body and headers of an answer."""


class Control:
    """Answers `/connectors/NAME/pause`, `/resume` and `/restart`, as Kafka Connect names them.

    A browser cannot be made to call it by a page from elsewhere: the token goes into a header, which asks
    for a permission that is never given.

    Args:
        runner: The connectors.
        token: What a caller has to know; None: nothing is answered.
    """

    def __init__(self, runner: Runner, token: SecretStr | None) -> None:
        self._runner = runner
        self._token = None if token is None else token.get_secret_value().encode()
        self._next_log = 0.0

    def takes(self, path: str) -> bool:
        """Whether a path is one of these."""
        return self._token is not None and path.startswith(_PREFIX)

    def answer(self, environ: WSGIEnvironment) -> Outcome:
        """Does what is asked for."""
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            self._log_refusal(environ, "without a token")
            status, body, _ = _refusal("401 Unauthorized", "expected the header Authorization: Bearer TOKEN")
            return status, body, [("WWW-Authenticate", 'Bearer realm="rivven-kafka"')]
        # WSGI hands over bytes as if they were Latin-1.
        if not hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token or b""):
            self._log_refusal(environ, "with a wrong token")
            return _refusal("403 Forbidden", "wrong token")
        # Nobody else can make us wait for one.
        if not _read_body(environ):
            return _refusal("413 Content Too Large", "expected no body")
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        name, _, action = path.removeprefix(_PREFIX).rpartition("/")
        if action not in _ACTIONS:
            expected = ", ".join(f"{_PREFIX}NAME/{known}" for known in _ACTIONS)
            return _refusal("404 Not Found", f"no such path; there are {expected}")
        if environ["REQUEST_METHOD"] not in _METHODS:
            status, body, _ = _refusal("405 Method Not Allowed", "expected POST or PUT")
            return status, body, [("Allow", ", ".join(_METHODS))]
        return self._do(name, action)

    def _do(self, name: str, action: str) -> Outcome:
        # A source and a sink may have the same name.
        connectors = self._runner.named(name)
        if not connectors:
            return _refusal("404 Not Found", "no such connector")
        log.info("%s, as asked over HTTP", action, extra={"connector": name})
        if False in [_ACTIONS[action](connector) for connector in connectors]:
            return _refusal("409 Conflict", "it has ended, or the process is about to")
        return "202 Accepted", {"name": name, "action": action}, []

    def _log_refusal(self, environ: WSGIEnvironment, what: str) -> None:
        now = time.monotonic()
        if now >= self._next_log:
            self._next_log = now + _LOG_EVERY_S
            log.warning("refused a control call of %s: %s", environ.get("REMOTE_ADDR", "unknown"), what)


def _refusal(status: str, error: str) -> Outcome:
    return status, {"error": error}, []


def _read_body(environ: WSGIEnvironment) -> bool:
    """Reads the body away; False if it is too large for that."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit() and len(length) <= len(str(_MAX_BODY_BYTES))):
        return False
    if int(length) > _MAX_BODY_BYTES:
        return False
    try:
        environ["wsgi.input"].read(int(length))
    except OSError:
        # It does not come; the answer does without it.
        return True
    return True
