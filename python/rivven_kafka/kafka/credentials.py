"""From the `security` section to the options of kafka-python, the same for consumer, producer and admin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from pydantic import SecretStr

from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig, SaslMechanism, SecurityConfig
from rivven_kafka.config.kafka_options import plain_name
from rivven_kafka.kafka import msk
from rivven_kafka.kafka.tokens import token_provider


def passed_options(kafka_options: Mapping[str, object], client_class: Any = None) -> dict[str, Any]:
    """The `kafka_options` of a source or sink in kafka-python's spelling.

    Args:
        kafka_options: As configured; Kafka's spellings have dots.
        client_class: Leaves out the options that this client of kafka-python does not have.
    """
    passed = {
        plain_name(name): value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in kafka_options.items()
    }
    if client_class is None:
        return passed
    return {name: value for name, value in passed.items() if name in client_class.DEFAULT_CONFIG}


def connection_options(
    brokers: Sequence[str],
    security: SecurityConfig,
    *,
    client_id: str,
    request_timeout_ms: int,
    ask_aws: bool = True,
) -> dict[str, Any]:
    """Options that every kafka-python client of one cluster shares.

    Args:
        brokers: `host:port` of the bootstrap brokers.
        security: Protocol and credentials, validated.
        client_id: Name that the brokers see.
        request_timeout_ms: How long an answer may take (ms); also bounds the first connection.
        ask_aws: Whether to look for AWS credentials now, where they are needed; without them a client would
            try again until its time is over.

    Raises:
        ConfigError: AWS_MSK_IAM lacks a region or botocore.
        AuthenticationError: AWS refuses to give any credentials.
        ConnectError: There are no AWS credentials now, or who gives them out does not answer as it should.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(brokers),
        "client_id": client_id,
        "request_timeout_ms": request_timeout_ms,
        "bootstrap_timeout_ms": request_timeout_ms,
        "security_protocol": security.protocol,
    }
    if security.protocol in ("SSL", "SASL_SSL"):
        options["ssl_check_hostname"] = security.ssl_check_hostname
        options["ssl_cafile"] = security.ssl_ca_cert
        options["ssl_certfile"] = security.ssl_client_cert
        options["ssl_keyfile"] = security.ssl_client_key
        if security.ssl_key_password is not None:
            options["ssl_password"] = security.ssl_key_password.get_secret_value()
    if security.protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
        options["sasl_mechanism"] = security.sasl_mechanism
        options["sasl_plain_username"] = security.sasl_username
        if security.sasl_password is not None:
            options["sasl_plain_password"] = security.sasl_password.get_secret_value()
        tokens = token_provider(security)
        if tokens is not None:
            options["sasl_oauth_token_provider"] = tokens
        if security.sasl_mechanism is SaslMechanism.AWS_MSK_IAM:
            keys = msk.SectionKeys(security)
            if ask_aws:
                keys.current()
            options["sasl_oauth_token_provider"] = keys
            msk.install()
    return options


def admin_options(
    config: KafkaSourceConfig | KafkaSinkConfig, name: str, *, ask_aws: bool = True
) -> dict[str, Any]:
    """Options of kafka-python's admin client for a source or sink; the other clients build on them.

    Args:
        config: Its options.
        name: Client id, where the configuration gives none.
        ask_aws: See `connection_options`.
    """
    return connection_options(
        config.brokers,
        config.security,
        client_id=config.client_id or name,
        request_timeout_ms=config.request_timeout_ms,
        ask_aws=ask_aws,
    ) | passed_options(config.kafka_options, KafkaAdminClient)
