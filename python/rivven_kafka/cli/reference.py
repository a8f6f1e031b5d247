"""The option reference as Markdown, made from the models: `docs/configuration.md` ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rivven_kafka.config.lookup import inside, tags
from rivven_kafka.config.values import MAX_INT32, MAX_INT64


def option_tables(title: str, model: type[BaseModel], *, omit: str = "") -> str:
    """A table of the options of `model`, and one of each section inside it.

    Args:
        title: Heading of the first table.
        model: The section to describe.
        omit: An option of `model` to leave out.
    """
    return "\n".join(_tables(title, title, model, "", omit)).rstrip() + "\n"


def _tables(title: str, heading: str, model: type[BaseModel], prefix: str, omit: str = "") -> Iterator[str]:
    yield f"## {heading}\n"
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    sections, spellings = [], _spellings(model)
    for option, field in model.model_fields.items():
        if option == omit:
            continue
        name = field.alias or option
        sections += [(f"{prefix}{name}{step}", section) for step, section in _sections(field)]
        yield f"| `{name}` | {_default(field)} | {_meaning(field)}{spellings.get(name, '')} |"
    yield ""
    for path, section in sections:
        yield from _tables(title, f"{title}: `{path}`", section, f"{path}.")


def _sections(field: FieldInfo) -> list[tuple[str, type[BaseModel]]]:
    """The sections that the field holds, each after what the path to it needs besides the field's name."""
    annotation, step = field.annotation, ""
    if isinstance(annotation, UnionType):
        [*others] = {*get_args(annotation)} - {NoneType}
        annotation = others[0] if len(others) == 1 else annotation
    if get_origin(annotation) is dict:
        annotation, step = get_args(annotation)[1], ".<name>"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(step, annotation)]
    _, tagged = tags(inside(annotation))
    return [(f"[{tag}]", section) for tag, section in tagged.items()]


def _spellings(model: type[BaseModel]) -> dict[str, str]:
    """What to say of Kafka's spellings of the options of this section; its inner sections tell of theirs."""
    found: dict[str, list[str]] = {}
    for spelling, path in getattr(model, "aliases", {}).items():
        if len(path) == 1:
            found.setdefault(path[0], []).append(f"`{spelling}`")
    return {option: f" Kafka's spelling: {' or '.join(spellings)}." for option, spellings in found.items()}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if _sections(field) or field.default is PydanticUndefined:
        return ""
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default != () else ""


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "").replace("|", "\\|").replace(" Required.", "") + _range(field)
    kinds = {field.annotation, *get_args(field.annotation)}
    words = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum)]
    if words:
        text += f" One of {', '.join(f'`{word.value}`' for word in words[0])}."
    if SecretStr in kinds:
        text += " Secret: never shown."
    return text


def _range(field: FieldInfo) -> str:
    """The smallest and the largest number, as far as they are worth telling."""
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    if high not in (None, MAX_INT32, MAX_INT64):
        return f" From {low} to {high}."
    return f" At least {low}." if low not in (None, 0, 1) else ""
