"""Asking the HTTP endpoints of a running connector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPMessage
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came back."""

    code: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def ask(
    address: str,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Sends one request to `host:port`.

    Raises:
        OSError: Nobody answers there.
    """
    connection = HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def answers(address: str, path: str, code: int = 200) -> bool:
    """Whether somebody listens there and answers with `code`."""
    try:
        return ask(address, path).code == code
    except OSError:
        return False
