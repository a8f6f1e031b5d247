"""What can be wrong with the files of a client before anything is connected.

kafka-python reads certificate files at each connection, and takes what is wrong with them for a broker that
is away.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from rivven_kafka.errors import ConfigError, UnusableFileError


def require_usable(options: Mapping[str, Any]) -> None:
    """Makes sure that the files of certificates and keys can be loaded, and belong together.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.

    Raises:
        UnusableFileError: Names the option and the file.
        ConfigError: The password of a key is missing or wrong.
    """
    provider = options.get("sasl_oauth_token_provider")
    check = getattr(provider, "require_usable", None)
    if check is not None:
        check()
    if options.get("security_protocol") not in ("SSL", "SASL_SSL"):
        return
    authority, certificate, key = (options.get(f"ssl_{name}file") for name in ("ca", "cert", "key"))
    if authority is not None:
        require_certificates("security.ssl_ca_cert", authority)
    if certificate is not None and key is not None:
        require_certificates("security.ssl_client_cert", certificate)
        _require_key(certificate, key, options.get("ssl_password"))


def require_certificates(option: str, path: str) -> None:
    """Makes sure that a file holds certificates.

    Args:
        option: Where the file is named, for the message.
        path: Its name.

    Raises:
        UnusableFileError: It does not, or cannot be read.
    """
    _load(option, path, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations)


def _require_key(certificate: str, key: str, password: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asked = False

    def answer() -> str:
        nonlocal asked
        asked = True
        # An empty one keeps OpenSSL from asking for it on the terminal.
        return password or ""

    def load(path: str) -> None:
        try:
            context.load_cert_chain(certificate, path, answer)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise UnusableFileError(
                    f"security.ssl_client_key: got {key!r}: expected the private key of "
                    f"security.ssl_client_cert {certificate!r}"
                ) from error
            if asked and password is None:
                raise ConfigError(
                    f"security.ssl_key_password: missing: security.ssl_client_key {key!r} is encrypted"
                ) from error
            if asked:
                raise ConfigError(
                    f"security.ssl_key_password: got ***: expected the password of "
                    f"security.ssl_client_key {key!r}"
                ) from error
            raise

    _load("security.ssl_client_key", key, load)


def _load(option: str, path: str, load: Callable[[str], object]) -> None:
    try:
        load(path)
    except ssl.SSLError as error:
        reason = error.reason or "it does not hold what it is for"
        raise UnusableFileError(f"{option}: got {path!r}: {reason}: expected a PEM file") from error
    except OSError as error:
        raise UnusableFileError(f"{option}: got {path!r}: {error.strerror}: expected a PEM file") from error
