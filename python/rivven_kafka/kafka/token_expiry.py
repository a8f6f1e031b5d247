"""When the credentials that a connector has at the moment expire, as far as that can be known."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from rivven_kafka.config import SaslMechanism, SecurityConfig
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka.tokens import FileToken

_LATEST = 253_402_300_799
"""The end of the year 9999: what is later is no time (s since 1970)."""


def token_expiry(security: SecurityConfig) -> float | None:
    """When the token at hand expires (s since 1970); None where there is none, or it does not tell.

    Nothing is asked for: one that comes from an endpoint, and temporary keys of AWS, are known after the
    first login.

    Args:
        security: A section, validated.
    """
    if security.protocol not in ("SASL_PLAINTEXT", "SASL_SSL"):
        return None
    if security.sasl_mechanism is SaslMechanism.AWS_MSK_IAM:
        from rivven_kafka.kafka.msk import keys_expiry

        return keys_expiry(security)
    if security.oauth_token is not None:
        return bearer_expiry(security.oauth_token.get_secret_value())
    oauth = security.oauth
    if oauth.token_file is not None:
        try:
            return bearer_expiry(FileToken(oauth.token_file).token())
        except RivvenKafkaError:
            # The next login tells of it.
            return None
    if oauth.token_endpoint_url is not None:
        from rivven_kafka.kafka.renewal import endpoint_expiry
        from rivven_kafka.kafka.tokens import token_endpoint

        endpoint = token_endpoint(security)
        return None if endpoint is None else endpoint_expiry(endpoint)
    return None


def bearer_expiry(token: str) -> float | None:
    """When a bearer token expires by its own claim `exp` (s since 1970); None if it makes none.

    Not verified: that is for the brokers.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not 0 <= expiry <= _LATEST:
        return None
    return float(expiry)
