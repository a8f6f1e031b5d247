"""How to connect to Kafka safely: TLS, SASL and their credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from rivven_kafka.config.aliases import SECURITY
from rivven_kafka.config.choices import SaslMechanism, SecurityProtocol
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.oauth import OAuthConfig
from rivven_kafka.config.values import FileName, Secret, Text

_PASSWORD = ("sasl_username", "sasl_password")
_REQUIRED: dict[SaslMechanism, tuple[str, ...]] = {
    SaslMechanism.PLAIN: _PASSWORD,
    SaslMechanism.SCRAM_SHA_256: _PASSWORD,
    SaslMechanism.SCRAM_SHA_512: _PASSWORD,
    # One of them, see `_broken_token_rules`.
    SaslMechanism.OAUTHBEARER: (),
    SaslMechanism.AWS_MSK_IAM: (),
}
_AWS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_profile",
    "aws_role_arn",
    "aws_role_session_name",
    "aws_region",
)
_OPTIONAL: dict[SaslMechanism, tuple[str, ...]] = {
    SaslMechanism.OAUTHBEARER: ("oauth_token", "oauth"),
    SaslMechanism.AWS_MSK_IAM: _AWS,
}
_CREDENTIALS = (*_PASSWORD, "oauth_token", "oauth", *_AWS)
_TLS = ("ssl_ca_cert", "ssl_client_cert", "ssl_client_key", "ssl_key_password")

_ROLE_ARN = r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\w+=,.@/-]+"
_ROLE_SESSION = r"[\w+=,.@-]{2,64}"


def _role_arn(value: str) -> str:
    if not re.fullmatch(_ROLE_ARN, value, re.ASCII):
        raise ValueError("expected the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME")
    return value


def _role_session(value: str) -> str:
    if not re.fullmatch(_ROLE_SESSION, value, re.ASCII):
        raise ValueError("expected 2 to 64 letters, digits or characters of _+=,.@-")
    return value


class SecurityConfig(Model):
    """The `security` section of a Kafka source or sink."""

    aliases = SECURITY

    protocol: SecurityProtocol = Field(
        SecurityProtocol.PLAINTEXT,
        description="Encryption (SSL) and authentication (SASL) of the connection.",
    )
    sasl_mechanism: SaslMechanism | None = Field(
        None,
        description="How to log in; required by SASL_PLAINTEXT and SASL_SSL. AWS_MSK_IAM needs SASL_SSL.",
    )
    sasl_username: Text | None = Field(None, description="User name for PLAIN and SCRAM.")
    sasl_password: Secret | None = Field(None, description="Password for PLAIN and SCRAM.")
    oauth_token: Secret | None = Field(
        None, description="Bearer token for OAUTHBEARER; it is not renewed, as those of oauth are."
    )
    oauth: OAuthConfig = Field(
        default_factory=OAuthConfig, description="Where tokens for OAUTHBEARER come from, and are renewed."
    )
    aws_access_key_id: Secret | None = Field(
        None,
        description="AWS access key id for AWS_MSK_IAM; without one botocore looks for credentials.",
    )
    aws_secret_access_key: Secret | None = Field(
        None, description="AWS secret access key for AWS_MSK_IAM; required by aws_access_key_id."
    )
    aws_session_token: Secret | None = Field(
        None, description="AWS session token for AWS_MSK_IAM; only temporary credentials have one."
    )
    aws_profile: Text | None = Field(
        None, description="Profile of the AWS configuration files to take credentials from."
    )
    aws_role_arn: Annotated[Text, AfterValidator(_role_arn)] | None = Field(
        None, description="AWS role to assume with the credentials."
    )
    aws_role_session_name: Annotated[Text, AfterValidator(_role_session)] | None = Field(
        None, description="Name of the session of aws_role_arn, as AWS logs it; `rivven-kafka` if not given."
    )
    aws_region: Text | None = Field(
        None,
        description="AWS region of the cluster for AWS_MSK_IAM; AWS_REGION or AWS_DEFAULT_REGION if not "
        "given, then the AWS configuration files, unless keys are given without aws_role_arn.",
    )
    ssl_ca_cert: FileName | None = Field(
        None,
        description="File with the CA certificates (PEM) to trust; the system's are trusted if not given.",
    )
    ssl_client_cert: FileName | None = Field(
        None, description="File with the client certificate (PEM) for mutual TLS; needs ssl_client_key."
    )
    ssl_client_key: FileName | None = Field(
        None, description="File with the private key (PEM) of the client certificate; needs ssl_client_cert."
    )
    ssl_key_password: Secret | None = Field(None, description="Password of an encrypted ssl_client_key.")
    ssl_check_hostname: bool = Field(
        True, description="Check that the broker's certificate was issued for the host connected to."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check that protocol, mechanism, credentials and certificates belong together."""
        yield from self._broken_sasl_rules()
        yield from self._broken_tls_rules()

    def _broken_sasl_rules(self) -> Iterator[BrokenRule]:
        mechanism = self.sasl_mechanism
        if not self.protocol.uses_sasl:
            for option in ("sasl_mechanism", *_CREDENTIALS):
                if self._given(option):
                    yield (
                        option,
                        f"not used with protocol {self.protocol}: expected SASL_PLAINTEXT or SASL_SSL",
                    )
            return
        if mechanism is None:
            yield "sasl_mechanism", f"missing: protocol {self.protocol} requires one"
            return
        if mechanism is SaslMechanism.AWS_MSK_IAM and not self.protocol.uses_tls:
            yield "protocol", "AWS_MSK_IAM requires SASL_SSL: IAM credentials must not travel without TLS"
        required = _REQUIRED[mechanism]
        for option in _CREDENTIALS:
            given = self._given(option)
            if option in required and not given:
                yield option, f"missing: sasl_mechanism {mechanism} requires it"
            elif given and option not in (*required, *_OPTIONAL.get(mechanism, ())):
                yield option, f"not used by sasl_mechanism {mechanism}"
        if mechanism is SaslMechanism.OAUTHBEARER:
            yield from self._broken_token_rules()
        if mechanism is SaslMechanism.AWS_MSK_IAM:
            yield from self._broken_aws_rules()

    def _broken_token_rules(self) -> Iterator[BrokenRule]:
        oauth = self.oauth
        if self.oauth_token is not None and oauth.given:
            yield "oauth_token", "not used with oauth: expected one of them"
        elif self.oauth_token is None and oauth.token_endpoint_url is None and oauth.token_file is None:
            yield (
                "oauth_token",
                "missing: sasl_mechanism OAUTHBEARER requires oauth_token, oauth.token_endpoint_url or "
                "oauth.token_file",
            )

    def _broken_aws_rules(self) -> Iterator[BrokenRule]:
        for option, needed in (
            ("aws_access_key_id", "aws_secret_access_key"),
            ("aws_secret_access_key", "aws_access_key_id"),
            ("aws_session_token", "aws_access_key_id"),
            ("aws_role_session_name", "aws_role_arn"),
        ):
            if getattr(self, option) is not None and getattr(self, needed) is None:
                yield needed, f"missing: {option} requires it"
        if self.aws_access_key_id is not None and self.aws_profile is not None:
            yield "aws_profile", "not used together with aws_access_key_id"

    def _given(self, option: str) -> bool:
        value = getattr(self, option)
        return value.given if isinstance(value, OAuthConfig) else value is not None

    def _broken_tls_rules(self) -> Iterator[BrokenRule]:
        if not self.protocol.uses_tls:
            for option in _TLS:
                if getattr(self, option) is not None:
                    yield option, f"not used with protocol {self.protocol}: expected SSL or SASL_SSL"
            if not self.ssl_check_hostname:
                yield (
                    "ssl_check_hostname",
                    f"not used with protocol {self.protocol}: expected SSL or SASL_SSL",
                )
            return
        if self.ssl_client_cert is not None and self.ssl_client_key is None:
            yield "ssl_client_key", "missing: ssl_client_cert requires it"
        if self.ssl_client_key is not None and self.ssl_client_cert is None:
            yield "ssl_client_cert", "missing: ssl_client_key requires it"
        if self.ssl_key_password is not None and self.ssl_client_key is None:
            yield "ssl_key_password", "not used without ssl_client_key"
