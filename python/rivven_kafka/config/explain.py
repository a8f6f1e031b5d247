"""Turns pydantic's validation errors into problems that say what was found and what is expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rivven_kafka.config.aliases import NOT_TAKEN, spellings
from rivven_kafka.config.limits import MOST_PROBLEMS
from rivven_kafka.config.lookup import (
    aliases_of,
    find,
    is_secret,
    model_in,
    option_names,
    tags,
    untagged,
)
from rivven_kafka.config.problems import KeyPath, Problem, kind_of, show, show_path
from rivven_kafka.config.suggest import suggestion

BROKEN_RULE = "broken_rule"
"""Error type of checks whose message is complete, such as those that concern several options."""

_KEY_MARK = "[key]"
"""Pydantic ends the location of a bad dict key with this."""
_FEW_KEYS = 10
_MISSING = "missing, and it has no default"

# The type is wrong: which value it was says nothing, and it can be a secret at the wrong place.
_SHOW_KIND = {"string_type", "dict_type", "model_type", "list_type", "tuple_type", "set_type"}


def _range(field: FieldInfo | None) -> str:
    low = high = ""
    for bound in field.metadata if field is not None else ():
        if isinstance(bound, Ge):
            low = str(bound.ge)
        elif isinstance(bound, Gt):
            low = f"more than {bound.gt}"
        elif isinstance(bound, Le):
            high = str(bound.le)
    if low and high:
        return f" from {low} to {high}"
    if low:
        return f" of at least {low}"
    return f" of at most {high}" if high else ""


def _number(kind: str) -> Callable[[ErrorDetails, FieldInfo | None], str]:
    return lambda _, field: f"expected {kind}{_range(field)}"


def _bound(words: str, key: str) -> Callable[[ErrorDetails, FieldInfo | None], str]:
    def text(error: ErrorDetails, field: FieldInfo | None) -> str:
        kind = "a number" if isinstance(error["input"], float) else "an integer"
        return f"expected {kind}{_range(field) or f' {words} ' + str(error['ctx'][key])}"

    return text


def _always(text: str) -> Callable[[ErrorDetails, FieldInfo | None], str]:
    return lambda _error, _field: f"expected {text}"


def _string(error: ErrorDetails, _field: FieldInfo | None) -> str:
    quotes = " (put it in quotes)" if isinstance(error["input"], int | float) else ""
    return f"expected a string{quotes}"


def _choice(error: ErrorDetails, _field: FieldInfo | None) -> str:
    words = str(error["ctx"]["expected"])
    choices = [word.strip("'") for word in words.replace(" or ", ", ").split(", ")]
    near = suggestion(error["input"], choices) if isinstance(error["input"], str) else ""
    return f"expected {words}{near}"


def _own(error: ErrorDetails, _field: FieldInfo | None) -> str:
    return str(error["ctx"]["error"])


_EXPECTED: dict[str, Callable[[ErrorDetails, FieldInfo | None], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _number("an integer")),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _number("a number")),
    **dict.fromkeys(("bool_type", "bool_parsing"), _always("true or false")),
    **dict.fromkeys(("dict_type", "model_type"), _always("a mapping")),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), _always("a list")),
    **dict.fromkeys(("enum", "literal_error"), _choice),
    "greater_than_equal": _bound("of at least", "ge"),
    "greater_than": _bound("more than", "gt"),
    "less_than_equal": _bound("of at most", "le"),
    "string_type": _string,
    "string_too_short": _always("a string that is not empty"),
    "too_short": _always("at least one entry"),
    "value_error": _own,
}


def _unknown_key(root: type[BaseModel], path: KeyPath) -> str:
    parent, _ = find(root, path[:-1])
    model = model_in(parent)
    key = str(path[-1])
    aliases = aliases_of(model)
    if key in aliases:
        return f"given together with {show_path(aliases[key])}, which is the same option"
    if key in NOT_TAKEN:
        return f"unknown key; {NOT_TAKEN[key]}"
    known = option_names(model) if model is not None else []
    near = suggestion(key, known) or suggestion(key, aliases)
    if not near and len(known) <= _FEW_KEYS:
        near = f"; expected one of {', '.join(known)}"
    return f"unknown key{near}"


def _spelled(root: type[BaseModel], data: object, path: KeyPath) -> KeyPath:
    """`path` as the user wrote it: with Kafka's spelling of an option where that was given."""
    written: KeyPath = ()
    done = 0
    while done < len(path):
        annotation, _ = find(root, path[:done])
        found = next(spellings(data, aliases_of(model_in(annotation)), path[done:]), None)
        spelling, target = found if found is not None else (path[done], path[done : done + 1])
        written += (spelling,)
        done += len(target)
        data = _child(data, spelling)
    return written


def _child(data: object, step: str | int) -> object:
    if isinstance(data, Mapping):
        return data.get(step)
    if isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


def _tag(error: ErrorDetails, root: type[BaseModel]) -> Problem:
    """Explain what is wrong with the key that says which member of a union a section is."""
    path, section = error["loc"], error["input"]
    if not isinstance(section, Mapping):
        return Problem(path, f"got {kind_of(section)}: expected a mapping")
    key, members = tags(find(root, path)[0])
    if key not in section:
        return Problem((*path, key), _MISSING)
    value = section[key]
    *others, last = map(repr, members)
    near = suggestion(value, members) if isinstance(value, str) else ""
    return Problem((*path, key), f"got {show(value)}: expected {', '.join(others)} or {last}{near}")


def _explain(error: ErrorDetails, root: type[BaseModel]) -> Problem:
    path, kind = error["loc"], error["type"]
    if kind == "invalid_key" or (path and path[-1] == _KEY_MARK):
        at = path[:-1] if path[-1] == _KEY_MARK else path
        return Problem(at, "expected a key that is a string and not empty (put it in quotes)")
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _tag(error, root)
    if kind == "missing":
        return Problem(path, _MISSING)
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(root, path))
    if kind == BROKEN_RULE:
        return Problem(path, error["msg"])
    annotation, field = find(root, path)
    expected = _EXPECTED[kind](error, field) if kind in _EXPECTED else error["msg"]
    if is_secret(annotation):
        return Problem(path, f"got ***: {expected}")
    value = error["input"]
    return Problem(path, f"got {kind_of(value) if kind in _SHOW_KIND else show(value)}: {expected}")


def explain(error: ValidationError, root: type[BaseModel], data: object) -> list[Problem]:
    """List the problems of a failed validation.

    Args:
        error: What validating `data` against `root` raised.
        root: The model class that was validated.
        data: What was validated, as it was written.
    """
    errors = error.errors(include_url=False)
    # Pydantic counts only the valid items of a list: one bad item makes it "too short" as well.
    parents = {details["loc"][:-1] for details in errors}
    told = [each for each in errors if each["type"] != "too_short" or each["loc"] not in parents]
    problems = (_explain(details, root) for details in told[:MOST_PROBLEMS])
    explained = [
        Problem(_spelled(root, data, untagged(root, problem.path)), problem.text) for problem in problems
    ]
    # These only count.
    return explained + [Problem((), "")] * (len(told) - len(explained))
