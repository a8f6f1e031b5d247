"""Finds the field of a model that a path of keys leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args, get_origin

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
    return next(_models_in(annotation), None)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    for option in _alternatives(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            yield option


def tags(annotation: object) -> tuple[str, dict[str, type[BaseModel]]]:
    """Describe a discriminated union.

    Returns:
        The key that tells the members apart, and the members by its values; none for other annotations.
    """
    models = list(_models_in(annotation))
    found: dict[str, type[BaseModel]] = {}
    key = ""
    for model in models if len(models) > 1 else ():
        for name, field in model.model_fields.items():
            if get_origin(field.annotation) is Literal:
                key = name
                found.update(dict.fromkeys(get_args(field.annotation), model))
    return key, found


def option_names(model: type[BaseModel]) -> list[str]:
    """Return the names of a section's options as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _option(model: type[BaseModel], name: str) -> FieldInfo | None:
    return dict(zip(option_names(model), model.model_fields.values(), strict=True)).get(name)


def aliases_of(model: type[BaseModel] | None) -> Mapping[str, KeyPath]:
    """Return Kafka's spellings of the options of a section."""
    return getattr(model, "aliases", {})


def inside(annotation: object) -> object:
    """Return the type of the values of a dict or the items of a list, or None."""
    for option in _alternatives(annotation):
        if get_origin(option) is dict:
            return get_args(option)[1]
        if get_origin(option) in (tuple, list):
            return get_args(option)[0]
    return None


def find(root: type[BaseModel], path: KeyPath) -> tuple[object, FieldInfo | None]:
    """Follow `path` from `root`; it may have pydantic's tags in it.

    Returns:
        The annotation of the value there, or None when the path leads nowhere, and its field, or None when
        the value is not directly a field (an item of a list, a value of a dict).
    """
    annotation: object = root
    field: FieldInfo | None = None
    for step in path:
        annotation, field, _ = _follow(annotation, step)
    return annotation, field


def untagged(root: type[BaseModel], path: KeyPath) -> KeyPath:
    """Return `path` as the user knows it: pydantic puts the tag of each discriminated union in."""
    steps: KeyPath = ()
    annotation: object = root
    for step in path:
        annotation, _, is_tag = _follow(annotation, step)
        steps = steps if is_tag else (*steps, step)
    return steps


def _follow(annotation: object, step: str | int) -> tuple[object, FieldInfo | None, bool]:
    """Return the annotation one step below, its field, and whether the step is only a tag."""
    _, members = tags(annotation)
    if step in members:
        return members[str(step)], None, True
    model = model_in(annotation)
    field = _option(model, step) if model is not None and isinstance(step, str) else None
    return field.annotation if field is not None else inside(annotation), field, False


def is_secret(annotation: object) -> bool:
    """Whether values of this type must never be shown."""
    return any(option is SecretStr for option in _alternatives(annotation))
