"""JSON Schemas of configuration files as they are written: with `${...}`, and numbers that may be strings.

The schemas of the models describe the values after expansion; an editor checks the text of the file.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rivven_kafka.config import ConnectConfig

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{"}
_AS_TEXT = {
    "boolean": {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"},
    "integer": {"type": "string", "pattern": "^[+-]?[0-9]+$"},
    "number": {"type": "string", "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"},
}
_ANNOTATIONS = ("title", "description", "default", "writeOnly")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS_OF_SCHEMAS = ("properties", "$defs")
_SCHEMAS = ("items", "additionalProperties")


def file_schema(model: type[BaseModel]) -> Schema:
    """The schema of a section as it is written in a file.

    Args:
        model: The section.
    """
    return {"$schema": _DIALECT, **_as_written(model.model_json_schema())}


def single_schema() -> Schema:
    """The schema of the short shape, a file with one connector and its `type` at the top."""
    schema = file_schema(ConnectConfig)
    root = schema.pop("properties")
    common = {name: root[name] for name in ("version", "broker", "settings", "distributed")}
    definitions = schema["$defs"]
    shapes = []
    for kind, entry in (("kafka-source", "SourceEntry"), ("kafka-sink", "SinkEntry")):
        shape = definitions.pop(entry)
        del shape["properties"]["connector"]
        shape["properties"] = {"type": {"const": kind}, **shape["properties"], **common}
        shape["required"] = ["type", *(name for name in shape["required"] if name != "connector")]
        shapes.append(shape)
    return {
        "$schema": _DIALECT,
        "$defs": definitions,
        "title": "SingleConnector",
        "description": "A configuration file with a single connector.",
        "type": "object",
        "oneOf": shapes,
    }


def _as_written(schema: Schema) -> Schema:
    """Allow references, and numbers and booleans in strings, wherever the value of a leaf is restricted."""
    written: Schema = {}
    for keyword, value in schema.items():
        if keyword in _MAPS_OF_SCHEMAS:
            written[keyword] = {name: _as_written(child) for name, child in value.items()}
        elif keyword in _LISTS_OF_SCHEMAS:
            written[keyword] = [_as_written(child) for child in value]
        elif keyword in _SCHEMAS and isinstance(value, dict):
            written[keyword] = _as_written(value)
        else:
            written[keyword] = value
    others = [_AS_TEXT[written["type"]]] if written.get("type") in _AS_TEXT else []
    if others or any(keyword in written for keyword in ("enum", "const", "pattern", "format")):
        restricted = {key: value for key, value in written.items() if key not in _ANNOTATIONS}
        kept = {key: value for key, value in written.items() if key in _ANNOTATIONS}
        return {**kept, "anyOf": [restricted, *others, _REFERENCE]}
    return written
