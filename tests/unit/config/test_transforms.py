"""The steps under `transforms`: what they take, how they are refused, and what the native module reads of them."""

import json
import re

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from rivven_kafka._native import apply_transforms
from rivven_kafka.config.model import Model
from rivven_kafka.config.problems import ExpandedStr
from rivven_kafka.config.transforms import (
    AddField,
    Filter,
    RemoveField,
    RenameField,
    Transform,
    outside_data,
    transforms_json,
)
from rivven_kafka.errors import ConfigError


class Entry(Model):
    """A section with steps."""

    transforms: tuple[Transform, ...] = Field((), description="Steps.")


class Document(Model):
    """A section of sections, as in a file."""

    sources: dict[str, Entry] = Field(description="Entries.")


def step(kind, **config):
    return {"type": kind, "config": config}


RENAME = step("rename_field", **{"from": "data.a", "to": "b"})
REMOVE = step("remove_field", field="data.secret")
ADD = step("add_field", field="env", value={"name": "prod", "tags": [1, 2.5, None, True, "é"]})
FILTER = step("filter", field="data.region", equals="EU")


def entry(*steps):
    return Entry.build({"transforms": list(steps)})


def problems(*steps):
    with pytest.raises(ConfigError) as raised:
        Document.build({"sources": {"orders": {"transforms": list(steps)}}})
    return [line.removeprefix("sources.orders.transforms") for line in str(raised.value).splitlines()]


def test_steps_are_read_and_written():
    made = entry(RENAME, REMOVE, ADD, FILTER)
    assert [type(item) for item in made.transforms] == [RenameField, RemoveField, AddField, Filter]
    assert made.transforms[0].config.from_ == "data.a"
    assert json.loads(transforms_json(made.transforms)) == [RENAME, REMOVE, ADD, FILTER]
    assert Entry(transforms=made.transforms) == made
    assert transforms_json(()) == "[]"


def test_the_native_module_takes_what_is_written():
    text = transforms_json(entry(RENAME, REMOVE, ADD, FILTER).transforms)
    event = b'{"data":{"secret":1,"a":2.50,"region":"EU"}}'
    env = b'{"name": "prod", "tags": [1, 2.5, null, true, "\xc3\xa9"]}'
    assert apply_transforms(text, event) == b'{"data":{"b":2.50,"region":"EU"},"env":' + env + b"}"
    assert apply_transforms(text, event.replace(b"EU", b"US")) is None


def test_values_from_the_environment_are_plain_text():
    made = entry(step("add_field", field="a", value=[ExpandedStr.of("x", "${NAME}")]))
    assert apply_transforms(transforms_json(made.transforms), b"{}") == b'{"a":["x"]}'


@pytest.mark.parametrize(
    ("wrong", "lines"),
    [
        (step("rename_field", to="b"), ["[0].config.from: missing, and it has no default"]),
        (step("rename_field", **{"from": "a", "to": "b.c"}), [r"[0].config.to: got 'b.c': expected the new name, not a path; the field stays where it is (write \. for a dot inside the name)"]),
        (step("remove_field", from_="a", field="b"), ["[0].config.from_: unknown key; expected one of field"]),
        (step("rename_field", **{"from": "a", "to": "b", "form": 1}), ["[0].config.form: unknown key; did you mean 'from'?"]),
        (step("rename_field", from_="a", to="b"), ["[0].config.from: missing, and it has no default", "[0].config.from_: unknown key; did you mean 'from'?"]),
        (step("rename_feild"), ["[0].type: got 'rename_feild': expected 'rename_field', 'remove_field', 'add_field' or 'filter'; did you mean 'rename_field'?"]),
        (step(7), ["[0].type: got 7: expected 'rename_field', 'remove_field', 'add_field' or 'filter'"]),
        (step(["filter"]), ["[0].type: got a list: expected 'rename_field', 'remove_field', 'add_field' or 'filter'"]),
        ({"config": {}}, ["[0].type: missing, and it has no default"]),
        ({"type": "filter"}, ["[0].config: missing, and it has no default"]),
        ({"type": "filter", "config": None}, ["[0].config: got null: expected a mapping"]),
        ({**FILTER, "when": 1}, ["[0].when: unknown key; expected one of type, config"]),
        ("filter", ["[0]: got a string: expected a mapping"]),
        (None, ["[0]: got null: expected a mapping"]),
        (step("filter", field="a", equals=5), ["[0].config.equals: got an integer: expected a string (put it in quotes)"]),
        (step("filter", field=5, equals=""), ["[0].config.field: got an integer: expected a string (put it in quotes)"]),
        (step("filter", field="", equals=""), ["[0].config.field: got '': expected names separated by single dots"]),
        (step("remove_field", field="a\ud800"), [r"[0].config.field: got 'a\ud800': expected text without lone surrogates"]),
        (step("add_field", field="a", value={1: 2}), ["[0].config.value: got a mapping: expected only keys that are strings (put them in quotes)"]),
        (step("add_field", field="a", value=[float("nan")]), ["[0].config.value: got a list: expected numbers within the range of a double"]),
        (step("add_field", field="a", value=10**400), ["[0].config.value: got an integer: expected numbers within the range of a double"]),
        (step("add_field", field="a", value="\udc00"), [r"[0].config.value: got '\udc00': expected text without lone surrogates"]),
        (step("add_field", field="a", value=[b""]), ["[0].config.value: got a list: expected what JSON can hold: null, booleans, numbers, strings, lists, mappings"]),
        (step("add_field", field="a"), ["[0].config.value: missing, and it has no default"]),
    ],
)  # fmt: skip
def test_wrong_steps_say_where_and_why(wrong, lines):
    assert problems(wrong) == lines


def test_all_steps_are_checked():
    lines = problems(RENAME, step("filter", field="a"), FILTER, step("remove_field", field="a."))
    assert lines == [
        "[1].config.equals: missing, and it has no default",
        "[3].config.field: got 'a.': expected names separated by single dots",
    ]


@pytest.mark.parametrize(
    "path",
    [
        ".",
        "a.",
        ".a",
        "a..b",
        "a\\..",
        "a.\\",
        "a\\b",
        "a\\.b",
        "a\\\\.b",
        "\\.",
        "a b",
        "é.\n",
        "\\\\\\.x",
        "\\.b.",
    ],
)
def test_both_sides_agree_about_paths(path):
    text = json.dumps([step("remove_field", field=path)])
    try:
        apply_transforms(text, b"{}")
    except ConfigError:
        assert problems(step("remove_field", field=path))[0].startswith("[0].config.field: got ")
    else:
        assert entry(step("remove_field", field=path)).transforms[0].config.field == path


def nested(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_what_is_added_must_be_readable():
    deepest = entry(step("add_field", field="a.b", value=nested(125)))
    assert len(apply_transforms(transforms_json(deepest.transforms), b"{}")) > 125
    lines = problems(step("add_field", field="a.b", value=nested(126)))
    assert lines == ["[0].config.value: expected at most 127 levels, with the 2 of the field"]
    loop: list[object] = []
    loop.extend([loop, loop])
    assert problems(step("add_field", field="a", value=loop))[0].endswith("expected at most 127 levels")


def test_raw_values_have_fields_inside_data_only():
    steps = [
        RENAME,
        step("rename_field", **{"from": "stream", "to": "x"}),
        step("filter", field="data", equals="x"),
        step("remove_field", field="data\\.x"),
        REMOVE,
    ]
    found = dict(outside_data(entry(*steps).transforms))
    assert list(found) == [(1, "config", "from"), (2, "config", "field"), (3, "config", "field")]
    for index, item in enumerate(steps):
        wrong = any(path[0] == index for path in found)
        text = json.dumps([item])
        if wrong:
            with pytest.raises(ConfigError, match="expected a field inside data"):
                apply_transforms(text, b"{}", value_format="raw")
        else:
            assert apply_transforms(text, b"{}", value_format="raw") == b"{}"


def test_the_schema_agrees_with_the_models():
    schema = Document.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for item in (RENAME, REMOVE, ADD, FILTER):
        assert validator.is_valid({"sources": {"orders": {"transforms": [item]}}})
    for item in (
        step("rename_field", from_="a", to="b"),
        step("remove_field", field="a..b"),
        step("drop"),
        {"type": "filter"},
    ):
        assert not validator.is_valid({"sources": {"orders": {"transforms": [item]}}})
    rename = schema["$defs"]["RenameFieldConfig"]
    assert rename["required"] == ["from", "to"]
    assert re.fullmatch(rename["properties"]["to"]["pattern"], "a\\.b")
    assert not re.fullmatch(rename["properties"]["to"]["pattern"], "a.b")
