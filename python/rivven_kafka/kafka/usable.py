"""What can be wrong with the files of a client before anything is connected.

kafka-python reads certificate files at each connection, and takes what is wrong with them for a broker that
is away.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

from rivven_kafka.errors import ConfigError


def require_usable(options: Mapping[str, Any]) -> None:
    """Makes sure that the certificate files can be loaded.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.

    Raises:
        ConfigError: Names the option and the file.
    """
    if options.get("security_protocol") not in ("SSL", "SASL_SSL"):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority, certificate, key = (options.get(f"ssl_{name}file") for name in ("ca", "cert", "key"))
    if authority is not None:
        _load("ssl_ca_cert", authority, context.load_verify_locations)
    if certificate is not None and key is not None:
        # An empty password keeps OpenSSL from asking for one on the terminal.
        password = options.get("ssl_password") or ""
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load("ssl_client_cert", certificate, own.load_verify_locations)
        _load("ssl_client_key", key, lambda path: own.load_cert_chain(certificate, path, password))


def _load(option: str, path: str, load: Callable[[str], object]) -> None:
    try:
        load(path)
    except ssl.SSLError as error:
        reason = error.reason or "it does not hold what it is for"
        raise ConfigError(f"security.{option}: got {path!r}: {reason}: expected a PEM file") from error
    except OSError as error:
        raise ConfigError(
            f"security.{option}: got {path!r}: {error.strerror}: expected a PEM file"
        ) from error
