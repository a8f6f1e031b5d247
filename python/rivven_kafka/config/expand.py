"""Expansion of `${...}` in the string values of a configuration that has been parsed already.

Forms: `${VAR}`, `${VAR:-default}` (also when VAR is empty), `${VAR:?message}`, `${file:path}`; `$$` is a `$`.
Because it happens after parsing, a value can neither add keys nor break the syntax of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rivven_kafka.config.limits import MAX_DEPTH, MAX_VALUES, TOO_MUCH
from rivven_kafka.config.problems import ExpandedStr, KeyPath, Problem

_REFERENCE = re.compile(
    r"\$\$|\$\{(?:file:(?P<file>[^}]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<how>[-?])(?P<text>[^}]*))?)\}|\$\{"
)
_MAX_FILE_BYTES = 1024 * 1024


class _Refusal(Exception):
    """One reference cannot be expanded; the text says why and holds no value."""


class _Expansion:
    """One walk through a configuration: what it looks up in, and the problems found so far."""

    def __init__(self, env: Mapping[str, str], directory: Path) -> None:
        self.problems: list[Problem] = []
        self._env = env
        self._directory = directory
        self._values = 0

    def walk(self, value: object, path: KeyPath) -> object:
        self._values += 1
        if len(path) > MAX_DEPTH or self._values > MAX_VALUES:
            if not any(problem.path == () for problem in self.problems):
                self.problems.append(Problem((), TOO_MUCH))
            return None
        if isinstance(value, dict):
            return {key: self.walk(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self.walk(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and "$" in value:
            return self._expand(value, path)
        return value

    def _expand(self, text: str, path: KeyPath) -> str:
        references: list[str] = []

        def replace(match: re.Match[str]) -> str:
            if match.group() == "$$":
                return "$"
            references.append(f"${{{match['name'] or 'file:' + (match['file'] or '')}}}")
            return self._look_up(match)

        try:
            expanded = _REFERENCE.sub(replace, text)
        except _Refusal as refusal:
            self.problems.append(Problem(path, str(refusal)))
            return ExpandedStr.of("", "".join(references))
        return ExpandedStr.of(expanded, "".join(references)) if references else expanded

    def _look_up(self, match: re.Match[str]) -> str:
        name, how, text = match["name"], match["how"], match["text"]
        if match["file"] is not None:
            return self._read(match["file"])
        if name is None:
            raise _Refusal(
                "malformed ${...}: expected ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:path}; "
                "write $${ for a literal ${"
            )
        if text is not None and "${" in text:
            raise _Refusal(f"${{{name}...}}: a reference inside a reference is not supported")
        found = self._env.get(name)
        if how is not None and not found:
            if how == "-":
                return str(text)
            raise _Refusal(f"environment variable {name} is not set: {text or 'it is required'}")
        if found is None:
            raise _Refusal(
                f"environment variable {name} is not set and has no default; ${{{name}:-...}} gives one"
            )
        return found

    def _read(self, name: str) -> str:
        try:
            with (self._directory / name).open("rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
            if len(content) > _MAX_FILE_BYTES:
                raise _Refusal(f"${{file:{name}}}: the file is larger than {_MAX_FILE_BYTES} bytes")
            # Editors and `kubectl create secret` end files with a line break that is no part of the secret.
            return content.decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise _Refusal(f"${{file:{name}}}: {error.strerror or 'cannot be read'}") from None
        except ValueError:
            raise _Refusal(f"${{file:{name}}}: expected a path and UTF-8 text") from None


ELSEWHERE = "\0"
"""What stands for a value that is not in the file itself; YAML has no such character."""


def own_text(text: str, env: Mapping[str, str]) -> str:
    """What of a value stands in the file itself, its defaults included where they are used.

    Args:
        text: The value as it is written.
        env: The environment variables.

    Returns:
        The value, with `ELSEWHERE` for what comes out of variables and other files.
    """

    def replace(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        if match["how"] == "-" and not env.get(match["name"]):
            return str(match["text"])
        return ELSEWHERE

    return _REFERENCE.sub(replace, text)


def file_references(text: str) -> list[str]:
    """The files that a value as it is written refers to."""
    return [match["file"] for match in _REFERENCE.finditer(text) if match["file"] is not None]


def expand(data: object, env: Mapping[str, str], directory: Path) -> tuple[object, list[Problem]]:
    """Expand every reference in the string values of `data`; keys are left alone.

    Args:
        data: Dicts, lists and scalars, as a YAML parser returns them. Not changed.
        env: The environment variables.
        directory: Where relative `${file:path}` start: the directory of the configuration file.

    Returns:
        The expanded copy, and one problem for each reference that cannot be expanded. A value with such a
        reference is left empty.
    """
    expansion = _Expansion(env, directory)
    return expansion.walk(data, ()), expansion.problems
