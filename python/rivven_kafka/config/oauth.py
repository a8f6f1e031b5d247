"""Where the bearer tokens for OAUTHBEARER come from, when they are not written in the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from rivven_kafka.config.aliases import OAUTH
from rivven_kafka.config.explain import BROKEN_RULE
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.values import FileName, Secret, Text

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_EXPECTED = "expected a URL, such as https://login.example.com/oauth2/token"


def _endpoint(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError(_EXPECTED)
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if url.username is not None or url.password is not None:
        # This type of error is shown without the value.
        raise PydanticCustomError(
            BROKEN_RULE, "got ***: expected a URL without a user: give client_id and client_secret"
        )
    if url.scheme not in ("http", "https") or not host or url.fragment:
        raise ValueError(_EXPECTED)
    if url.scheme == "http" and not _is_loopback(host):
        raise ValueError("expected https: client_secret must not travel without TLS, except within this host")
    return value


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


EndpointUrl = Annotated[Text, AfterValidator(_endpoint)]
"""An https URL; http only to this host itself."""

_OF_CLIENT = ("client_id", "client_secret")
_OF_ENDPOINT = (*_OF_CLIENT, "scope", "ssl_ca_cert")


class OAuthConfig(Model):
    """The `oauth` section inside `security`: either an endpoint, or a file that somebody else keeps fresh."""

    aliases = OAUTH

    token_endpoint_url: EndpointUrl | None = Field(
        None,
        description="Where an OpenID Connect provider hands out tokens for the client's own credentials; "
        "https, or http on loopback. A token is renewed before it expires.",
    )
    client_id: Text | None = Field(None, description="Who asks the endpoint for a token.")
    client_secret: Secret | None = Field(None, description="The secret of client_id.")
    scope: Text | None = Field(
        None, description="What the token is to be good for, as the endpoint names it."
    )
    ssl_ca_cert: FileName | None = Field(
        None,
        description="File with the CA certificates (PEM) to trust at the endpoint; default: the system's.",
    )
    token_file: FileName | None = Field(
        None, description="File with a token, read anew at each login; instead of an endpoint."
    )

    @property
    def given(self) -> bool:
        """Whether anything of it is."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check that there is one origin of tokens, with all that it needs."""
        if self.token_endpoint_url is not None:
            for option in _OF_CLIENT:
                if getattr(self, option) is None:
                    yield option, "missing: token_endpoint_url requires it"
            if self.token_file is not None:
                yield "token_file", "not used with token_endpoint_url: expected one of them"
            return
        unused = [option for option in _OF_ENDPOINT if getattr(self, option) is not None]
        for option in unused:
            yield option, "not used without token_endpoint_url"
