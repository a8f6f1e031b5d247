"""Bearer tokens for OAUTHBEARER, as kafka-python asks for them at each login and each re-authentication."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kafka.net.sasl.oauth import AbstractTokenProvider

from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import ConnectError

if TYPE_CHECKING:
    from rivven_kafka.kafka.token_endpoint import TokenEndpoint

# Source: RFC 6750, section 2.1.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def is_bearer(text: str) -> bool:
    """Whether a text can be sent as a bearer token."""
    return _BEARER.fullmatch(text) is not None


class StaticToken(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python is untyped
    """Hands out one token that the user obtained elsewhere."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def token(self) -> str:
        """The bearer token as configured."""
        return self._token


class FileToken(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python is untyped
    """Hands out what a file holds, which somebody else keeps fresh, as Kubernetes does."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def token(self) -> str:
        """The bearer token that is in the file now.

        Raises:
            ConnectError: There is none, or it cannot be read; who keeps it fresh may be about to write it.
        """
        where = f"security.oauth.token_file: got {self._path!r}"
        try:
            text = Path(self._path).read_text().strip()
        except OSError as error:
            raise ConnectError(f"{where}: {error.strerror}: expected a file with a bearer token") from None
        except UnicodeDecodeError:
            text = ""
        if not is_bearer(text):
            raise ConnectError(f"{where}: expected a file with a bearer token and nothing else")
        return text


def token_provider(security: SecurityConfig) -> AbstractTokenProvider | None:
    """What hands out the tokens for OAUTHBEARER; None with other mechanisms.

    Args:
        security: Validated.
    """
    oauth = security.oauth
    if security.oauth_token is not None:
        return StaticToken(security.oauth_token.get_secret_value())
    if oauth.token_file is not None:
        return FileToken(oauth.token_file)
    endpoint = token_endpoint(security)
    if endpoint is None:
        return None
    # It takes long to import, and few need it.
    from rivven_kafka.kafka.renewal import endpoint_token

    return endpoint_token(endpoint)


def token_endpoint(security: SecurityConfig) -> TokenEndpoint | None:
    """Where the tokens for OAUTHBEARER are fetched; None if they are not.

    Args:
        security: Validated.
    """
    oauth = security.oauth
    if oauth.token_endpoint_url is None or oauth.client_id is None or oauth.client_secret is None:
        return None
    from rivven_kafka.kafka.token_endpoint import TokenEndpoint

    return TokenEndpoint(
        oauth.token_endpoint_url,
        oauth.client_id,
        oauth.client_secret.get_secret_value(),
        oauth.scope,
        oauth.ssl_ca_cert,
    )
