"""Kafka's spellings of options mean our options, in values, errors and the JSON Schema."""

import jsonschema
import pytest
from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig, SecurityConfig
from rivven_kafka.config.aliases import NOT_TAKEN, SECURITY, SINK, SOURCE
from rivven_kafka.errors import ConfigError

CASES = [(KafkaSourceConfig, SOURCE), (KafkaSinkConfig, SINK)]
VALUES = {
    "brokers": ["a:1"],
    "start_offset": "latest",
    "isolation_level": "read_committed",
    "compression": "lz4",
    "consumer_group": "g",
    "client_id": "me",
    "check_crcs": False,
    "enable_auto_commit": False,
    "idempotent": True,
    "heartbeat_interval_ms": 1000,
    "fetch_min_bytes": 7,
    "delivery_timeout_ms": 90_000,
}


def given(option):
    return VALUES.get(option, 40_000)


@pytest.mark.parametrize(("model", "aliases"), CASES)
def test_each_spelling_means_its_option(model, aliases):
    ours = [(spelling, path[0]) for spelling, path in aliases.items() if len(path) == 1]
    ours = [pair for pair in ours if pair[0] != "transactional.id"]
    spelled = model.build({"topic": "t", **{spelling: given(option) for spelling, option in ours}})
    named = model.build({"topic": "t", **{option: given(option) for _, option in ours}})
    assert spelled == named
    assert spelled.brokers == ("a:1",)
    assert all(option in model.model_fields for _, option in ours)


@pytest.mark.parametrize("model", [KafkaSourceConfig, KafkaSinkConfig])
def test_the_options_of_security_may_stand_outside(model):
    config = model.build(
        {
            "bootstrap.servers": "a:1",
            "topic": "t",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "security": {"sasl_username": "u"},
            "sasl.password": "hunter2",
            "ssl.ca.location": "/ca.pem",
        }
    )
    security = config.security
    assert (security.protocol, security.sasl_mechanism, security.sasl_username) == ("SASL_SSL", "PLAIN", "u")
    assert security.ssl_ca_cert == "/ca.pem"
    assert security.sasl_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(config)


def test_the_security_section_takes_them_too():
    section = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN", "sasl.username": "u"}
    config = KafkaSourceConfig.build(
        {"brokers": "a:1", "topic": "t", "security": {**section, "sasl.password": "hunter2"}}
    )
    assert config.security.sasl_mechanism == "PLAIN"
    assert set(SECURITY) >= set(section)


def test_errors_name_what_was_written():
    with pytest.raises(ConfigError) as raised:
        KafkaSourceConfig.build(
            {
                "bootstrap.servers": "nowhere",
                "topic": "t",
                "fetch.min.bytes": "x",
                "security.protocol": "TLS",
                "sasl.password": 7,
            }
        )
    names = [line.split(": got")[0] for line in str(raised.value).splitlines()]
    assert sorted(names) == ["bootstrap.servers[0]", "fetch.min.bytes", "sasl.password", "security.protocol"]
    assert "sasl.password: got ***" in str(raised.value)


def test_errors_point_to_the_line(tmp_path):
    from rivven_kafka.config import load_connect_file

    file = tmp_path / "c.yaml"
    file.write_text(
        "type: kafka-source\ntopic: t\nconfig:\n  bootstrap.servers: a:1\n  topic: t\n  fetch.min.bytes: -1\n"
        "  group.id: ${MISSING}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_connect_file(file, {})
    lines = str(raised.value).splitlines()
    assert [line.removeprefix(f"{file}:").split(": ")[:2] for line in lines] == [
        ["6", "config.fetch.min.bytes"],
        ["7", "config.group.id"],
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"brokers": "a:1", "bootstrap.servers": "b:1"}, "bootstrap.servers: given together with brokers"),
        (
            {"brokers": "a:1", "security": {"protocol": "SSL"}, "security.protocol": "SSL"},
            "security.protocol: given together with security.protocol",
        ),
    ],
)
def test_an_option_given_in_both_spellings_is_refused(options, problem):
    with pytest.raises(ConfigError) as raised:
        KafkaSourceConfig.build({"topic": "t", **options})
    assert str(raised.value) == f"{problem}, which is the same option"


@pytest.mark.parametrize(
    ("section", "kind"), [(None, "null"), ("SSL", "a string"), ([], "nothing"), (5, "an integer")]
)
def test_what_is_no_section_is_the_only_problem(section, kind):
    options = {"brokers": "a:1", "topic": "t", "security": section, "security.protocol": "SSL"}
    with pytest.raises(ConfigError) as raised:
        KafkaSourceConfig.build(options)
    assert str(raised.value) == f"security: got {kind}: expected a mapping"


def test_spellings_beside_a_section_made_by_a_program_are_refused():
    with pytest.raises(ConfigError, match=r"^security.protocol: given together with security.protocol"):
        KafkaSourceConfig(brokers="a:1", topic="t", security=SecurityConfig(), **{"security.protocol": "SSL"})


@pytest.mark.parametrize("key", NOT_TAKEN)
def test_what_java_reads_and_we_do_not_says_what_to_give(key):
    with pytest.raises(ConfigError) as raised:
        KafkaSourceConfig.build({"brokers": "a:1", "topic": "t", key: "hunter2"})
    assert str(raised.value) == f"{key}: unknown key; {NOT_TAKEN[key]}"


@pytest.mark.parametrize("model", [KafkaSourceConfig, KafkaSinkConfig])
def test_the_schema_takes_either_spelling(model):
    schema = model.model_json_schema()
    check = jsonschema.Draft202012Validator(schema)
    assert check.is_valid({"bootstrap.servers": "a:1", "topic": "t"})
    assert check.is_valid({"brokers": ["a:1"], "topic": "t", "client.id": "me"})
    assert not check.is_valid({"topic": "t"})
    assert not check.is_valid({"brokers": "a:1", "topic": "t", "client.id": 5})
    assert not check.is_valid({"brokers": "a:1", "topic": "t", "client.ids": "me"})
