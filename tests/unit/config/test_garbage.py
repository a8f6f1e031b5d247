"""Whatever is fed in, nothing but a ConfigError comes out."""

import contextlib
from pathlib import Path

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
