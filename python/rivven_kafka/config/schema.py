"""What the JSON Schema of a section says beyond what pydantic derives from its fields."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from rivven_kafka.config.lookup import aliases_of
from rivven_kafka.config.problems import show_path


def add_aliases(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Let a section be written in Kafka's spellings too.

    Args:
        schema: The section's schema, changed in place.
        model: The section's model.
    """
    aliases = aliases_of(model)
    properties = schema.get("properties", {})
    for spelling, path in aliases.items():
        # What lies in another section is checked when the file is loaded.
        like = {**properties[path[0]]} if len(path) == 1 else {}
        like.pop("default", None)
        properties[spelling] = {**like, "description": f"Kafka's spelling of {show_path(path)}."}
    alternatives = {
        option: [spelling for spelling, path in aliases.items() if path == (option,)]
        for option in schema.get("required", ())
    }
    spelled = {option: names for option, names in alternatives.items() if names}
    if not spelled:
        return
    schema["required"] = [option for option in schema["required"] if option not in spelled]
    schema["allOf"] = [
        {"anyOf": [{"required": [name]} for name in (option, *names)]} for option, names in spelled.items()
    ]
