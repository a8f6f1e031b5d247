"""Whatever is fed in, nothing but a ConfigError comes out."""

import contextlib
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rivven_kafka.config import (
    BrokerConfig,
    ConnectConfig,
    KafkaSinkConfig,
    KafkaSourceConfig,
    SecurityConfig,
    Settings,
    SinkEntry,
    SourceEntry,
    load_connect_file,
    parse_connect,
)
from rivven_kafka.config.document import read_yaml
from rivven_kafka.config.expand import expand
from rivven_kafka.errors import ConfigError

MODELS = (KafkaSourceConfig, KafkaSinkConfig, SecurityConfig, SourceEntry, SinkEntry, BrokerConfig, Settings)
KNOWN_KEYS = sorted(
    {key for model in (*MODELS, ConnectConfig) for key in model.model_fields} | {"type", "timestamp"}
)
WORDS = [
    "kafka",
    "kafka-source",
    "kafka-sink",
    "earliest",
    "all",
    "raw",
    "SASL_SSL",
    "a:1",
    "orders",
    "1.0",
    "${A",
    "$",
]

keys = st.sampled_from(KNOWN_KEYS) | st.text(max_size=8) | st.integers() | st.none() | st.booleans()
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(alphabet=st.characters(), max_size=20)
    | st.binary(max_size=8)
    | st.datetimes()
    | st.sampled_from([5000]).map(lambda digits: 10**digits)
)
garbage = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=5)
        | st.tuples(inner)
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_parse_connect(data):
    with contextlib.suppress(ConfigError):
        parse_connect(data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MODELS), st.dictionaries(keys, garbage, max_size=8) | garbage)
def test_build(model, data):
    try:
        model.build(data)
    except ConfigError as error:
        str(error).encode()


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(
        {"broker": st.fixed_dictionaries({"bootstrap_servers": st.just("a:1") | garbage})},
        optional={
            "sources": st.dictionaries(
                keys, st.dictionaries(st.sampled_from(sorted(SourceEntry.model_fields)), garbage)
            ),
            "sinks": st.dictionaries(
                keys, st.dictionaries(st.sampled_from(sorted(SinkEntry.model_fields)), garbage)
            ),
            "settings": garbage,
        },
    )
)
def test_parse_connect_nearly_right(data):
    with contextlib.suppress(ConfigError):
        parse_connect(data)


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_expand(data):
    expand(data, {"A": "x"}, Path("/nonexistent"))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?\n \t<$01.\\", max_size=40) | st.text(max_size=40))
def test_read_yaml(text):
    with contextlib.suppress(ConfigError):
        read_yaml(text, "f.yaml")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["sasl_password", "oauth_token", "aws_secret_access_key", "ssl_key_password", "sasl_pasword"]
    ),
    # The mark keeps the secret from being the same as the value of another key.
    st.text(alphabet="QXZ0123456789#~$@:{", min_size=4, max_size=22).map("§s3cret§".__add__),
    st.dictionaries(st.sampled_from(sorted(SecurityConfig.model_fields)), garbage, max_size=4),
)
def test_secrets_never_appear(key, secret, others):
    others.pop(key, None)
    try:
        shown = repr(SecurityConfig.build({**others, key: secret}))
    except ConfigError as error:
        shown = f"{error} {error!r} {error.__context__} {error.__cause__}"
    assert secret not in shown


# Files, from the bytes on.

SECRET = "s3cret-Zq7"
secrets = st.sampled_from(
    [SECRET, f"${{PASSWORD}}{SECRET}", f"*{SECRET}", f"!{SECRET}", f"&{SECRET} x", f"{SECRET}: x"]
)
entries = st.dictionaries(
    keys,
    garbage
    | st.fixed_dictionaries({"config": garbage}, optional={"connector": st.just("kafka"), "topic": garbage}),
    max_size=3,
)
documents = garbage | st.fixed_dictionaries(
    {"version": st.just("1.0") | garbage, "broker": garbage}, optional={"sources": entries, "sinks": entries}
)


def outcome_of(content, env=None):
    """What a file with this content leads to: a configuration, or the text of the only error there may be."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "connect.yaml"
        path.write_bytes(content)
        begin = time.process_time()
        outcome: object
        try:
            outcome = load_connect_file(path, env={} if env is None else env)
        except ConfigError as error:
            outcome = error
    assert time.process_time() - begin < 10
    if isinstance(outcome, ConfigError):
        assert outcome.__cause__ is None
        assert 0 < len(str(outcome)) < 200_000
        return f"{outcome} {outcome!r}"
    return outcome


@settings(max_examples=150, deadline=None)
@given(documents)
def test_a_file_of_whatever_values(data):
    with contextlib.suppress(yaml.YAMLError, UnicodeEncodeError, ValueError):
        content = yaml.safe_dump(data, allow_unicode=True).encode()
        assert outcome_of(content)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=80)
    | st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?\n \t<$01.\\", max_size=120).map(str.encode)
)
def test_a_file_of_whatever_bytes(content):
    assert outcome_of(content)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        ["sasl_password", "oauth_token", "ssl_key_password", "aws_secret_access_key", "sasl.password"]
    ),
    secrets,
    st.sampled_from(["", "'", '"', "[", "{", "|\n        "]),
    st.sampled_from(
        ["", "\n     bad indent: [", "\n    : :", "\n\tx: y", "\n--- {}", "\n    sasl_password: again"]
    ),
)
def test_a_secret_is_not_repeated_however_the_file_is_broken(key, secret, quote, behind):
    text = (
        "version: '1.0'\nbroker:\n  bootstrap_servers: [a:1]\nsources:\n  in:\n    connector: kafka\n"
        f"    topic: t\n    config:\n     security:\n      {key}: {quote}{secret}{behind}\n"
    )
    assert SECRET not in str(outcome_of(text.encode(), {"PASSWORD": SECRET}))


def laughs(levels, width):
    """A document of a few lines whose aliases stand for `width` ** `levels` values."""
    lines = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels + 1))
    return "\n".join(["a0: &a0 [x, x]", *lines])


BOMBS = {
    "laughs": laughs(30, 9),
    "laughs in a broker": "version: '1.0'\nbroker:\n  bootstrap_servers: [a:1]\n" + laughs(20, 10),
    "merges": "a0: &a0 {k: v}\n"
    + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 25)),
    "itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}",
    "a merge of itself": "a: &a {<<: *a}",
    "depth": "[" * 20_000,
    "depth of mappings": "{a: " * 5_000 + "1" + "}" * 5_000,
    "depth by indentation": "\n".join(" " * n + "a:" for n in range(1_000)),
    "digits": "version: " + "9" * 1_000_000,
    "hexadecimal digits": "version: 0x" + "f" * 1_000_000,
    "an exponent": "version: 1e999999999",
    "a long key": "x" * 1_000_000 + ": 1",
    "many keys": "\n".join(f"k{n}: {n}" for n in range(20_000)),
    "many sources": "version: '1.0'\nbroker: {bootstrap_servers: [a:1]}\nsources:\n"
    + "\n".join(f"  s{n}: {{}}" for n in range(5_000)),
    "references": "version: '" + "${" * 100_000 + "'",
    "dollars": "version: '" + "$" * 1_000_000 + "'",
    "a tag": "!!python/object/apply:os.system ['true']",
    "a set": "? a\n? b\n? [c, d]",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_is_to_be_too_much(bomb):
    outcome = outcome_of(BOMBS[bomb].encode())
    assert isinstance(outcome, str), "nothing of it is a configuration"


def test_a_file_without_an_end():
    with pytest.raises(ConfigError, match="expected at most 1048576 bytes"):
        load_connect_file("/dev/zero")
