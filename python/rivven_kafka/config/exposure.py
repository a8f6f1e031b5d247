"""Secrets in files that other users of the machine can read."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, SecretStr

from rivven_kafka.config.aliases import SINK, SOURCE
from rivven_kafka.config.expand import file_references, refers
from rivven_kafka.config.problems import KeyPath, show_path

_READ_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
_KEY_FILES = {"ssl_client_key", "key_path"}
"""Options that name the file of a private key."""


def exposed_secrets(config: BaseModel, path: Path, written: object, expanded: object) -> Iterator[str]:
    """Tell of files with secrets that their group, or everyone, can read; a line for each option and file.

    Args:
        config: The configuration, valid.
        path: Its file.
        written: What that file holds.
        expanded: The same, with the values of `${...}`.
    """
    found = [(at[-1], value) for at, value in _leaves(config) if isinstance(value, SecretStr) and at]
    secrets = {value.get_secret_value() for _, value in found}
    # A name that happens to be the same as a password is no secret.
    options = _with_spellings({name for name, _ in found})
    key_files = _with_spellings(_KEY_FILES)
    for (at, text), (_, value) in zip(_leaves(written), _leaves(expanded), strict=True):
        if not at or not isinstance(text, str) or not isinstance(value, str):
            continue
        if at[-1] in key_files:
            yield from _tell(at, Path(value), "holds a private key")
        elif at[-1] in options and value in secrets:
            for name in file_references(text):
                yield from _tell(at, path.parent / name, "holds the secret")
            if not refers(text):
                yield from _tell(at, path, "holds the secret itself")


def _with_spellings(options: set[str | int] | set[str]) -> set[str | int]:
    """The options, and Kafka's spellings of them."""
    aliases = {**SOURCE, **SINK}
    return {*options, *(spelling for spelling, target in aliases.items() if target[-1] in options)}


def _tell(option: KeyPath, path: Path, what: str) -> Iterator[str]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        # Whoever needs the file says more.
        return
    if mode & _READ_BY_OTHERS:
        yield f"{show_path(option)}: {path} {what}, and others can read it (mode {mode:04o}): expected 0600"


def _leaves(value: object, at: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """The values that hold no others, with their keys."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*at, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, (*at, index))
    else:
        yield at, value
