"""`${...}` in values."""

from pathlib import Path

import pytest
from rivven_kafka.config import load_connect_file
from rivven_kafka.config.expand import expand
from rivven_kafka.config.problems import show, show_path
from rivven_kafka.errors import ConfigError

ENV = {"HOST": "kafka1", "PORT": "9092", "EMPTY": "", "TRICKY": "a: b\n- ${HOST} # $$"}


def expanded(text, directory=Path()):
    value, problems = expand({"key": text}, ENV, directory)
    assert problems == []
    return value["key"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${HOST}", "kafka1"),
        ("${HOST}:${PORT}", "kafka1:9092"),
        ("x${HOST}y", "xkafka1y"),
        ("${EMPTY}", ""),
        ("${HOST:-other}", "kafka1"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b?c}", "a:-b?c"),
        ("${EMPTY:-other}", "other"),
        ("${HOST:?needed}", "kafka1"),
        ("${TRICKY}", ENV["TRICKY"]),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$$$${HOST}", "$${HOST}"),
        ("$$${HOST}", "$kafka1"),
        ("pa$word", "pa$word"),
        ("$HOST", "$HOST"),
        ("$", "$"),
    ],
)
def test_forms(text, result):
    assert expanded(text) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE}", "environment variable NONE is not set and has no default; ${NONE:-...} gives one"),
        ("${NONE:?ask the operator}", "environment variable NONE is not set: ask the operator"),
        ("${EMPTY:?}", "environment variable EMPTY is not set: it is required"),
        ("${", "malformed ${...}"),
        ("${}", "malformed ${...}"),
        ("${HOST", "malformed ${...}"),
        ("${1A}", "malformed ${...}"),
        ("${HO ST}", "malformed ${...}"),
        ("${HOST:x}", "malformed ${...}"),
        ("${NONE:-${HOST}}", "${NONE...}: a reference inside a reference is not supported"),
        ("${file:missing}", "${file:missing}: No such file or directory"),
        ("${file:a\0b}", "${file:a\0b}: expected a path"),
        ("${file:}", "${file:}: Is a directory"),
    ],
)
def test_what_cannot_be_expanded(text, message, tmp_path):
    _, problems = expand({"a": [{"b": text}]}, ENV, tmp_path)
    assert [show_path(problem.path) for problem in problems] == ["a[0].b"]
    assert problems[0].text.startswith(message)


def test_files(tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "two").write_text("a\n\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    assert expanded("${file:password}", tmp_path) == "hunter2"
    assert expanded(f"<${{file:{tmp_path}/password}}>") == "<hunter2>"
    assert expanded("${file:two}", tmp_path) == "a\n"
    for name in ("binary", "large"):
        _, problems = expand(f"${{file:{name}}}", ENV, tmp_path)
        assert len(problems) == 1


def test_keys_and_other_types_are_left_alone():
    data = {"${HOST}": [1, True, None, 2.5, {"x": "${PORT}"}]}
    assert expand(data, ENV, Path()) == ({"${HOST}": [1, True, None, 2.5, {"x": "9092"}]}, [])


def test_an_expanded_value_is_shown_as_its_reference():
    value, _ = expand("${HOST}:${NONE:-hunter2}", ENV, Path())
    assert show(value) == "the value of ${HOST}${NONE}"


def test_nesting_and_size_are_bounded():
    data = bomb = []
    bomb.append(bomb)
    assert [problem.text for problem in expand(data, ENV, Path())[1]] == [
        "nested too deep, or too many values"
    ]
    level = ["x"]
    for _ in range(30):
        level = [level, level]
    assert [problem.text for problem in expand(level, ENV, Path())[1]] == [
        "nested too deep, or too many values"
    ]


@pytest.mark.parametrize(
    ("part", "options", "problem"),
    [
        ("source", "config: {brokers: 'k:1', topics: [a, '${S}', '${S}']}", "config.topics[2]: the same as topics[1]"),
        ("source", "config: {brokers: 'k:1', topics: '${S},${S}'}", "config.topics[1]: the same as topics[0]"),
        (
            "source",
            "config: {brokers: 'k:1', topic: t, value_format: raw}\ntransforms: [{type: remove_field, config: {field: '${S}'}}]",
            "transforms[0].config.field: expected a field inside data",
        ),
        (
            "source",
            "config: {brokers: 'k:1', topic: t}\nsettings: {health: {enabled: true, port: 1, host: '${S}'}, "
            "metrics: {enabled: true, port: 1}}",
            "settings.metrics.host: expected the same host as settings.health.host, as both have port 1",
        ),
        ("sink", "topics: ['${S}', '${S}']\nconsumer_group: g\nconfig: {brokers: 'k:1', topic: t}", "topics[1]: the same as topics[0]"),
    ],
)  # fmt: skip
def test_no_rule_repeats_an_expanded_value(tmp_path, part, options, problem):
    topic = "topic: r\n" if part == "source" else ""
    file = tmp_path / "connect.yaml"
    file.write_text(f"type: kafka-{part}\n{topic}broker: {{bootstrap_servers: 'r:1'}}\n{options}\n")
    with pytest.raises(ConfigError) as raised:
        load_connect_file(file, {"S": "hunter2"})
    assert f": {problem}" in str(raised.value)
    assert "hunter2" not in str(raised.value)
