"""A Kafka that knows users and what each of them may do."""

import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from tests.support.broker import BrokerError
from tests.support.kafka_broker import KafkaBroker
from tests.support.ports import LOOPBACK, ReservedPort

STORE_PASSWORD = "changeit"


class SecuredKafka(KafkaBroker):
    """A throw-away Kafka with SASL/PLAIN, TLS and ACLs.

    `bootstrap` stays a listener without security, whose clients may do everything. `sasl` wants one of the
    `users` (name to password), who may do nothing until `allow` says so; `tls` is encrypted with a
    `certificate` of its own; clients of `astray` are sent on to
    `nobody`, a port where nobody listens.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        super().__init__()
        self._users = dict(users)
        self._ports = {name: ReservedPort() for name in ("SASL", "TLS", "ASTRAY", "nobody")}

    @property
    def sasl(self) -> str:
        """``host:port`` of the listener that wants a user and a password."""
        return self._ports["SASL"].address

    @property
    def tls(self) -> str:
        """``host:port`` of the listener that wants TLS."""
        return self._ports["TLS"].address

    @property
    def astray(self) -> str:
        """``host:port`` of a listener whose advertised address is `nobody`."""
        return self._ports["ASTRAY"].address

    @property
    def nobody(self) -> str:
        """``host:port`` where every connection is refused."""
        return self._ports["nobody"].address

    @property
    def properties(self) -> dict[str, str | int]:
        """Those of a Kafka without security, and what secures it."""
        plain = super().properties
        listeners = {name: self._ports[name].address for name in ("SASL", "TLS", "ASTRAY")}
        advertised = listeners | {"ASTRAY": self.nobody}
        users = "".join(f' user_{name}="{password}"' for name, password in self._users.items())
        return plain | {
            "listeners": joined(plain["listeners"], listeners),
            "advertised.listeners": joined(plain["advertised.listeners"], advertised),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,"
            "TLS:SSL,ASTRAY:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain."
            f"PlainLoginModule required{users};",
            "listener.name.tls.ssl.keystore.location": str(self._store),
            "listener.name.tls.ssl.keystore.password": STORE_PASSWORD,
            "listener.name.tls.ssl.keystore.type": "PKCS12",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def allow(self, user: str, kind: ResourceType, name: str, *operations: ACLOperation) -> None:
        """Lets a user do that with one resource."""
        resource = ResourcePattern(kind, name)
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            result = admin.create_acls(
                [
                    ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, resource)
                    for operation in operations
                ]
            )
        assert not result["failed"], result

    @property
    def certificate(self) -> Path:
        """The certificate of `tls` (PEM), which vouches for itself."""
        return self.directory / "certificate.pem"

    @property
    def private_key(self) -> Path:
        """Its private key (PEM, not encrypted)."""
        return self.directory / "key.pem"

    def _prepare(self) -> None:
        if not self._store.exists():
            self._make_certificate()
        super()._prepare()

    @property
    def _store(self) -> Path:
        return self.directory / "keystore.p12"

    def _make_certificate(self) -> None:
        make_certificate(self.certificate, self.private_key)
        make_store(self.certificate, self.private_key, self._store)

    def _release_ports(self) -> None:
        super()._release_ports()
        for port in self._ports.values():
            port.release()


def joined(first: str | int, others: Mapping[str, str]) -> str:
    """A comma-separated list of listeners with more of them."""
    return ",".join([str(first), *(f"{name}://{address}" for name, address in others.items())])


def make_certificate(certificate: Path, key: Path, *, expired: bool = False) -> None:
    """Makes a certificate for `LOOPBACK` that vouches for itself, and its private key (PEM).

    Args:
        certificate: Where the certificate goes.
        key: Where the private key goes.
        expired: Whether its last day was yesterday.
    """
    names = f"subjectAltName=IP:{LOOPBACK}"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kafka"),
        *("-addext", names, "-keyout", key, "-out", certificate),
    )
    if expired:
        # Only this command takes a day in the past.
        openssl("x509", "-in", certificate, "-signkey", key, "-days", "-1", "-out", certificate)


def make_store(certificate: Path, key: Path, store: Path) -> None:
    """Puts both into a key store for Java, with `STORE_PASSWORD`."""
    openssl(
        *("pkcs12", "-export", "-in", certificate, "-inkey", key),
        *("-passout", f"pass:{STORE_PASSWORD}", "-out", store),
    )


def openssl(*arguments: str | Path) -> None:
    """Run openssl."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BrokerError(f"openssl {arguments[0]} failed:\n{done.stderr}")
