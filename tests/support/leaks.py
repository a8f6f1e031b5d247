"""Looks for secrets in text, also in the forms that they take on the wire and in URLs."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus


def forms(secret: str) -> Iterator[str]:
    """What a secret may look like: plain, escaped, in hex, in a URL, and in base64 at any place of a message."""
    raw = secret.encode()
    yield secret
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield repr(raw)[2:-1]
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield raw.hex()
    yield raw.hex().upper()
    yield raw.hex(" ")
    yield raw.hex(":")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # The characters at both ends depend on what stands around the secret.
            start, end = -(-before * 4 // 3), (before + len(raw)) * 4 // 3
            yield encode(bytes(before) + raw).decode()[start:end]


def leaks(texts: Mapping[str, str], secrets: Iterable[str]) -> list[str]:
    """Where secrets are found: the names of the texts, and what stands before them.

    Args:
        texts: By name.
        secrets: What must be in none of them.
    """
    found = []
    for secret in secrets:
        for form in set(forms(secret)):
            for name, text in texts.items():
                at = text.find(form)
                if at >= 0:
                    found.append(f"{name}: {text[max(0, at - 120) : at]}***")
    return found
