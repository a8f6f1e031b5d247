"""Reads YAML as rivven-connect does (version 1.2), refuses duplicate keys and knows the line of every value.

Of YAML 1.1, which PyYAML speaks, these are left out: `yes`, `no`, `on` and `off` as booleans, dates, numbers
with colons, and octal numbers that only begin with a zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from rivven_kafka.config.limits import MAX_VALUES, TOO_MUCH
from rivven_kafka.config.problems import KeyPath, Problem, config_error, show, without_quotation

_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"
_DROPPED = {_BOOL, _INT, "tag:yaml.org,2002:timestamp"}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's attribute)
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    _INT, re.compile(r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+)$"), list("-+0123456789")
)
_Loader.add_constructor(_INT, _integer)


class Document:
    """A parsed YAML document.

    Attributes:
        data: Dicts, lists and scalars.
    """

    def __init__(self, data: object, root: yaml.Node | None) -> None:
        self.data = data
        self._root = root

    def line_of(self, path: KeyPath) -> int | None:
        """Return the line (from 1) of the value at `path`, or of the nearest one above it."""
        node, line = self._root, None
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            node, line = found
        return line


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, int] | None:
    """Return what lies one step below `node`, and the line where it starts."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child = node.value[step]
        return child, child.start_mark.line + 1
    return None


def _duplicates(root: yaml.Node | None) -> Iterator[Problem]:
    """Find keys that occur twice in a mapping, of which YAML parsers silently drop one."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(node.value))
        elif isinstance(node, yaml.MappingNode):
            places: dict[tuple[str, str], tuple[int, int]] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                    continue
                place = key.start_mark.line + 1, key.start_mark.column
                first = places.setdefault((key.tag, key.value), place)
                if first != place:
                    text = f"key {show(key.value)} is given twice, first in line {first[0]}"
                    yield Problem((), text, place[0])
            waiting.extend(value for _, value in reversed(node.value))


class _Size:
    """Counts the values of a document, those behind aliases as often as they are named."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def of(self, node: yaml.Node | None) -> int:
        """How many values `node` stands for; more than any number if it contains itself."""
        if not isinstance(node, yaml.CollectionNode):
            return 1
        if id(node) not in self._known:
            self._known[id(node)] = MAX_VALUES + 1
            children = node.value
            if isinstance(node, yaml.MappingNode):
                children = [each for pair in node.value for each in pair]
            self._known[id(node)] = 1 + sum(map(self.of, children))
        return self._known[id(node)]


def _reason(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, without the text of the file: a secret without quotes may look like an alias or tag."""
    message = error.problem or error.context or "not known why"
    reason = without_quotation(message)
    if reason == message and "cannot start any token" not in message:
        return reason
    return f"{reason}; a value that begins with a special character, such as * or !, has to stand in quotes"


def read_yaml(text: str, origin: str) -> Document:
    """Parse one YAML document.

    Args:
        text: The document.
        origin: Where it comes from, for errors.

    Raises:
        ConfigError: It is not YAML, has several documents, or a key is given twice in a mapping.
    """
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        problems = list(_duplicates(root))
        # Before the values are made: PyYAML copies what a merge names, again at each level.
        if _Size().of(root) > MAX_VALUES:
            problems = [Problem((), TOO_MUCH)]
        data = None if root is None or problems else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", column {mark.column + 1}" if mark is not None else ""
        line = mark.line + 1 if mark is not None else None
        problems = [Problem((), f"not valid YAML{where}: {_reason(error)}", line)]
    # PyYAML lets errors of constructors pass: `!!bool x` is a KeyError, `!!timestamp x` an AttributeError.
    except (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError) as error:
        problems = [Problem((), f"not valid YAML ({type(error).__name__})")]
    finally:
        if loader is not None:
            loader.dispose()
    if problems:
        raise config_error(problems, origin)
    return Document(data, root)
