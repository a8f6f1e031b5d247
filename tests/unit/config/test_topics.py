"""Which Kafka topics a source reads, and which Rivven topic each of them fills."""

import pytest
from rivven_kafka.config import KafkaSourceConfig, SourceEntry
from rivven_kafka.config.problems import ExpandedStr
from rivven_kafka.errors import ConfigError


def source(**options):
    return KafkaSourceConfig(brokers="a:1", **options)


def selected(config, *names):
    return [name for name in names if config.selects(name)]


def test_topics_by_name():
    assert source(topic="a").topic_names == ("a",)
    assert source(topics="a, b").topic_names == ("a", "b")
    config = source(topics=["a", "b"])
    assert selected(config, "a", "b", "c") == ["a", "b"]
    assert config.topic_pattern is None


def test_topics_by_expression():
    config = source(topics_regex="orders[.].*|a", topics_exclude=["orders[.]test,?.*", ".*[.]tmp"])
    assert config.topic_names == ()
    names = ("orders.eu", "orders.test1", "orders.tmp", "a", "ab", "xa", "orders.eu\n", "__consumer_offsets")
    assert selected(config, *names) == ["orders.eu", "a"]
    numbered = source(topics_regex=r"(a|b)-\1", topics_exclude=["(x)y"])
    assert selected(numbered, "a-a", "a-b", "b-b", "xy") == ["a-a", "b-b"]
    assert selected(source(topics_regex="(?i:A.*)"), "abc", "Abc", "b") == ["abc", "Abc"]
    assert selected(source(topics_regex=".*"), "__consumer_offsets", "_schemas", "x") == ["_schemas", "x"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "topic: missing: expected one of topic, topics and topics_regex"),
        ({"topic": None}, "topic: missing: expected one of topic, topics and topics_regex"),
        ({"topics": []}, "topic: missing: expected one of topic, topics and topics_regex"),
        ({"topic": "a", "topics": ["b"]}, "topics: given together with topic: expected one of topic, topics and"),
        ({"topic": "a", "topics_regex": "b"}, "topics_regex: given together with topic: expected one of topic,"),
        ({"topics": "a,b,a"}, "topics[2]: the same as topics[0]: expected each one once"),
        ({"topics": "a,b/"}, "topics[1]: got 'b/': expected a Kafka topic"),
        ({"topics_regex": "("}, "topics_regex: got '(': expected a regular expression: missing )"),
        ({"topics_regex": ""}, "topics_regex: got '': expected a string that is not empty"),
        ({"topics_regex": "a", "topics_exclude": "["}, "topics_exclude[0]: got '[': expected a regular expression"),
        ({"topics_regex": "(?i)a"}, "topics_regex: cannot be combined with topics_exclude into one expression: global"),
        ({"topics_regex": "a", "topics_exclude": "(?i)b"}, "topics_regex: cannot be combined with topics_exclude"),
        ({"topics_regex": "(?P<x>a)", "topics_exclude": "(?P<x>b)"}, "topics_regex: cannot be combined with"),
        ({"topics_regex": "a", "topics_exclude": ["b", r"(c)\1"]}, "topics_exclude[1]: refers to a group by its"),
        ({"topic": "a", "topics_exclude": "b"}, "topics_exclude: not used without topics_regex"),
    ],
)  # fmt: skip
def test_selections_are_checked(options, problem):
    with pytest.raises(ConfigError) as raised:
        source(**options)
    assert str(raised.value).startswith(problem)


def test_the_names_in_an_expression_are_not_shown():
    with pytest.raises(ConfigError) as raised:
        source(topics_regex=ExpandedStr.of("(?P<hunter2>a)(?P<hunter2>b)", "${REGEX}"))
    assert str(raised.value) == (
        "topics_regex: got the value of ${REGEX}: expected a regular expression: redefinition of group name"
    )


def entry(destination, **options):
    return SourceEntry.build(
        {"connector": "kafka", "topic": destination, "config": {"brokers": "a:1", **options}}
    )


def test_the_rivven_topic_may_be_a_template():
    assert entry("all", topics="a,b").destination("b") == "all"
    assert entry("kafka.{topic}", topics="a,b").destination("b") == "kafka.b"
    assert entry("{topic}", topics_regex=".*").destination("b") == "b"


@pytest.mark.parametrize("topic", ["{topics}", "{}", "_{topic}", "{topic", "a b", ""])
def test_templates_are_checked(topic):
    with pytest.raises(ConfigError, match=r"^topic: got .*: expected"):
        entry(topic, topic="a")
