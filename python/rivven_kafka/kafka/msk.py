"""AWS_MSK_IAM: which AWS keys sign the logins, and how kafka-python gets at them."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from kafka import errors as kafka_errors
from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.msk import AwsMskIamClient, SaslMechanismAwsMskIam

from rivven_kafka.config import SaslMechanism, SecurityConfig
from rivven_kafka.errors import ConfigError, ConnectError, RivvenKafkaError

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_SESSION_NAME = "rivven-kafka"
_NONE_FOUND = "NoCredentials"
# Keys are renewed on the thread that also sends the heartbeats of the group.
_TIMEOUT_S = 3
_ATTEMPTS = 2


@dataclass(frozen=True)
class StaticKeys:
    """AWS keys at one moment, or for good where the user gave them.

    Attributes:
        access_key_id: Name of the key.
        region: AWS region of the cluster.
        secret_access_key: The key.
        session_token: Only with temporary credentials.
    """

    access_key_id: str = field(repr=False)
    region: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def current(self) -> StaticKeys:
        """The keys to sign with now."""
        return self


_LIVING: weakref.WeakSet[SectionKeys] = weakref.WeakSet()


def keys_expiry(security: SecurityConfig) -> float | None:
    """When the temporary keys in use for a section expire (s since 1970); None if none do."""
    found = [keys.expires for keys in list(_LIVING) if keys.security is security]
    return max((at for at in found if at is not None), default=None)


class AwsKeys(Protocol):
    """Where the keys for a login come from."""

    def current(self) -> StaticKeys:
        """The keys to sign with now.

        Raises:
            AuthenticationError: AWS refuses to give any.
            ConnectError: There are none now, or who gives them out does not answer as it should.
        """


class RenewedKeys:
    """AWS keys that botocore finds, and renews before they expire.

    Args:
        credentials: botocore's.
        region: AWS region of the cluster.
    """

    def __init__(self, credentials: Any, region: str) -> None:
        self._credentials = credentials
        self._region = region

    @property
    def expires(self) -> float | None:
        """When the keys at hand expire (s since 1970); None if they do not, or it is not known."""
        # botocore keeps it for itself; without it nothing is told.
        at = getattr(self._credentials, "_expiry_time", None)
        return at.timestamp() if isinstance(at, datetime) else None

    def current(self) -> StaticKeys:
        """The keys to sign with now; asks AWS when those it has are about to expire."""
        from rivven_kafka.kafka.aws_refusals import FAILURES, no_keys

        try:
            found = self._credentials.get_frozen_credentials()
        except FAILURES as error:
            # Some of them hold the answer, and with it the keys.
            raise no_keys(error) from None
        return StaticKeys(found.access_key, self._region, found.secret_key, found.token)


class SectionKeys:
    """The AWS keys of a section, looked for when they are first asked for.

    Args:
        security: A section with that mechanism, validated.
    """

    def __init__(self, security: SecurityConfig) -> None:
        self._security = security
        self._keys: AwsKeys | None = None
        _LIVING.add(self)

    def current(self) -> StaticKeys:
        """The keys to sign with now.

        Raises:
            ConfigError: There is no region, no such profile, or no botocore though it is needed.
            AuthenticationError: AWS refuses to give any.
            ConnectError: There are none now, or who gives them out does not answer as it should.
        """
        if self._keys is None:
            self._keys = aws_keys(self._security)
        return self._keys.current()

    @property
    def security(self) -> SecurityConfig:
        """The section."""
        return self._security

    @property
    def expires(self) -> float | None:
        """When the keys at hand expire (s since 1970); None if they do not, or none were asked for."""
        return self._keys.expires if isinstance(self._keys, RenewedKeys) else None


def aws_keys(security: SecurityConfig, env: Mapping[str, str] | None = None) -> AwsKeys:
    """Where the keys for AWS_MSK_IAM come from.

    With neither keys nor a role in the configuration botocore looks where all AWS tools look: environment,
    profiles, web identity, containers, instance. It is not asked for keys here.

    Args:
        security: A section with that mechanism, validated.
        env: Variables that may give the region; the environment of the process if None.

    Raises:
        ConfigError: There is no region, no such profile, or no botocore though it is needed.
        ConnectError: No credentials were found, or who gives them out does not answer as it should.
    """
    given = os.environ if env is None else env
    region = security.aws_region or next((given[name] for name in _REGIONS if given.get(name)), None)
    keys = _given_keys(security, region or "")
    if keys is None or security.aws_role_arn is not None:
        return _found_keys(security, keys, region)
    if region is None:
        raise _no_region()
    return keys


def require_aws(security: SecurityConfig) -> None:
    """Refuses a section that cannot work on this machine, whatever AWS says later.

    Raises:
        ConfigError: There is no region, no such profile, or no botocore though it is needed; or what the
            AWS configuration files name gives no credentials.
    """
    if security.sasl_mechanism is SaslMechanism.AWS_MSK_IAM:
        try:
            aws_keys(security)
        except ConnectError as error:
            # An instance may have no credentials yet.
            if error.code != _NONE_FOUND:
                raise ConfigError(f"security: {error}") from None


def _given_keys(security: SecurityConfig, region: str) -> StaticKeys | None:
    if security.aws_access_key_id is None or security.aws_secret_access_key is None:
        return None
    token = security.aws_session_token
    return StaticKeys(
        access_key_id=security.aws_access_key_id.get_secret_value(),
        region=region,
        secret_access_key=security.aws_secret_access_key.get_secret_value(),
        session_token=None if token is None else token.get_secret_value(),
    )


def _found_keys(security: SecurityConfig, keys: StaticKeys | None, region: str | None) -> RenewedKeys:
    try:
        from botocore.session import Session

        from rivven_kafka.kafka.aws_refusals import FAILURES, not_found
    except ImportError:
        raise ConfigError(
            "security.sasl_mechanism: AWS_MSK_IAM needs botocore for all but aws_access_key_id and "
            "aws_secret_access_key: pip install 'rivven-kafka[msk]'"
        ) from None
    try:
        return _ask_botocore(Session(profile=security.aws_profile), security, keys, region)
    except FAILURES as error:
        raise not_found(error) from None


def _ask_botocore(
    session: Any, security: SecurityConfig, keys: StaticKeys | None, region: str | None
) -> RenewedKeys:
    from botocore.config import Config
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    region = region or session.get_config_variable("region")
    if region is None:
        raise _no_region()
    session.set_config_variable("region", region)
    retries = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
    session.set_default_client_config(
        Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries=retries)
    )
    if keys is not None:
        session.set_credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    credentials = session.get_credentials()
    if credentials is None:
        # The service of an instance that has a role may just not answer.
        raise ConnectError(
            "no AWS credentials found: expected security.aws_access_key_id and aws_secret_access_key, "
            "variables of the environment, a profile, or a role of the container or instance",
            code=_NONE_FOUND,
        )
    if security.aws_role_arn is not None:
        fetcher = AssumeRoleCredentialFetcher(
            session.create_client,
            credentials,
            security.aws_role_arn,
            extra_args={"RoleSessionName": security.aws_role_session_name or _SESSION_NAME},
        )
        credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return RenewedKeys(credentials, region)


def _no_region() -> ConfigError:
    return ConfigError(
        f"security.aws_region: missing: expected the AWS region of the cluster, here or in "
        f"{' or '.join(_REGIONS)}"
    )


class _Mechanism(SaslMechanismAwsMskIam):  # type: ignore[misc]  # kafka-python is untyped
    """Signs with our keys where kafka-python's option for token providers carries them."""

    def __init__(self, **config: Any) -> None:
        keys = config.get("sasl_oauth_token_provider")
        self._keys = keys if isinstance(keys, StaticKeys | RenewedKeys | SectionKeys) else None
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
        try:
            keys = self._keys.current()
        except ConnectError as error:
            raise kafka_errors.KafkaConnectionError(str(error)) from error
        except RivvenKafkaError as error:
            raise kafka_errors.SaslAuthenticationFailedError(str(error)) from error
        return AwsMskIamClient(
            host=self.host,
            access_key=keys.access_key_id,
            secret_key=keys.secret_access_key,
            region=keys.region,
            token=keys.session_token,
        )


def install() -> None:
    """Lets kafka-python find the mechanism; credentials that are not ours work as before."""
    register_sasl_mechanism("AWS_MSK_IAM", _Mechanism, overwrite=True)
