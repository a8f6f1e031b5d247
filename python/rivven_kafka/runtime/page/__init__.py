"""The live page: one document with its style and its script, which asks only for the status beside it."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def load() -> tuple[list[tuple[str, str]], bytes]:
    """The headers of the page, and the page.

    The browser runs this script and no other, whatever finds its way into the document.
    """
    document, style = _read("index.html"), _read("style.css")
    # One module: its parts see each other's names, and the rest of the document sees none of them.
    script = "\n".join(_read(name) for name in ("words.js", "card.js", "page.js"))
    text = document.replace("/* style */", style).replace("/* script */", script)
    policy = _POLICY.format(script=_source(script), style=_source(style))
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return headers, text.encode()


def _read(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a policy calls exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
