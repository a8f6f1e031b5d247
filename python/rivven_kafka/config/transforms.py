r"""Transforms of records: the steps under `transforms` of a source or a sink.

A field is a dotted path from the top of the event: `env`, `data.customer.id`, `metadata.kafka_partition`. A
dot inside a name has a backslash before it (`data.a\.b`), and so has a backslash there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.problems import KeyPath

_NAME = r"(?:\\[.\\]|\\(?![.\\])|[^.\\])+"
_ESCAPED = re.compile(r"\\([.\\])")
_MAX_LEVELS = 127
"""JSON readers on Rivven's side give up on deeper events."""


def _encodable(text: str) -> bool:
    """Whether the text has a form in UTF-8: lone surrogates have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: str) -> str:
    if not _encodable(value):
        raise ValueError("expected text without lone surrogates")
    return value


def _path(value: str) -> str:
    if not re.fullmatch(rf"{_NAME}(?:\.{_NAME})*", _text(value)):
        raise ValueError("expected names separated by single dots")
    return value


def _name(value: str) -> str:
    if len(field_names(_path(value))) > 1:
        raise ValueError(
            r"expected the new name, not a path; the field stays where it is "
            r"(write \. for a dot inside the name)"
        )
    return value


def _json_value(value: object) -> object:
    waiting = [(value, 0)]
    while waiting:
        item, level = waiting.pop()
        if level > _MAX_LEVELS:
            raise ValueError(f"expected at most {_MAX_LEVELS} levels")
        if isinstance(item, dict):
            if not all(isinstance(key, str) and _encodable(key) for key in item):
                raise ValueError("expected only keys that are strings (put them in quotes)")
            waiting.extend((below, level + 1) for below in item.values())
        elif isinstance(item, list | tuple):
            waiting.extend((below, level + 1) for below in item)
        elif isinstance(item, str):
            _text(item)
        elif isinstance(item, int | float):
            if not _is_double(item):
                raise ValueError("expected numbers within the range of a double")
        elif item is not None:
            raise ValueError("expected what JSON can hold: null, booleans, numbers, strings, lists, mappings")
    return value


def _is_double(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _levels(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_levels, value.values()), default=0)
    return 1 + max(map(_levels, value), default=0) if isinstance(value, list | tuple) else 0


def field_names(path: str) -> list[str]:
    """Split the path of a field into its names."""
    return [_ESCAPED.sub(r"\1", name) for name in re.findall(_NAME, path)]


_PATTERN = {"type": "string", "pattern": rf"^{_NAME}(\.{_NAME})*$"}

FieldPath = Annotated[str, AfterValidator(_path), WithJsonSchema(_PATTERN)]
"""A dotted path."""

FieldName = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": rf"^{_NAME}$"})
]
"""The last name of a path."""


class RenameFieldConfig(Model):
    """What is renamed."""

    from_: FieldPath = Field(alias="from", description="Field to rename. Required.")
    to: FieldName = Field(
        description="Its new name; the field stays in its object, and another one of that name is replaced. "
        "Required."
    )


class RemoveFieldConfig(Model):
    """What is removed."""

    field: FieldPath = Field(description="Field to remove. Required.")


class AddFieldConfig(Model):
    """What is added."""

    field: FieldPath = Field(description="Field to set; objects missing on the way are created. Required.")
    value: Annotated[object, AfterValidator(_json_value)] = Field(
        description="Its value: anything that JSON can hold. Required."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what would make every event unreadable."""
        around = len(field_names(self.field))
        if around + _levels(self.value) > _MAX_LEVELS:
            yield "value", f"expected at most {_MAX_LEVELS} levels, with the {around} of the field"


class FilterConfig(Model):
    """Which records pass."""

    field: FieldPath = Field(description="Field to compare. Required.")
    equals: Annotated[str, AfterValidator(_text)] = Field(
        description="Text that the field must equal; a number, true, false or null equals its JSON text. "
        "Required."
    )


class RenameField(Model):
    """Gives a field another name. An absent field has no effect."""

    type: Literal["rename_field"] = Field(description="The kind of step.")
    config: RenameFieldConfig = Field(description="What is renamed. Required.")


class RemoveField(Model):
    """Removes a field. An absent field has no effect."""

    type: Literal["remove_field"] = Field(description="The kind of step.")
    config: RemoveFieldConfig = Field(description="What is removed. Required.")


class AddField(Model):
    """Sets a field, new or not. A record where it cannot be set is a bad record."""

    type: Literal["add_field"] = Field(description="The kind of step.")
    config: AddFieldConfig = Field(description="What is added. Required.")


class Filter(Model):
    """Keeps the records whose field equals a text and drops the others."""

    type: Literal["filter"] = Field(description="The kind of step.")
    config: FilterConfig = Field(description="Which records pass. Required.")


def _kind(step: object) -> str | None:
    """Return the type of a step, given as a mapping or as a model; None if it has none."""
    kind = step.get("type") if isinstance(step, Mapping) else getattr(step, "type", None)
    return kind if isinstance(kind, str) else None


Transform = Annotated[
    Annotated[RenameField, Tag("rename_field")]
    | Annotated[RemoveField, Tag("remove_field")]
    | Annotated[AddField, Tag("add_field")]
    | Annotated[Filter, Tag("filter")],
    # By a function: the models check their fields before pydantic does, which a plain discriminator refuses.
    Discriminator(_kind),
]
"""One step."""


def transforms_json(steps: Sequence[Transform]) -> str:
    """Write the steps in the form that the native module takes."""
    return json.dumps([step.model_dump(by_alias=True) for step in steps], ensure_ascii=False, allow_nan=False)


def changing(steps: Sequence[Transform], fields: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    """Find the steps that change one of `fields` (or an object around it).

    Yields:
        Where the step says so, and the field.
    """
    for index, step in enumerate(steps):
        for key, path in _changed(step):
            for field in fields:
                names = field_names(field)
                if path == names[: len(path)] or names == path[: len(names)]:
                    yield (index, "config", key), field


def _changed(step: Transform) -> Iterator[tuple[str, list[str]]]:
    match step:
        case RenameField():
            path = field_names(step.config.from_)
            yield "from", path
            yield "to", path[:-1] + field_names(step.config.to)
        case RemoveField() | AddField():
            yield "field", field_names(step.config.field)
        case Filter():
            pass


def outside_data(steps: Sequence[Transform]) -> Iterator[tuple[KeyPath, str]]:
    """Find the steps that make no sense in raw format, where a record has nothing but its value, `data`.

    Yields:
        The path of the option below the list of steps, and what is wrong with it.
    """
    for index, step in enumerate(steps):
        option, path = (
            ("from", step.config.from_) if step.type == "rename_field" else ("field", step.config.field)
        )
        names = field_names(path)
        if names[0] != "data" or len(names) == 1:
            yield (
                (index, "config", option),
                "expected a field inside data (data.NAME), as there is no event with value_format raw",
            )
