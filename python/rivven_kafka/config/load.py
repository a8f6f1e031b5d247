"""Reads a configuration file: YAML, `${...}` expansion, validation; one error lists all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from rivven_kafka.config.connect import ConnectConfig
from rivven_kafka.config.document import read_yaml
from rivven_kafka.config.expand import expand
from rivven_kafka.config.explain import explain
from rivven_kafka.config.exposure import exposed_secrets
from rivven_kafka.config.limits import MAX_FILE_BYTES
from rivven_kafka.config.problems import KeyPath, Problem, config_error
from rivven_kafka.config.single import is_single, widen


def _validate(data: object) -> tuple[ConnectConfig | None, list[Problem]]:
    """Validate either shape; the paths of the problems are those in `data`."""
    inside: KeyPath = ()
    if isinstance(data, dict) and is_single(data):
        widened = widen(data)
        if isinstance(widened, Problem):
            return None, [widened]
        data, inside = widened
    try:
        return ConnectConfig.model_validate(data), []
    except ValidationError as error:
        problems = explain(error, ConnectConfig, data)
    depth = len(inside)
    return None, [
        Problem(problem.path[depth:], problem.text) if depth and problem.path[:depth] == inside else problem
        for problem in problems
    ]


def _finish(
    data: object,
    origin: str,
    unexpanded: Iterable[Problem] = (),
    line_of: Callable[[KeyPath], int | None] = lambda _: None,
) -> ConnectConfig:
    config, problems = _validate(data)
    # A value that could not be expanded is empty: what validation says about it is not the cause.
    known = {problem.path: problem for problem in unexpanded}
    problems = [*known.values(), *(problem for problem in problems if problem.path not in known)]
    if config is None or problems:
        raise config_error(problems, origin, line_of)
    return config


def parse_connect(data: object, origin: str = "configuration") -> ConnectConfig:
    """Validate a configuration that has been parsed already. `${...}` is not expanded.

    Args:
        data: A mapping of the shape of `connect.yaml`, or of the short shape with `type` at the top.
        origin: Put in front of each line of an error.

    Raises:
        ConfigError: Lists every problem, one per line, as `origin: key.path: got <value>: expected ...`.
    """
    return _finish(data, origin)


def load_connect_file(
    path: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    *,
    warn: Callable[[str], None] = lambda _: None,
) -> ConnectConfig:
    """Read, expand and validate a configuration file.

    Args:
        path: A YAML file of the shape of `connect.yaml`, or of the short shape with `type` at the top.
        env: The variables for `${VAR}`; the environment of the process if None.
        warn: Told of each file with a secret that other users of the machine can read.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or lists every problem, one per line, as
            `file:line: key.path: got <value>: expected ...`. Values of secrets are never shown.
    """
    origin = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise config_error([Problem((), f"expected at most {MAX_FILE_BYTES} bytes")], origin)
        text = content.decode()
    except OSError as error:
        raise config_error(
            [Problem((), f"cannot be read: {error.strerror or 'I/O error'}")], origin
        ) from None
    except ValueError:
        raise config_error([Problem((), "expected UTF-8 text")], origin) from None
    document = read_yaml(text, origin)
    env = os.environ if env is None else env
    data, problems = expand(document.data, env, Path(path).parent)
    config = _finish(data, origin, problems, document.line_of)
    for text in exposed_secrets(config, Path(path), document.data, data, env):
        warn(text)
    return config
