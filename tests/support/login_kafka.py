"""A Kafka that takes every login that can be had without a cloud."""

import base64
import json
import time
from contextlib import closing
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from tests.support.ports import ReservedPort
from tests.support.secured_kafka import SecuredKafka, joined, make_certificate, make_store, openssl
from tests.support.token_issuer import AUDIENCE, TokenIssuer

KEY_PASSWORD = "key-secret"
SHORT_SESSION_MS = 3000
_LISTENERS = {
    "LOGIN": "SASL_SSL",
    "PLAINLOGIN": "SASL_PLAINTEXT",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "OIDC": "SASL_SSL",
    "PLAINOIDC": "SASL_PLAINTEXT",
    "SHORT": "SASL_PLAINTEXT",
}
_PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULES = "org.apache.kafka.common.security"
_VALIDATOR = f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
_DAY_MS = 24 * 3600 * 1000


class LoginKafka(SecuredKafka):
    """A throw-away Kafka where whoever has logged in may do everything.

    `login` is SASL over TLS with PLAIN, SCRAM and OAUTHBEARER, `plain_login` the same without TLS, and `mutual`
    is TLS that wants a certificate of the client too. They show the `certificate`, and take it from clients.
    `expired` is TLS with a certificate that has expired. Clients of `short` have to log in anew every
    `SHORT_SESSION_MS`. With an issuer of tokens, `oidc` and `plain_oidc` take those that it has signed, for as
    long as they are good.
    """

    def __init__(self, users: dict[str, str], issuer: TokenIssuer | None = None) -> None:
        super().__init__(users)
        self._issuer = issuer
        if issuer is not None:
            self._jvm += (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={issuer.keys_url}",)
        self._ports |= {name: ReservedPort() for name in self._own}

    @property
    def _own(self) -> dict[str, str]:
        """Protocols by listener."""
        oidc = self._issuer is not None
        return {name: protocol for name, protocol in _LISTENERS.items() if oidc or "OIDC" not in name}

    def address(self, listener: str) -> str:
        """``host:port`` of one of the listeners."""
        return self._ports[listener].address

    @property
    def login(self) -> str:
        """``host:port`` of the listener with SASL and TLS."""
        return self.address("LOGIN")

    @property
    def plain_login(self) -> str:
        """``host:port`` of the listener with SASL and without TLS."""
        return self.address("PLAINLOGIN")

    @property
    def mutual(self) -> str:
        """``host:port`` of the listener that wants a client certificate."""
        return self.address("MUTUAL")

    @property
    def expired(self) -> str:
        """``host:port`` of the listener whose certificate has expired."""
        return self.address("EXPIRED")

    @property
    def expired_certificate(self) -> Path:
        """Its certificate."""
        return self.directory / "expired.pem"

    @property
    def encrypted_key(self) -> Path:
        """The private key once more, encrypted with `KEY_PASSWORD` (PEM)."""
        path = self.directory / "key-encrypted.pem"
        if not path.exists():
            openssl(
                "rsa", "-aes256", "-passout", f"pass:{KEY_PASSWORD}", "-in", self.private_key, "-out", path
            )
        return path

    @property
    def stranger(self) -> tuple[Path, Path]:
        """A certificate that nobody knows, and its private key (PEM)."""
        pair = self.directory / "stranger.pem", self.directory / "stranger-key.pem"
        if not pair[0].exists():
            make_certificate(*pair)
        return pair

    @property
    def properties(self) -> dict[str, str | int]:
        """Those of its parent, and more listeners."""
        found = super().properties
        addresses = {name: self.address(name) for name in self._own}
        found["listeners"] = joined(found["listeners"], addresses)
        found["advertised.listeners"] = joined(found["advertised.listeners"], addresses)
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in self._own.items())
        found["listener.security.protocol.map"] = f"{found['listener.security.protocol.map']},{protocols}"
        for name, protocol in self._own.items():
            prefix = f"listener.name.{name.lower()}"
            if protocol.endswith("SSL"):
                for option in ("keystore.location", "keystore.password", "keystore.type"):
                    found[f"{prefix}.ssl.{option}"] = found[f"listener.name.tls.ssl.{option}"]
            if "OIDC" in name:
                found |= self._validating(prefix)
            elif protocol.startswith("SASL"):
                found |= self._with_passwords(prefix, str(found["listener.name.sasl.plain.sasl.jaas.config"]))
        for mechanism in _PASSWORDS:
            found[f"listener.name.short.{mechanism.lower()}.connections.max.reauth.ms"] = SHORT_SESSION_MS
        return found | {
            "listener.name.expired.ssl.keystore.location": str(self._expired_store),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(self.certificate),
            "allow.everyone.if.no.acl.found": "true",
        }

    def _with_passwords(self, prefix: str, users: str) -> dict[str, str | int]:
        scram = f"{_MODULES}.scram.ScramLoginModule required;"
        return {
            f"{prefix}.sasl.enabled.mechanisms": ",".join((*_PASSWORDS, "OAUTHBEARER")),
            f"{prefix}.plain.sasl.jaas.config": users,
            # Without keys of an issuer Kafka takes tokens that are not signed, as long as they are in date.
            f"{prefix}.oauthbearer.sasl.jaas.config": _bearer(' unsecuredLoginStringClaim_sub="broker"'),
            f"{prefix}.scram-sha-256.sasl.jaas.config": scram,
            f"{prefix}.scram-sha-512.sasl.jaas.config": scram,
        }

    def _validating(self, prefix: str) -> dict[str, str | int]:
        assert self._issuer is not None
        own = f"{prefix}.oauthbearer"
        return {
            f"{prefix}.sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{own}.sasl.jaas.config": _bearer(' unsecuredLoginStringClaim_sub="broker"'),
            f"{own}.sasl.server.callback.handler.class": _VALIDATOR,
            # A session ends with its token only where there is a limit for sessions.
            f"{own}.connections.max.reauth.ms": _DAY_MS,
            # The default of Kafka 4.1.0 looks at no signature, whatever keys it is given.
            "sasl.oauthbearer.jwt.validator.class": f"{_MODULES}.oauthbearer.BrokerJwtValidator",
            "sasl.oauthbearer.jwks.endpoint.url": self._issuer.keys_url,
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": self._issuer.url,
            "sasl.oauthbearer.clock.skew.seconds": 0,
        }

    def add_scram_user(self, user: str, password: str) -> None:
        """Lets a user log in with both kinds of SCRAM, and with no other password from now on."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            # Kafka takes one change of a user per request.
            for kind in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                found = admin.alter_user_scram_credentials(
                    [UserScramCredentialUpsertion(user, kind, password)]
                )
                assert not any(found.values()), found

    @property
    def _expired_store(self) -> Path:
        return self.directory / "expired.p12"

    def _make_certificate(self) -> None:
        super()._make_certificate()
        key = self.directory / "expired-key.pem"
        make_certificate(self.expired_certificate, key, expired=True)
        make_store(self.expired_certificate, key, self._expired_store)


def _bearer(claim: str) -> str:
    return f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required{claim};"


def unsigned_token(user: str, lifetime_s: float = 3600) -> str:
    """A JSON Web Token without a signature."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": user, "iat": now - 60, "exp": now + lifetime_s})
    return ".".join(
        [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + [""]
    )
