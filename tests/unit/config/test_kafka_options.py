"""`kafka_options`: every option of kafka-python is passed through or refused, none is forgotten."""

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.net.inet import KafkaNetSocket
from rivven_kafka.config import KafkaSinkConfig, KafkaSourceConfig
from rivven_kafka.config import kafka_options as table
from rivven_kafka.errors import ConfigError
from rivven_kafka.sink import producer_options
from rivven_kafka.source import consumer_options

MODELS = {
    KafkaConsumer: (KafkaSourceConfig, table.CONSUMER),
    KafkaProducer: (KafkaSinkConfig, table.PRODUCER),
}
SAMPLES = {int: 70_000, str: "x", bool: False}
PROXY = "http://me:hunter2@proxy:1"
PROXIES = ("proxy_url", "socks5_proxy")


def sample(name, passed):
    return PROXY if name in PROXIES else SAMPLES[passed[name]]


def build(model, **kafka_options):
    return model(brokers="a:1", topic="t", kafka_options=kafka_options)


@pytest.mark.parametrize("client", MODELS)
def test_each_option_of_kafka_python_is_passed_or_managed(client):
    model, passed = MODELS[client]
    for name in client.DEFAULT_CONFIG:
        if name in passed:
            config = build(model, **{name: sample(name, passed)})
            make = consumer_options if client is KafkaConsumer else producer_options
            assert make(config, "me")[name] == sample(name, passed)
        else:
            with pytest.raises(ConfigError, match=rf"^kafka_options.{name}: managed by the connector: "):
                build(model, **{name: "x"})
    assert set(passed) <= set(client.DEFAULT_CONFIG)


def test_nothing_is_listed_that_kafka_python_does_not_have():
    names = {name for client in (*MODELS, KafkaAdminClient) for name in client.DEFAULT_CONFIG}
    assert set(table.CONSUMER) | set(table.PRODUCER) <= names


def test_kafka_s_spelling_is_taken():
    config = build(KafkaSourceConfig, **{"fetch.max.wait.ms": 70, "client.rack": "r"})
    options = consumer_options(config, "me")
    assert (options["fetch_max_wait_ms"], options["client_rack"]) == (70, "r")


@pytest.mark.parametrize(
    ("model", "options", "problem"),
    [
        (KafkaSourceConfig, {"group.id": "g"}, "group.id: managed by the connector: give consumer_group instead"),
        (KafkaSourceConfig, {"api_version": "2.0"}, "api_version: managed by the connector: it cannot be changed"),
        (KafkaSourceConfig, {"max_block_ms": 5}, "max_block_ms: an option of Kafka's producers only"),
        (KafkaSinkConfig, {"client.rack": "r"}, "client.rack: an option of Kafka's consumers only"),
        (KafkaSinkConfig, {"retry_backoff_ms": 5}, "retry_backoff_ms: managed by the connector: give retry_backoff_ms"),
        (KafkaSourceConfig, {"client_rak": "r"}, "client_rak: not an option of kafka-python; did you mean 'client_rack'?"),
        (KafkaSourceConfig, {"fetch_max_wait_ms": "five"}, "fetch_max_wait_ms: got a string: expected an integer"),
        (KafkaSourceConfig, {"fetch_max_wait_ms": "9" * 5000}, "fetch_max_wait_ms: got a string: expected an integer"),
        (KafkaSourceConfig, {"fetch_max_wait_ms": 2**31}, "fetch_max_wait_ms: got 2147483648: expected an integer of at"),
        (KafkaSourceConfig, {"enable_incremental_fetch_sessions": 1}, "enable_incremental_fetch_sessions: got an integer: e"),
        (KafkaSinkConfig, {"max.block_ms": 5}, "max.block_ms: not an option of kafka-python: expected max_block_ms or max.b"),
        (KafkaSourceConfig, {"fetch_max_wait_ms": True}, "fetch_max_wait_ms: got a boolean: expected an integer"),
        (KafkaSourceConfig, {"client_rack": "r", "client.rack": "r"}, "client.rack: given twice: client_rack is the"),
    ],
)  # fmt: skip
def test_what_may_not_be_passed(model, options, problem):
    with pytest.raises(ConfigError) as raised:
        build(model, **options)
    # Dots are part of the key, which is quoted in none of the messages.
    assert str(raised.value).startswith(f"kafka_options.{problem}"), str(raised.value)


@pytest.mark.parametrize("name", ["proxy_url", "socks5.proxy"])
def test_what_may_hold_a_password_is_not_shown(name):
    config = build(KafkaSourceConfig, **{name: PROXY, "client_rack": "r"})
    for text in (repr(config), str(config), str(config.model_dump()), config.model_dump_json()):
        assert "hunter2" not in text
    assert consumer_options(config, "me")[name.replace(".", "_")] == PROXY
    assert KafkaSourceConfig.build(config.model_dump()) == config


def test_the_schemes_of_proxies_are_those_of_kafka_python():
    assert sorted(table.PROXY_SCHEMES) == sorted(KafkaNetSocket._registry)


@pytest.mark.parametrize("name", ["proxy_url", "socks5_proxy", "proxy.url"])
@pytest.mark.parametrize("model", [KafkaSourceConfig, KafkaSinkConfig])
@pytest.mark.parametrize(
    "url",
    ["hunter2", "hunter2:1", "me:hunter2@proxy:1", "https://me:hunter2@proxy:1", "//me:hunter2@proxy:1", "http://:1",
     "http://me:hunter2@proxy", "http://me:hunter2@proxy:0", "http://me:hunter2/x@proxy:1", "http://[hunter2", ""],
)  # fmt: skip
def test_a_proxy_that_is_no_url_is_refused_and_not_shown(model, name, url):
    with pytest.raises(ConfigError) as raised:
        build(model, **{name: url})
    assert str(raised.value) == (
        f"kafka_options.{name}: got ***: expected scheme://host:port, scheme http, socks5 or socks5h"
    )


@pytest.mark.parametrize("scheme", table.PROXY_SCHEMES)
def test_proxies_are_taken(scheme):
    for url in (f"{scheme}://proxy:1080", f"{scheme}://me:hunter2@[::1]:65535"):
        assert consumer_options(build(KafkaSourceConfig, proxy_url=url), "me")["proxy_url"] == url


def test_numbers_and_booleans_may_be_strings():
    config = build(KafkaSourceConfig, fetch_max_wait_ms="70", enable_incremental_fetch_sessions="False")
    assert config.kafka_options == {"fetch_max_wait_ms": 70, "enable_incremental_fetch_sessions": False}
    assert build(KafkaSourceConfig, client_rack="70").kafka_options == {"client_rack": "70"}
