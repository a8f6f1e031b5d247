"""AWS_MSK_IAM with keys from the configuration; without them kafka-python asks botocore for credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.msk import AwsMskIamClient, SaslMechanismAwsMskIam


@dataclass(frozen=True)
class StaticKeys:
    """AWS keys that the user gave.

    Attributes:
        access_key_id: Name of the key.
        region: AWS region of the cluster.
        secret_access_key: The key.
        session_token: Only with temporary credentials.
    """

    access_key_id: str
    region: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class _Mechanism(SaslMechanismAwsMskIam):  # type: ignore[misc]  # kafka-python is untyped
    """Signs with `StaticKeys` where kafka-python's option for token providers carries them."""

    def __init__(self, **config: Any) -> None:
        keys = config.get("sasl_oauth_token_provider")
        self._keys = keys if isinstance(keys, StaticKeys) else None
        if self._keys is None:
            super().__init__(**config)
            return
        self.host = config["host"]
        self._auth = None
        self._is_done = False
        self._is_authenticated = False

    def _build_client(self) -> AwsMskIamClient:
        if self._keys is None:
            return super()._build_client()
        return AwsMskIamClient(
            host=self.host,
            access_key=self._keys.access_key_id,
            secret_key=self._keys.secret_access_key,
            region=self._keys.region,
            token=self._keys.session_token,
        )


def install() -> None:
    """Lets kafka-python find the mechanism; credentials that are not `StaticKeys` work as before."""
    register_sasl_mechanism("AWS_MSK_IAM", _Mechanism, overwrite=True)
