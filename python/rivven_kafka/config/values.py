"""Types of option values that several sections share."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from rivven_kafka.config.explain import BROKEN_RULE
from rivven_kafka.config.problems import ExpandedStr, without_quotation

MIB = 1024 * 1024
MAX_INT32 = 2**31 - 1
"""Kafka's wire format holds times (ms) and sizes (bytes) in signed 32-bit integers."""

MAX_INT64 = 2**63 - 1
"""Offsets, and sizes of memory (bytes), are signed 64-bit integers in native code."""

INTEGER = re.compile(r"[+-]?[0-9]+")
"""An integer given as a string, as environment variables are."""

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"([^.]{1,63}\.)*[^.]{1,63}\.?")
_KAFKA_TOPIC = r"[A-Za-z0-9._-]{1,249}"
_RIVVEN_TOPIC = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
_MAX_PORT = 65535
TOPIC_PLACEHOLDER = "{topic}"
"""Stands for the name of the Kafka topic in the name of a Rivven topic."""


def _split(value: object) -> object:
    """Split "a:9092, b:9092"; each part keeps the mark of an expanded string."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")] if value.strip() else []
    if isinstance(value, ExpandedStr):
        return [ExpandedStr.of(part, value.reference) for part in parts]
    return parts


def _one_or_more(value: object) -> object:
    """Let a string stand for a list with one string: regular expressions may contain commas."""
    return [value] if isinstance(value, str) else value


def _address(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    if match is None or not 1 <= int(match["port"]) <= _MAX_PORT:
        raise ValueError(f"expected host:port, with a port from 1 to {_MAX_PORT}")
    if match["host"] is not None and not _HOST.fullmatch(match["host"]):
        raise ValueError("expected host:port; the parts of a host's name have 1 to 63 characters")
    if match["ipv6"] is not None:
        try:
            IPv6Address(match["ipv6"])
        except ValueError:
            raise ValueError("expected [IPv6 address]:port") from None
    return value


def _host(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}", value) and _HOST.fullmatch(value):
        return value
    try:
        IPv6Address(value)
    except ValueError:
        raise ValueError("expected a host name or an IP address") from None
    return value


def _kafka_topic(value: str) -> str:
    if not re.fullmatch(_KAFKA_TOPIC, value) or value in (".", ".."):
        raise ValueError(
            "expected a Kafka topic: 1 to 249 letters, digits, '.', '_' or '-', other than '.' and '..'"
        )
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {without_quotation(str(error))}") from None
    return value


def _file_name(value: str) -> str:
    if "-----BEGIN" in value or len(value.splitlines()) > 1:
        # This type of error is shown without the value, which may be a private key.
        raise PydanticCustomError(BROKEN_RULE, "got ***: expected the name of a file, not its content")
    return value


def _rivven_topic(value: str) -> str:
    if "*" in value:
        raise ValueError("expected the name of one topic; wildcards are not supported in this version")
    if not re.fullmatch(_RIVVEN_TOPIC, value) or ".." in value:
        raise ValueError(
            "expected a Rivven topic: 1 to 255 letters, digits, '.', '_' or '-', beginning with a letter or "
            "digit, without '..'"
        )
    return value


def _destination(value: str) -> str:
    _rivven_topic(value.replace(TOPIC_PLACEHOLDER, "x"))
    return value


Address = Annotated[str, AfterValidator(_address)]
"""`host:port`; an IPv6 address stands in brackets."""

Host = Annotated[str, AfterValidator(_host)]
"""A host name or an IP address, without port and brackets."""

Addresses = Annotated[
    tuple[Address, ...], Field(min_length=1), BeforeValidator(_split, json_schema_input_type=str | list[str])
]
"""One or more `host:port`, as a list or a string with commas."""

KafkaTopic = Annotated[
    str, AfterValidator(_kafka_topic), WithJsonSchema({"type": "string", "pattern": f"^{_KAFKA_TOPIC}$"})
]
KafkaTopics = Annotated[
    tuple[KafkaTopic, ...], BeforeValidator(_split, json_schema_input_type=str | list[str])
]
"""Kafka topics, as a list or a string with commas."""

Regex = Annotated[str, Field(min_length=1), AfterValidator(_regex)]
"""A regular expression of Python's `re`."""

Regexes = Annotated[tuple[Regex, ...], BeforeValidator(_one_or_more, json_schema_input_type=str | list[str])]
"""Regular expressions, as a list, or a string for one."""

RivvenTopic = Annotated[
    str, AfterValidator(_rivven_topic), WithJsonSchema({"type": "string", "pattern": f"^{_RIVVEN_TOPIC}$"})
]

DestinationTopic = Annotated[
    str,
    AfterValidator(_destination),
    WithJsonSchema({"type": "string", "pattern": r"^([A-Za-z0-9]|\{topic\})([A-Za-z0-9._-]|\{topic\})*$"}),
]
"""A Rivven topic, in which `{topic}` stands for the name of the Kafka topic."""

ClusterName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
"""The name of a cluster in the marks of loop protection."""

Text = Annotated[str, Field(min_length=1)]
"""A string that is not empty."""

FileName = Annotated[Text, AfterValidator(_file_name)]
"""The name of a file. What looks like the content of one is refused and never shown."""

Secret = Annotated[SecretStr, Field(min_length=1)]
"""A string that is not empty and never shown."""
