"""Where a sink starts in partitions without a committed offset: the option `start_offset` of a sink."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, WithJsonSchema

from rivven_kafka.config.choices import StartOffset
from rivven_kafka.config.model import Model
from rivven_kafka.config.values import INTEGER, MAX_INT32, MAX_INT64, RivvenTopic

_START = (
    "expected earliest, latest, {timestamp: <RFC 3339 time with its offset from UTC>} or "
    "{offsets: {<topic>: {<partition>: <offset>}}}"
)


def _integer(value: object) -> object:
    """Refuse what pydantic would convert: true as 1, 5.0 as 5."""
    if isinstance(value, bool | float | bytes) or (isinstance(value, str) and not INTEGER.fullmatch(value)):
        raise ValueError("expected an integer")
    return value


_Partition = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=MAX_INT32)]
_Offset = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=MAX_INT64)]


class StartOffsets(Model):
    """An offset for each partition.

    Attributes:
        offsets: Rivven topic, partition, the offset of the first record to read.
        otherwise: Where to start in partitions that are not listed.
    """

    offsets: dict[RivvenTopic, dict[_Partition, _Offset]] = Field(
        min_length=1, description="Offsets by topic and partition."
    )
    otherwise: StartOffset = Field(
        StartOffset.EARLIEST, description="Where to start in partitions that are not listed."
    )


def _start(value: object) -> StartOffset | datetime | StartOffsets:
    """Read a start position: a word, or a mapping with a time or with offsets."""
    if isinstance(value, StartOffsets):
        return value
    if isinstance(value, dict) and "offsets" in value:
        try:
            return StartOffsets.model_validate(value)
        except ValidationError:
            raise ValueError(_START) from None
    if isinstance(value, dict) and list(value) == ["timestamp"]:
        value = value["timestamp"]
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(_START) from None
    elif isinstance(value, str) and value in StartOffset.__members__.values():
        return StartOffset(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    raise ValueError(_START)


SinkStart = Annotated[
    StartOffset | datetime | StartOffsets,
    PlainValidator(_start),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(StartOffset), "type": "string"},
                {
                    "type": "object",
                    "properties": {"timestamp": {"type": "string", "format": "date-time"}},
                    "required": ["timestamp"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {
                        "offsets": {
                            "type": "object",
                            "minProperties": 1,
                            "additionalProperties": {
                                "type": "object",
                                "propertyNames": {"pattern": "^[+-]?[0-9]+$"},
                                "additionalProperties": {
                                    "type": "integer",
                                    "minimum": 0,
                                    "maximum": MAX_INT64,
                                },
                            },
                        },
                        "otherwise": {"enum": list(StartOffset), "type": "string"},
                    },
                    "required": ["offsets"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""`earliest`, `latest`, a time, or an offset for each partition."""
