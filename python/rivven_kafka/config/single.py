"""The short shape of a configuration file, which describes a single connector."""

from __future__ import annotations

from rivven_kafka.config.broker import DEFAULT_ADDRESS
from rivven_kafka.config.problems import KeyPath, Problem, show

_SECTIONS = {"kafka-source": "sources", "kafka-sink": "sinks"}
_ROOT_KEYS = ("version", "broker", "settings", "distributed")


def is_single(data: object) -> bool:
    """Whether this is the short shape: `type` stands at the top."""
    return isinstance(data, dict) and "type" in data


def widen(data: dict[object, object]) -> tuple[dict[object, object], KeyPath] | Problem:
    """Turn the short shape into the full one.

    The connector is named after its type. Without a `broker` section, Rivven is expected on this machine.

    Returns:
        The full shape, and the path of the connector in it: paths below it are below the top in `data`. Or
        what is wrong with `type`.
    """
    kind = data["type"]
    section = _SECTIONS.get(kind) if isinstance(kind, str) else None
    if section is None:
        return Problem(("type",), f"got {show(kind)}: expected kafka-source or kafka-sink")
    name = str(kind)
    root: dict[object, object] = {key: value for key, value in data.items() if key in _ROOT_KEYS}
    entry = {key: value for key, value in data.items() if key not in _ROOT_KEYS and key != "type"}
    if "connector" in entry:
        return Problem(("connector",), "unknown key beside type")
    entry["connector"] = name
    root.setdefault("broker", {"bootstrap_servers": [DEFAULT_ADDRESS]})
    root[section] = {name: entry}
    return root, (section, name)
