"""Certificates for tests: right ones, and wrong ones of every kind."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tests.support.ports import LOOPBACK
from tests.support.secured_kafka import openssl


class Certificate(NamedTuple):
    """A certificate and its private key, not encrypted (PEM files)."""

    path: Path
    key: Path


class Certificates:
    """Makes certificates in a directory, each the first time it is asked for.

    Two authorities, `ca` and `stranger`, issue them; clients are told to trust `ca`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @cached_property
    def ca(self) -> Certificate:
        """The authority that is trusted."""
        return self._self_signed("ca")

    @cached_property
    def stranger(self) -> Certificate:
        """An authority that nobody knows."""
        return self._self_signed("stranger")

    @cached_property
    def server(self) -> Certificate:
        """For the loopback address."""
        return self._issue("server", self.ca, f"IP:{LOOPBACK}")

    @cached_property
    def named(self) -> Certificate:
        """For a host named rivven.test."""
        return self._issue("named", self.ca, "DNS:rivven.test")

    @cached_property
    def expired(self) -> Certificate:
        """For the loopback address, until yesterday."""
        return self._issue("expired", self.ca, f"IP:{LOOPBACK}", days=-1)

    @cached_property
    def untrusted(self) -> Certificate:
        """For the loopback address, by an authority that is not trusted."""
        return self._issue("untrusted", self.stranger, f"IP:{LOOPBACK}")

    @cached_property
    def lone(self) -> Certificate:
        """For the loopback address, signed by itself, and not a CA's."""
        return self._self_signed(
            "lone", f"subjectAltName=IP:{LOOPBACK}", "basicConstraints=critical,CA:FALSE"
        )

    @cached_property
    def client(self) -> Certificate:
        """Of a client that the server knows."""
        return self._issue("client", self.ca, "DNS:connector.test")

    @cached_property
    def unknown_client(self) -> Certificate:
        """Of a client that the server does not know."""
        return self._issue("unknown-client", self.stranger, "DNS:connector.test")

    def _self_signed(self, name: str, *extensions: str) -> Certificate:
        made = self._paths(name)
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", made.key, "-out", made.path),
            *(part for extension in extensions for part in ("-addext", extension)),
        )
        return made

    def _issue(self, name: str, issuer: Certificate, alternative: str, days: int = 2) -> Certificate:
        made = self._paths(name)
        request = self._directory / f"{name}.csr"
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\nbasicConstraints=CA:FALSE\n")
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", made.key, "-out", request),
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", issuer.path, "-CAkey", issuer.key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", made.path),
        )
        return made

    def _paths(self, name: str) -> Certificate:
        return Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
