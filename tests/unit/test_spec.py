"""The JSON Schemas of `rivven-kafka spec`: what the loader takes passes, and unknown keys do not."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from rivven_kafka.cli import main
from rivven_kafka.cli.reference import option_tables
from rivven_kafka.config import KafkaSourceConfig, parse_connect
from rivven_kafka.errors import ConfigError

# Those for Prometheus are its own.
EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[2] / "examples").glob("*.yaml")
    if not path.name.startswith("prometheus-")
)
SOURCE = {"brokers": "kafka1:9092", "topic": "orders"}
FULL = {
    "version": 1.0,
    "broker": {"bootstrap_servers": ["rivven1:9092"]},
    "sources": {"in": {"connector": "kafka", "topic": "orders", "config": SOURCE}},
    "sinks": {
        "out": {
            "connector": "kafka-sink",
            "topics": ["orders"],
            "consumer_group": "g",
            "start_offset": {"timestamp": "2026-01-31T12:00:00Z"},
            "config": {
                **SOURCE,
                "topic": "copies",
                "acks": -1,
                "custom_headers": {"a": "b"},
                "retries": "5",
                "idempotent": "TRUE",
            },
        }
    },
}
SINGLE = {"type": "kafka-source", "topic": "orders", "config": SOURCE}


@pytest.fixture
def validator(capsys):
    def load(part):
        assert main.main(["spec", part]) == 0
        schema = json.loads(capsys.readouterr().out)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator(schema)

    return load


def changed(data, *path, to):
    """A copy of `data` with another value at `path`."""
    if not path:
        return to
    copy = dict(data)
    copy[path[0]] = changed(data.get(path[0], {}), *path[1:], to=to)
    return copy


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid(validator, path):
    data = yaml.safe_load(path.read_text())
    assert list(validator("single" if "type" in data else "connect").iter_errors(data)) == []


@pytest.mark.parametrize(
    ("part", "data"), [("connect", FULL), ("single", SINGLE), ("source", SOURCE), ("sink", SOURCE)]
)
def test_what_the_loader_takes_is_valid(validator, part, data):
    if part in ("connect", "single"):
        parse_connect(data)
    assert list(validator(part).iter_errors(data)) == []


@pytest.mark.parametrize(
    ("part", "data", "path"),
    [
        ("connect", FULL, ("settngs",)),
        ("connect", FULL, ("broker", "bootstrap_server")),
        ("connect", FULL, ("sources", "in", "topics_config")),
        ("connect", FULL, ("sources", "in", "config", "grop")),
        ("connect", FULL, ("sinks", "out", "config", "security", "sasl_pasword")),
        ("single", SINGLE, ("connector",)),
        ("single", SINGLE, ("config", "ack")),
        ("source", SOURCE, ("acks",)),
        ("sink", SOURCE, ("consumer_group",)),
    ],
)
def test_an_unknown_key_is_refused(validator, part, data, path):
    assert not validator(part).is_valid(changed(data, *path, to="x"))


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("connections", [1, "100", "${N}", "${N:-64}"], [0, 101, True, "many", None]),
        ("check_crcs", [True, "false", "${CHECK}"], ["yes", 1]),
        ("start_offset", ["latest", "${START}"], ["newest", 0]),
        ("topic", ["orders", "${TOPIC}"], ["a b", ""]),
        ("client_id", ["me", None, "${ID}"], ["", 5]),
    ],
)
def test_values_may_be_references_and_numbers_may_be_strings(validator, option, good, bad):
    schema = validator("source")
    for value in good:
        assert schema.is_valid({**SOURCE, option: value}), value
    for value in bad:
        assert not schema.is_valid({**SOURCE, option: value}), value


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (("version",), ["1.0", 1.0, 1], ["1", 1.1, 2, True]),
        (("sources", "in", "dead_letter_topic"), ["", "dlq", None], ["a b", 5]),
        (("sinks", "out", "dead_letter_topic"), ["", "dlq", None], ["a b", 5]),
        (
            ("sources", "in", "config", "kafka_options"),
            [{}, {"client_rack": "r"}, {"client.rack": "r"}, {"fetch.max.wait.ms": "5"}, {"proxy_url": "http://p:1"}],
            [{"client_rak": "r"}, {"client_rack": 5}, {"fetch.max_wait_ms": 5}, {"fetch_max_wait_ms": 2**31},
             {"max_block_ms": 5}, {"group_id": "g"}, {"fetch_max_wait_ms": True}, {"fetch_max_wait_ms": "five"}],
        ),
        (
            ("sinks", "out", "config", "kafka_options"),
            [{"max_block_ms": 5}, {"max.block.ms": 5}],
            [{"client_rack": "r"}, {"retry_backoff_ms": 5}],
        ),
        (
            ("sinks", "out", "start_offset"),
            [{"offsets": {"orders": {"0": 7}}}, {"offsets": {"orders": {"0": "7"}}}],
            [{"offsets": {"orders": {"0": True}}}, {"offsets": {"orders": {"x": 7}}}, {"offsets": {"orders": {"0": 2**63}}},
             {"offsets": {"orders": {"0": 1.5}}}],
        ),
    ],
)  # fmt: skip
def test_the_schema_and_the_loader_agree(validator, path, good, bad):
    schema = validator("connect")
    for value in good:
        data = changed(FULL, *path, to=value)
        parse_connect(data)
        assert list(schema.iter_errors(data)) == [], value
    for value in bad:
        data = changed(FULL, *path, to=value)
        with pytest.raises(ConfigError):
            parse_connect(data)
        assert not schema.is_valid(data), value


def test_required_options_are_required(validator):
    assert not validator("source").is_valid({"topic": "orders"})
    assert not validator("single").is_valid({"type": "kafka-source", "config": SOURCE})
    assert not validator("single").is_valid({**SINGLE, "type": "kafka"})
    assert not validator("connect").is_valid({"broker": {}})


@pytest.mark.parametrize("part", ["source", "sink", "connect"])
def test_the_tables_name_every_option_of_the_schema(capsys, validator, part):
    schema = validator(part).schema
    assert main.main(["spec", part, "--format", "markdown"]) == 0
    tables = capsys.readouterr().out
    options = {name for each in (schema, *schema["$defs"].values()) for name in each.get("properties", {})}
    # Kafka's spellings, which have dots, stand beside the option they mean.
    assert {
        name for name in options if (f"`{name}`" if "." in name else f"| `{name}` |") not in tables
    } == set()


def test_the_tables_of_a_single_connector(capsys):
    assert main.main(["spec", "single", "--format", "markdown"]) == 0
    tables = capsys.readouterr().out
    assert "| `topics` | required |" in tables
    assert "## `type: kafka-source`: `config.security`" in tables
    assert "`connector`" not in tables


def test_ranges_are_told():
    tables = option_tables("x", KafkaSourceConfig)
    assert "| `connections` | `64` | Most connections" in tables
    assert "From 1 to 100. |" in tables
    assert "At least 1048576. |" in tables
