"""Transforms of events and values: the same edit as on parsed JSON, and every other byte as it was."""

import json
from string import ascii_letters
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka import errors
from rivven_kafka._native import SinkEncoder, apply_transforms

from .encoding import encode, event, records, values_block

# Few names, so that steps meet them; one needs an escape in a path, one can be spelled with an escape.
NAMES = ["a", "b", "a.b", "é", 'q"\\']
SPACE = st.sampled_from(["", " ", "\n", "\t "])


def step(kind, **config):
    return {"type": kind, "config": config}


def spelled(name):
    """The spellings of a name in JSON: as it is, and with escapes."""
    return st.sampled_from(
        [
            json.dumps(name, ensure_ascii=False),
            json.dumps(name),
            '"' + "".join(f"\\u{ord(c):04X}" for c in name) + '"',
        ]
    )


def objects(values):
    """JSON objects of these values; names can stand twice."""
    member = st.sampled_from(NAMES).flatmap(
        lambda name: st.builds("{}{}{}:{}{}{}".format, SPACE, spelled(name), SPACE, SPACE, values, SPACE)
    )
    return st.lists(member, max_size=5).map(lambda members: "{" + ",".join(members) + "}")


SCALARS = st.one_of(
    st.sampled_from(
        [
            "null",
            "true",
            "false",
            "2.50",
            "1e2",
            "-0",
            "12345678901234567890123",
            '"a,}\\""',
            '"\\u00e9"',
            '"é"',
            '""',
        ]
    ),
    st.text(ascii_letters + '"\\{}[],:', max_size=5).map(json.dumps),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        objects(inner), st.lists(inner, max_size=3).map(lambda items: "[ " + ", ".join(items) + "]")
    ),
    max_leaves=12,
)
DOCUMENTS = objects(VALUES)

PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)
STEPS = st.one_of(
    st.builds(lambda path, to: ("rename_field", path, to), PATHS, st.sampled_from(NAMES)),
    st.builds(lambda path: ("remove_field", path, None), PATHS),
    st.builds(lambda path, value: ("add_field", path, value), PATHS, st.sampled_from(["new", 7, None, [1, {"x": 2}]])),
    st.builds(lambda path, text: ("filter", path, text), PATHS, st.sampled_from(["2.50", "null", "true", "é", "", "12345678901234567890123"])),
)  # fmt: skip


def escaped(name):
    return name.replace("\\", "\\\\").replace(".", "\\.")


def config_of(kind, path, argument):
    field = ".".join(map(escaped, path))
    if kind == "rename_field":
        return step(kind, **{"from": field, "to": escaped(argument)})
    return step(
        kind, field=field, **{"add_field": {"value": argument}, "filter": {"equals": argument}}.get(kind, {})
    )


class Pairs(list[Any]):
    """An object as Python reads it, with names that stand twice."""


class Number(str):
    """A number as it is written."""


def parse(text):
    return json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number)


class NotAnObject(Exception):
    """A step that adds cannot be done."""


def last(pairs, name):
    """The index of the last member with a name."""
    return max((index for index, (found, _) in enumerate(pairs) if found == name), default=None)


def without(pairs, names, kept):
    return Pairs(pair for index, pair in enumerate(pairs) if index == kept or pair[0] not in names)


def edited(kind, path, argument, node):
    """What a step makes of a parsed value; None for a filter that drops it."""
    if not isinstance(node, Pairs):
        if kind == "add_field":
            raise NotAnObject
        return None if kind == "filter" else node
    name, *rest = path
    at = last(node, name)
    if kind == "filter":
        if at is None:
            return None
        found = node[at][1]
        if rest:
            return node if edited(kind, rest, argument, found) is not None else None
        literal = {None: "null", True: "true", False: "false"}
        text = None if isinstance(found, list) else found if isinstance(found, str) else literal[found]
        return node if text == argument else None
    if rest:
        if at is None and kind == "add_field":
            return Pairs([*node, (name, edited(kind, rest, argument, Pairs()))])
        return Pairs(
            (found, edited(kind, rest, argument, value) if found == name else value) for found, value in node
        )
    if kind == "remove_field":
        return without(node, {name}, None)
    if kind == "add_field":
        new = parse(json.dumps(argument))
        if at is None:
            return Pairs([*node, (name, new)])
        return without(Pairs([*node[:at], (name, new), *node[at + 1 :]]), {name}, at)
    if at is None or name == argument:
        return node
    return without(Pairs([*node[:at], (argument, node[at][1]), *node[at + 1 :]]), {name, argument}, at)


@given(document=DOCUMENTS, steps=st.lists(STEPS, min_size=1, max_size=3))
def test_steps_do_what_the_same_edits_of_parsed_json_do(document, steps):
    text = json.dumps([config_of(*item) for item in steps])
    expected = parse(document)
    try:
        for item in steps:
            expected = edited(*item, expected) if expected is not None else None
    except NotAnObject:
        with pytest.raises(errors.EventFormatError, match="expected an object"):
            apply_transforms(text, document.encode())
        return
    found = apply_transforms(text, document.encode())
    assert (None if found is None else parse(found)) == expected


@given(
    members=st.lists(st.builds("{}{}".format, SPACE, VALUES), min_size=3, max_size=6),
    place=st.integers(0, 5),
    kind=st.sampled_from(["rename_field", "remove_field", "add_field"]),
)
def test_what_is_not_touched_stays_to_the_byte(members, place, kind):
    place %= len(members)
    texts = [f'"m{index}" :{value}' for index, value in enumerate(members)]
    expected = list(texts)
    if kind == "remove_field":
        del expected[place]
        done = step(kind, field=f"m{place}")
    elif kind == "rename_field":
        expected[place] = texts[place].replace(f'"m{place}"', '"new"', 1)
        done = step(kind, **{"from": f"m{place}", "to": "new"})
    else:
        expected.append('"new":{"x": 1}')
        done = step(kind, field="new", value={"x": 1})
    found = apply_transforms(json.dumps([done]), ("{" + ",".join(texts) + "}").encode())
    assert found.decode() == "{" + ",".join(expected) + "}"


@given(document=DOCUMENTS, item=STEPS)
def test_a_value_is_edited_as_the_data_of_an_event_is(document, item):
    kind, path, argument = item
    text = json.dumps([config_of(kind, ["data", *path], argument)])

    def outcome(value, value_format):
        try:
            return apply_transforms(text, value, value_format=value_format)
        except errors.EventFormatError as error:
            return str(error)

    raw = outcome(document.encode(), "raw")
    wrapped = outcome(b'{"data":' + document.encode() + b"}", "event")
    assert wrapped == (b'{"data":' + raw + b"}" if isinstance(raw, bytes) else raw)


def test_an_unknown_format_is_refused():
    with pytest.raises(errors.ConfigError, match="avro"):
        apply_transforms("[]", b"{}", value_format="avro")


def sink(*steps, **options):
    return SinkEncoder(1, include_headers=False, transforms=json.dumps(steps), **options)


def test_the_sink_writes_what_is_left_of_an_event():
    encoder = sink(
        step("filter", field="data.region", equals="EU"),
        step("remove_field", field="data.card"),
        step("rename_field", **{"from": "data.id", "to": "number"}),
        value_format="event",
        key_field="number",
    )
    values = [
        event('{"id": 1.50, "card": "x", "region": "EU"}'),
        event('{"id": 2, "region": "US"}'),
        event(),
        event('{"id":3,"region":"EU"}'),
    ]
    out = encode(encoder, values_block(values))
    assert [(record.key, record.value) for record in out[0]] == [
        (b"1.50", b'{"number": 1.50, "region": "EU"}'),
        (b"3", b'{"number":3,"region":"EU"}'),
    ]
    assert encoder.records_filtered() == 2


def test_the_sink_takes_raw_values_as_data():
    encoder = sink(step("add_field", field="data.env", value="prod"))
    out = encode(encoder, values_block([b'{"a": 2.50}', None, b"", b" null"]))
    assert [record.value for record in out[0]] == [b'{"a": 2.50,"env":"prod"}', None, b"", b" null"]


def test_a_filtered_record_counts_as_done():
    encoder = sink(step("filter", field="data.a", equals="1"))
    encoder.append(values_block([b'{"a":1}', b'{"a":2}', b"text", None, b'{"a":"1"}', b"[]"]))
    assert (encoder.records_filtered(), encoder.in_flight_records()) == (4, 2)
    assert encoder.take_positions() == []
    [batch] = encoder.take_ready(0)
    assert [record.value for record in records(batch)] == [b'{"a":1}', b'{"a":"1"}']
    batch.acknowledge()
    assert encoder.take_positions() == [("events", 0, 6)]


def test_a_block_of_filtered_records_moves_the_position():
    encoder = sink(step("filter", field="data.a", equals="1"))
    encoder.append(values_block([b"{}"] * 70))
    assert (encoder.take_ready(0), encoder.take_positions()) == ([], [("events", 0, 70)])


@pytest.mark.parametrize(
    ("done", "value", "reason"),
    [
        (step("add_field", field="data.a", value=1), event('"text"', kafka_value_encoding="text"), "add_field data.a: data is a string, expected an object"),
        (step("remove_field", field="stream"), event("1"), "after its transforms: not a Rivven source event: missing field `stream`"),
        (step("rename_field", **{"from": "data", "to": "payload"}), event("1"), "after its transforms: not a Rivven source event: missing field `data`"),
        (step("remove_field", field="metadata"), event('"aGk="', kafka_value_encoding="base64"), "the transforms remove metadata.kafka_value_encoding"),
        (step("remove_field", field="a"), b"text", "not a Rivven source event: not JSON"),
        (step("remove_field", field="a"), b"[]", "after its transforms: not a Rivven source event: invalid"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_transformed_is_bad(done, value, reason):
    with pytest.raises(errors.EventFormatError) as raised:
        sink(done, value_format="event").append(values_block([value], partition=0))
    assert str(raised.value).startswith(reason)
    assert (raised.value.topic, raised.value.partition, raised.value.offset) == ("events", 0, 0)
    skipping = sink(done, value_format="event", on_bad="skip")
    assert [bad.reason.startswith(reason) for bad in skipping.append(values_block([value]))] == [True]


@pytest.mark.parametrize(
    "steps",
    ["", "{}", "null", '[{"type":"x","config":{}}]', '[{"type":"remove_field","config":{"field":"stream"}}]'],
)
def test_wrong_steps_are_refused_at_the_start(steps):
    with pytest.raises(errors.ConfigError, match="transforms"):
        SinkEncoder(1, transforms=steps)
