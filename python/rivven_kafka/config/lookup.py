"""Finds the field of a model that a path of keys leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from rivven_kafka.config.problems import KeyPath


def _alternatives(annotation: object) -> Iterator[object]:
    """Yield a type's alternatives: the members of a union, without `Annotated`."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif isinstance(annotation, type) or get_origin(annotation) in (dict, tuple, list):
        yield annotation
    else:
        for member in get_args(annotation):
            yield from _alternatives(member)


def model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model class that an annotation allows, or None."""
    for option in _alternatives(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def aliases_of(model: type[BaseModel] | None) -> Mapping[str, KeyPath]:
    """Return Kafka's spellings of the options of a section."""
    return getattr(model, "aliases", {})


def _inside(annotation: object) -> object:
    """Return the type of the values of a dict or the items of a list, or None."""
    for option in _alternatives(annotation):
        if get_origin(option) is dict:
            return get_args(option)[1]
        if get_origin(option) in (tuple, list):
            return get_args(option)[0]
    return None


def find(root: type[BaseModel], path: KeyPath) -> tuple[object, FieldInfo | None]:
    """Follow `path` from `root`.

    Returns:
        The annotation of the value there, or None when the path leads nowhere, and its field, or None when
        the value is not directly a field (an item of a list, a value of a dict).
    """
    annotation: object = root
    field: FieldInfo | None = None
    for step in path:
        model = model_in(annotation)
        field = model.model_fields.get(step) if model is not None and isinstance(step, str) else None
        annotation = field.annotation if field is not None else _inside(annotation)
    return annotation, field


def is_secret(annotation: object) -> bool:
    """Whether values of this type must never be shown."""
    return any(option is SecretStr for option in _alternatives(annotation))
