"""Why a connection to a broker failed: what to look at, and whether it can pass by itself."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

from kafka import errors as kafka_errors

from rivven_kafka.errors import AuthenticationError, ConnectError, RivvenKafkaError
from rivven_kafka.kafka.errors import plain

_EXPECTS = {
    "PLAINTEXT": "no TLS and no login",
    "SSL": "TLS and no login",
    "SASL_PLAINTEXT": "a login and no TLS",
    "SASL_SSL": "TLS and a login",
}
_CLOSED = {
    "PLAINTEXT": "closed the connection without an answer, as a listener that expects TLS or SASL does",
    "SSL": "closed the connection after the TLS handshake, as a listener that expects SASL or another client "
    "certificate does",
    "SASL_PLAINTEXT": "closed the connection without an answer, as a listener that expects TLS does",
    "SASL_SSL": "closed the connection after the TLS handshake",
}
# Codes of OpenSSL's verification. Source: openssl/x509_vfy.h.
_OUT_OF_DATE = {9: "is not valid yet", 10: "has expired"}
_OTHER_HOST = {62, 63, 64}
_NO_ISSUER = {2, 18, 19, 20, 21}
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}


class Reason(NamedTuple):
    """Why a connection failed.

    Attributes:
        text: What is wrong, without the address.
        final: Whether another attempt fails too, as long as nobody changes anything.
        code: Name of the class of the original error.
    """

    text: str
    final: bool
    code: str

    def error(self, address: str) -> RivvenKafkaError:
        """An `AuthenticationError` if it is final, else a `ConnectError`."""
        kind = AuthenticationError if self.final else ConnectError
        return kind(f"{address}: {self.text}", code=self.code)


def root(error: BaseException) -> BaseException:
    """What is inside kafka-python's errors of connections."""
    while isinstance(error, kafka_errors.KafkaConnectionError):
        inner = error.__cause__ or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


def brief(error: kafka_errors.BrokerResponseError) -> kafka_errors.BrokerResponseError:
    """The same refusal, or one with the beginning of its words if they are many: kafka-python logs them."""
    text = str(error).removeprefix(f"[Error {error.errno}] ").removeprefix(f"{type(error).__name__}: ")
    short = plain(text)
    return error if short == text else type(error)(short)


def closed(error: BaseException) -> bool:
    """Whether the other side ended the connection, or answered in another protocol, and gave no reason."""
    match root(error):
        case kafka_errors.KafkaConnectionError() as lost:
            return "disconnected" in str(lost)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionResetError() | BrokenPipeError():
            return True
        case kafka_errors.KafkaProtocolError():
            return True
        case ssl.SSLError() as failed:
            return _not_tls(failed)
    return False


def reason(
    error: BaseException,
    options: Mapping[str, Any],
    *,
    seen: str | None = None,
    admitted: bool = False,
    timeout_ms: int | None = None,
) -> Reason:
    """Explains a connection that failed.

    Args:
        error: What kafka-python raised.
        options: Options of kafka-python's clients, see `connection_options`.
        seen: The security protocol that the listener was found to speak; None if that is not known.
        admitted: Whether the login worked, and it failed afterwards.
        timeout_ms: How long it was tried, for the message (ms).
    """
    inner = root(error)
    if admitted and closed(inner):
        text = (
            "accepts the credentials, and closes the connection then, as with a token that expires just now"
        )
        return Reason(text, False, type(inner).__name__)
    text, final = _judged(inner, options, seen, timeout_ms)
    return Reason(text, final, type(inner).__name__)


def _judged(
    error: BaseException, options: Mapping[str, Any], seen: str | None, timeout_ms: int | None
) -> tuple[str, bool]:
    protocol = str(options.get("security_protocol") or "PLAINTEXT")
    # kafka-python puts the name of the class in front, sometimes twice.
    detail = plain(str(error).rpartition("Error: ")[2]) or type(error).__name__
    match error:
        case RivvenKafkaError():
            return str(error), not error.retriable
        case kafka_errors.SaslAuthenticationFailedError():
            return f"does not accept the credentials: {detail}", True
        case kafka_errors.UnsupportedSaslMechanismError():
            mechanism = options.get("sasl_mechanism")
            return f"does not offer the configured security.sasl_mechanism {mechanism}", True
        case kafka_errors.IllegalSaslStateError():
            expected = protocol.removeprefix("SASL_")
            return f"expects no login: got security.protocol {protocol}, expected {expected}", True
        case ssl.SSLCertVerificationError():
            return _certificate(error, options), True
        case ssl.SSLError() if "ALERT" in (error.reason or ""):
            return _alert(error, options)
        case kafka_errors.KafkaTimeoutError() | kafka_errors.RequestTimedOutError() if timeout_ms is not None:
            return f"no answer within {timeout_ms} ms", False
    if seen is not None and seen != protocol:
        return f"expects {_EXPECTS[seen]}: got security.protocol {protocol}, expected {seen}", True
    match error:
        case ssl.SSLError() if _not_tls(error):
            return f"does not speak TLS: got security.protocol {protocol}, expected one without TLS", True
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "closed the connection during the TLS handshake, as a listener without TLS does", False
        case ssl.SSLError():
            return f"the TLS handshake failed: {error}", False
        case kafka_errors.KafkaConnectionError() if "disconnected" in detail:
            return _CLOSED[protocol], False
        case ConnectionResetError() | BrokenPipeError():
            # The same, with bytes of ours on their way.
            return _CLOSED[protocol], False
        case kafka_errors.KafkaProtocolError():
            return f"answers in another protocol than {protocol}, as a listener that expects TLS does", False
        case kafka_errors.KafkaError() | OSError():
            return detail, False
    return f"does not answer as Kafka does: {type(error).__name__}: {detail}", False


def _not_tls(error: ssl.SSLError) -> bool:
    return error.reason in _NOT_TLS


def _certificate(error: ssl.SSLCertVerificationError, options: Mapping[str, Any]) -> str:
    """What is wrong with the broker's certificate."""
    message = str(error.verify_message).rstrip(".")
    if error.verify_code in _OUT_OF_DATE:
        return f"its certificate, or one that vouches for it, {_OUT_OF_DATE[error.verify_code]}"
    if error.verify_code in _OTHER_HOST:
        return (
            f"its certificate is for another host: {message}; give the brokers by the names in their "
            "certificates (security.ssl_check_hostname: false would give the check up)"
        )
    if error.verify_code in _NO_ISSUER:
        authority = options.get("ssl_cafile")
        trusted = (
            "expected the file of its CA in security.ssl_ca_cert; without, only the system's are trusted"
            if authority is None
            else f"got security.ssl_ca_cert {authority!r}: expected the file of its CA"
        )
        return f"its certificate comes from a CA that is not trusted ({message}): {trusted}"
    return f"its certificate is not accepted: {message}; see security.ssl_ca_cert"


def _alert(error: ssl.SSLError, options: Mapping[str, Any]) -> tuple[str, bool]:
    """What the broker says against us with an alert of TLS."""
    words = str(error.reason).partition("ALERT_")[2].replace("_", " ").lower()
    certificate = options.get("ssl_certfile")
    about_certificate = "certificate" in words or "unknown ca" in words or "access denied" in words
    if certificate is None and (about_certificate or words == "handshake failure"):
        return (
            f"wants a certificate of the client ({words}): expected security.ssl_client_cert and "
            "security.ssl_client_key",
            True,
        )
    if about_certificate:
        return (
            f"does not accept the client's certificate ({words}): got security.ssl_client_cert "
            f"{certificate!r}: expected one that is in date, from a CA that the broker trusts",
            True,
        )
    return f"the TLS handshake failed, says the broker: {words}", False
