"""The base of all configuration models: immutable, strict about keys and types, and raising `ConfigError`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from rivven_kafka.config.aliases import rewrite
from rivven_kafka.config.explain import BROKEN_RULE, explain
from rivven_kafka.config.problems import KeyPath, config_error
from rivven_kafka.config.schema import add_aliases
from rivven_kafka.config.values import INTEGER

BrokenRule = tuple[str | KeyPath, str]
"""The option to name in the error (empty: the whole section), and the complete message."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Model(BaseModel):
    """An immutable section of the configuration.

    Construct it with keyword arguments, or from a mapping with `build`. Both raise `ConfigError`, which lists
    every problem; `model_validate`, which pydantic uses for nested sections too, raises pydantic's own error.
    Numbers and booleans may come as strings, as environment variables do; nothing else is converted.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        json_schema_extra=add_aliases,
    )

    def __init__(self, /, **options: object) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            problems = explain(error, type(self), options)
        else:
            return
        # Outside of the handler: pydantic's error holds the input, secrets included, and must not be chained.
        raise config_error(problems)

    # Without this mark pydantic would build nested sections through __init__, and stop at the first error.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    aliases: ClassVar[Mapping[str, KeyPath]] = {}
    """Kafka's spellings of options, and the paths of the options they mean."""

    @classmethod
    def build(cls, options: Mapping[str, object], *, origin: str = "") -> Self:
        """Construct the section from a mapping.

        Args:
            options: Option names and values; nested sections as mappings.
            origin: Put in front of each line of an error, such as a file name.

        Raises:
            ConfigError: An option is missing, unknown, of the wrong type or out of range. Lists all of them.
        """
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            problems = explain(error, cls, options)
        raise config_error(problems, origin)

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Yield what is wrong with the combination of options, each valid on its own."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _read_aliases(cls, data: object) -> object:
        return rewrite(data, cls.aliases) if cls.aliases and isinstance(data, Mapping) else data

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_lookalikes(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what pydantic would convert although nobody meant it: true as 1, 1 as true, 5.0 as 5."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        types = {annotation, *get_args(annotation)}
        if bool in types:
            text = isinstance(value, str) and value.lower() in ("true", "false")
            if not (value is None or isinstance(value, bool) or text):
                raise PydanticKnownError("bool_type")
        elif int in types and (
            isinstance(value, bool | float | bytes)
            or (isinstance(value, str) and not INTEGER.fullmatch(value))
        ):
            raise PydanticKnownError("int_type")
        elif float in types and (
            isinstance(value, bool | bytes) or (isinstance(value, str) and not _NUMBER.fullmatch(value))
        ):
            raise PydanticKnownError("float_type")
        return value

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        details = [
            InitErrorDetails(
                type=PydanticCustomError(BROKEN_RULE, "{message}", {"message": message}),
                loc=option if isinstance(option, tuple) else (option,) if option else (),
                input=None,
            )
            for option, message in self.broken_rules()
        ]
        if details:
            # Pydantic merges the lines of this error into the outer one, so that all of them are reported.
            raise ValidationError.from_exception_data(type(self).__name__, details, hide_input=True)
        return self
