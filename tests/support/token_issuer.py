"""A small OpenID Connect provider: it hands out signed tokens for a client's secret, and tells its public key."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from tests.support.secured_kafka import openssl

CLIENT, SECRET, SCOPE, AUDIENCE = "bridge", "client-secret", "kafka", "the-kafka"
_KEY_ID = "only"


class TokenIssuer:
    """Serves until it is closed.

    Args:
        directory: Where its key goes.
        certificate: Its certificate (PEM) and private key; plain HTTP without.

    Attributes:
        lifetime_s: How long its tokens are good for (s).
        refuse: The HTTP status and the body with which it refuses every request; None to hand out tokens.
        issued: Tokens handed out.
        requests: Requests for a token, also those that were refused.
    """

    def __init__(self, directory: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.lifetime_s = 3600
        self.refuse: tuple[int, bytes] | None = None
        self.issued = self.requests = 0
        self._key = directory / "issuer.pem"
        if not self._key.exists():
            openssl("genrsa", "-out", self._key, "2048")
        self._keys = json.dumps({"keys": [self._public_key()]}).encode()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, issuer._keys)

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self._send(*issuer._answer(self.headers.get("Authorization", ""), form))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is, which also is its name in the tokens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def token_url(self) -> str:
        """Its token endpoint."""
        return f"{self.url}/token"

    @property
    def keys_url(self) -> str:
        """Its public keys (JWKS)."""
        return f"{self.url}/keys"

    def token(self, lifetime_s: float | None = None, *, key: Path | None = None, **claims: Any) -> str:
        """A signed token.

        Args:
            lifetime_s: How long it is good for (s).
            key: What it is signed with, instead of the issuer's private key.
            claims: Other claims than usual.
        """
        now = time.time()
        expires = int(now + (self.lifetime_s if lifetime_s is None else lifetime_s))
        said = {"iss": self.url, "aud": AUDIENCE, "sub": CLIENT, "scope": SCOPE, "iat": int(now) - 60}
        parts = {"alg": "RS256", "kid": _KEY_ID, "typ": "JWT"}, {**said, "exp": expires, **claims}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        command = ["openssl", "dgst", "-sha256", "-sign", str(key or self._key)]
        signature = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{_encoded(signature)}"

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> TokenIssuer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, bytes]:
        self.requests += 1
        if self.refuse is not None:
            return self.refuse
        kind, _, pair = authorization.partition(" ")
        who = tuple(map(unquote_plus, base64.b64decode(pair).decode().split(":")))
        if kind != "Basic" or who != (CLIENT, SECRET):
            # As some do, with the request in it.
            return 401, json.dumps({"error": "invalid_client", "error_description": f"got {who}"}).encode()
        if form.get("grant_type") != ["client_credentials"] or form.get("scope") != [SCOPE]:
            return 400, b'{"error": "invalid_scope"}'
        self.issued += 1
        answer = {
            "access_token": self.token(self.lifetime_s + 1),
            "token_type": "bearer",
            "expires_in": self.lifetime_s,
        }
        return 200, json.dumps(answer).encode()

    def _public_key(self) -> dict[str, str]:
        command = ["openssl", "rsa", "-in", str(self._key), "-noout", "-modulus"]
        modulus = subprocess.run(command, capture_output=True, check=True, text=True).stdout.partition("=")[2]
        number, exponent = _encoded(bytes.fromhex(modulus.strip())), _encoded(b"\x01\x00\x01")
        return {"kty": "RSA", "kid": _KEY_ID, "use": "sig", "alg": "RS256", "n": number, "e": exponent}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
