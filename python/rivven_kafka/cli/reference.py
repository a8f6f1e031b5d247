"""The option reference as Markdown, made from the models: `docs/configuration.md` holds its output."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def option_tables(title: str, model: type[BaseModel]) -> str:
    """A table of the options of `model`, and one of each section inside it.

    Args:
        title: Heading of the first table.
        model: The section to describe.
    """
    return "\n".join(_tables(title, model, "")).rstrip() + "\n"


def _tables(title: str, model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    sections = []
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is not None:
            sections.append((name, section))
        yield f"| `{prefix}{name}` | {_default(field)} | {_meaning(field)} |"
    yield ""
    for name, section in sections:
        yield from _tables(f"{title}: `{prefix}{name}`", section, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if _section(field) is not None or field.default is PydanticUndefined:
        return ""
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default != () else ""


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "").replace("|", "\\|").replace(" Required.", "")
    kinds = {field.annotation, *get_args(field.annotation)}
    words = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum)]
    if words:
        text += f" One of {', '.join(f'`{word.value}`' for word in words[0])}."
    if SecretStr in kinds:
        text += " Secret: never shown."
    return text
