"""A Kafka that takes every login that can be had without a cloud."""

import base64
import json
import time
from contextlib import closing
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from tests.support.ports import ReservedPort
from tests.support.secured_kafka import SecuredKafka, joined, openssl

KEY_PASSWORD = "key-secret"


class LoginKafka(SecuredKafka):
    """A throw-away Kafka where whoever has logged in may do everything.

    `login` is SASL over TLS with PLAIN, SCRAM and OAUTHBEARER, `plain_login` the same without TLS, and `mutual`
    is TLS that wants a certificate of the client too. They show the `certificate`, and take it from clients.
    """

    def __init__(self, users: dict[str, str]) -> None:
        super().__init__(users)
        self._ports |= {name: ReservedPort() for name in ("LOGIN", "PLAINLOGIN", "MUTUAL")}

    @property
    def login(self) -> str:
        """``host:port`` of the listener with SASL and TLS."""
        return self._ports["LOGIN"].address

    @property
    def plain_login(self) -> str:
        """``host:port`` of the listener with SASL and without TLS."""
        return self._ports["PLAINLOGIN"].address

    @property
    def mutual(self) -> str:
        """``host:port`` of the listener that wants a client certificate."""
        return self._ports["MUTUAL"].address

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
    def properties(self) -> dict[str, str | int]:
        """Those of its parent, and three listeners."""
        found = super().properties
        listeners = {name: self._ports[name].address for name in ("LOGIN", "PLAINLOGIN", "MUTUAL")}
        found["listeners"] = joined(found["listeners"], listeners)
        found["advertised.listeners"] = joined(found["advertised.listeners"], listeners)
        found["listener.security.protocol.map"] = (
            f"{found['listener.security.protocol.map']},LOGIN:SASL_SSL,PLAINLOGIN:SASL_PLAINTEXT,MUTUAL:SSL"
        )
        for listener in ("login", "plainlogin"):
            prefix = f"listener.name.{listener}"
            module = "org.apache.kafka.common.security"
            found |= {
                f"{prefix}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                f"{prefix}.plain.sasl.jaas.config": found["listener.name.sasl.plain.sasl.jaas.config"],
                # Without keys of an issuer Kafka takes tokens that are not signed, as long as they are in date.
                f"{prefix}.oauthbearer.sasl.jaas.config": f"{module}.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="broker";',
            }
            for size in (256, 512):
                found[f"{prefix}.scram-sha-{size}.sasl.jaas.config"] = (
                    f"{module}.scram.ScramLoginModule required;"
                )
        for listener in ("login", "mutual"):
            prefix = f"listener.name.{listener}.ssl"
            for option in ("keystore.location", "keystore.password", "keystore.type"):
                found[f"{prefix}.{option}"] = found[f"listener.name.tls.ssl.{option}"]
        return found | {
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(self.certificate),
            "allow.everyone.if.no.acl.found": "true",
        }

    def add_scram_user(self, user: str, password: str) -> None:
        """Lets a user log in with both kinds of SCRAM."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            # Kafka takes one change of a user per request.
            for kind in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                found = admin.alter_user_scram_credentials(
                    [UserScramCredentialUpsertion(user, kind, password)]
                )
                assert not any(found.values()), found


def unsigned_token(user: str, lifetime_s: float = 3600) -> str:
    """A JSON Web Token without a signature."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": user, "iat": now - 60, "exp": now + lifetime_s})
    return ".".join(
        [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + [""]
    )
