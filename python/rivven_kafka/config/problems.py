"""What is wrong with a configuration, one line per problem, and never the value of a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from rivven_kafka.config.limits import MOST_PROBLEMS
from rivven_kafka.errors import ConfigError, ConfigProblem

KeyPath = tuple[str | int, ...]
"""The keys and list indexes from the top of the configuration down to a value."""

_PLAIN_KEY = re.compile(r"[\w.\-]+")
_BEFORE_QUOTED = re.compile(r"""(?:[^'"]|'(?:<[a-z ]+>|\\?[^\w'])')*""")
"""As far as nothing is quoted but punctuation and YAML's own words, such as '<scalar>'."""
_MAX_SHOWN = 60
_MAX_SHOWN_BITS = 256
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (dict, "a mapping"),
    (list, "a list"),
    (tuple, "a list"),
)


class ExpandedStr(str):
    """A string that came out of `${...}`: errors name the reference, because the value may be a secret.

    Attributes:
        reference: The reference as `${NAME}`, without its default.
    """

    __slots__ = ("reference",)
    reference: str

    @classmethod
    def of(cls, value: str, reference: str) -> Self:
        """Mark `value` as coming from `reference`."""
        marked = cls(value)
        marked.reference = reference
        return marked


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Where it is; empty for the configuration as a whole.
        text: What is wrong and what is expected, without the path.
        line: The line of the file (from 1), where the path does not tell it.
    """

    path: KeyPath
    text: str
    line: int | None = None


def kind_of(value: object) -> str:
    """Name the type of a value in the words of a configuration file."""
    if value is None:
        return "null"
    if isinstance(value, dict | list | tuple) and not value:
        return "nothing"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")


def show(value: object) -> str:
    """Describe a value that is not known to be a secret; one that may contain one is cut or named only."""
    if isinstance(value, ExpandedStr):
        return f"the value of {value.reference}"
    if isinstance(value, str):
        # "user:password@host:9092" is a common slip.
        _, at, tail = value.rpartition("@")
        text = f"***@{tail}" if at else value
        return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _MAX_SHOWN_BITS):
        return repr(value)
    return kind_of(value)


def repeated(option: str, values: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    """Find the items of a list that are in it before; tells their places only: they may hold a secret."""
    for index, value in enumerate(values):
        first = values.index(value)
        if first != index:
            yield (option, index), f"the same as {option}[{first}]: expected each one once"


def without_quotation(message: str) -> str:
    """Cut a parser's message where it begins to repeat what it has read, which may be a secret."""
    kept = _BEFORE_QUOTED.match(message)
    return (kept.group() if kept else "").rstrip(" (,:;")


def show_path(path: KeyPath) -> str:
    """Write a path as `sources.orders.config.brokers[1]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if _PLAIN_KEY.fullmatch(step) else repr(step)
            text += f".{key}" if text else key
    return text


def config_error(
    problems: Iterable[Problem],
    origin: str = "",
    line_of: Callable[[KeyPath], int | None] = lambda _: None,
) -> ConfigError:
    """Make the one error that lists all problems, or the first of very many, in the order of their lines.

    Args:
        problems: At least one.
        origin: The file or whatever else the configuration came from; may be empty.
        line_of: Gives the line (from 1) of a path in the origin, if known.
    """
    problems = list(problems)
    left_out = len(problems) - MOST_PROBLEMS
    found = [
        ConfigProblem(origin, it.line or line_of(it.path), show_path(it.path), it.text)
        for it in problems[:MOST_PROBLEMS]
    ]
    if left_out > 0:
        found.append(ConfigProblem(origin, None, "", f"{left_out} more problems; these are the first"))
    found.sort(key=lambda problem: problem.line or 0)
    return ConfigError("\n".join(map(str, found)), problems=found)
