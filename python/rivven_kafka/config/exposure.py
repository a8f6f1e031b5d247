"""Secrets in files that other users of the machine can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, SecretStr

from rivven_kafka.config.aliases import SINK, SOURCE
from rivven_kafka.config.expand import ELSEWHERE, file_references, own_text
from rivven_kafka.config.kafka_options import PROXIES, plain_name
from rivven_kafka.config.problems import KeyPath, show_path

_SECRET_FILES = {
    "ssl_client_key": "holds a private key",
    "key_path": "holds a private key",
    "token_file": "holds a token",
}
"""Options that name a file with a secret, and what it holds."""


def exposed_secrets(
    config: BaseModel, path: Path, written: object, expanded: object, env: Mapping[str, str]
) -> Iterator[str]:
    """Tell of files with secrets that their group, or everyone, can read; a line for each option and file.

    Args:
        config: The configuration, valid.
        path: Its file.
        written: What that file holds.
        expanded: The same, with the values of `${...}`.
        env: The environment variables that they come from.
    """
    found = [(at[-1], value) for at, value in _leaves(config) if isinstance(value, SecretStr) and at]
    secrets = {value.get_secret_value() for _, value in found}
    # A name that happens to be the same as a password is no secret.
    options = _with_spellings({name for name, _ in found})
    secret_files = {
        spelling: what for option, what in _SECRET_FILES.items() for spelling in _with_spellings({option})
    }
    for (at, text), (_, value) in zip(_leaves(written), _leaves(expanded), strict=True):
        if not at or not isinstance(text, str) or not isinstance(value, str):
            continue
        option = at[-1]
        if option in secret_files:
            yield from _tell(at, Path(value), secret_files[option])
        elif option in options and value in secrets:
            for name in file_references(text):
                yield from _tell(at, path.parent / name, "holds the secret")
            own = own_text(text, env)
            if _holds_secret(str(option), own):
                what = "a part of the secret" if ELSEWHERE in own else "the secret itself"
                yield from _tell(at, path, f"holds {what}")


def _holds_secret(option: str, own: str) -> bool:
    """Whether what stands in the file itself is more than the harmless parts of a URL."""
    if plain_name(option) in PROXIES:
        user, _, _ = own.rpartition("://")[2].rpartition("@")
        name, colon, password = user.partition(":")
        own = password if colon else name
    return own.strip(ELSEWHERE) != ""


def _with_spellings(options: set[str | int] | set[str]) -> set[str | int]:
    """The options, and Kafka's spellings of them."""
    aliases = {**SOURCE, **SINK}
    return {*options, *(spelling for spelling, target in aliases.items() if target[-1] in options)}


def _tell(option: KeyPath, path: Path, what: str) -> Iterator[str]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        # Whoever needs the file says more.
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IROTH or (mode & stat.S_IRGRP and not _given_to_us(path, found)):
        yield f"{show_path(option)}: {path} {what}, and others can read it (mode {mode:04o}): expected 0600"


def _given_to_us(path: Path, found: os.stat_result) -> bool:
    """Whether its group reads it on our behalf: without that we could not read it ourselves.

    Kubernetes mounts secrets as files of root's for the group of the pod. Where systemd has put a credential,
    the bits of the group are the mask of a list of rights that names the service alone.
    """
    if found.st_uid == os.geteuid():
        return False
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and path.absolute().is_relative_to(credentials):
        return True
    return found.st_gid == os.getegid() or found.st_gid in os.getgroups()


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
