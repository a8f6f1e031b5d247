"""Loop protection: what it needs, and files whose connectors feed each other without it."""

import pytest
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConfigError


def source(kafka_topic="orders", rivven_topic="orders", brokers="a:1", *, config=(), **options):
    config = {"brokers": brokers, **({"topic": kafka_topic} if kafka_topic else {}), **dict(config)}
    return {"connector": "kafka", "topic": rivven_topic, "config": config, **options}


def sink(rivven_topic="orders", kafka_topic="orders", brokers="a:1", *, config=(), **options):
    config = {"brokers": brokers, "topic": kafka_topic, **dict(config)}
    return {
        "connector": "kafka",
        "topics": [rivven_topic],
        "consumer_group": "g",
        "config": config,
        **options,
    }


def build(sources=(), sinks=(), *, named=True):
    broker = {"bootstrap_servers": "r:1", **({"cluster_name": "eu"} if named else {})}
    return ConnectConfig.build({"broker": broker, "sources": dict(sources), "sinks": dict(sinks)})


def problems(*args, **options):
    with pytest.raises(ConfigError) as raised:
        build(*args, **options)
    return [(problem.option, problem.problem) for problem in raised.value.problems]


ON = {"loop_protection": True}
FILTER = {"transforms": [{"type": "filter", "config": {"field": "data.kind", "equals": "x"}}]}


def test_a_source_and_a_sink_that_feed_each_other_are_refused():
    found = problems({"in": source()}, {"out": sink()})
    assert [option for option, _ in found] == ["sources.in.loop_protection", "sinks.out.loop_protection"]
    assert found[0][1] == (
        "got false: together with sink 'out', every record would go round for ever: expected true in all "
        "connectors of the circle, or other topics"
    )


def test_each_of_them_has_to_be_protected():
    build({"in": source(**ON)}, {"out": sink(**ON)})
    [(option, _)] = problems({"in": source(**ON)}, {"out": sink()})
    assert option == "sinks.out.loop_protection"
    [(option, _)] = problems({"in": source()}, {"out": sink(**ON)})
    assert option == "sources.in.loop_protection"


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (source(), sink(kafka_topic="copies")),
        (source(), sink(rivven_topic="others")),
        (source(), sink(brokers="b:1")),
        (source(enabled=False), sink()),
        (source(), sink(enabled=False)),
        (source(**FILTER), sink()),
        (source(), sink(**FILTER)),
        (source(None, "{topic}.in", config={"topics_regex": "ord.*"}), sink()),
    ],
)
def test_what_is_no_circle_is_taken(read, written):
    build({"in": read}, {"out": written})


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (source(None, "{topic}", config={"topics_regex": "ord.*"}), sink()),
        (source(None, "all", config={"topics": ["orders", "returns"]}), sink("all", "returns")),
        (source(brokers="c:1, a:1"), sink(brokers="a:1, b:1")),
        (source(brokers="KAFKA1.example:1"), sink(brokers="kafka1.Example:1")),
    ],
)
def test_circles_are_found_behind_patterns_lists_and_other_addresses(read, written):
    assert len(problems({"in": read}, {"out": written})) == 2


def test_longer_circles_are_found():
    ring = (
        {"one": source("a", "b"), "two": source("c", "d")},
        {"three": sink("b", "c"), "four": sink("d", "a")},
    )
    found = {option for option, _ in problems(*ring)}
    assert found == {
        f"{section}.{name}.loop_protection"
        for section, names in (("sources", ("one", "two")), ("sinks", ("three", "four")))
        for name in names
    }
    ring[1]["four"] = sink("d", "e")
    build(*ring)


def test_rivven_needs_a_name():
    [(option, problem)] = problems({"in": source(**ON)}, named=False)
    assert option == "sources.in.loop_protection"
    assert problem == "got true: expected broker.cluster_name beside it, as rivvend has no id of its own"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a,b", "a:b", "x" * 65, "a\n"])
def test_a_name_has_to_fit_into_a_mark(name):
    [(option, _)] = problems({"in": source(**ON, kafka_cluster_name=name)})
    assert option == "sources.in.kafka_cluster_name"


def test_a_name_is_of_no_use_without_protection():
    [(option, problem)] = problems({}, {"out": sink(kafka_cluster_name="a")})
    assert (option, problem) == ("sinks.out.kafka_cluster_name", "not used without loop_protection")


def test_raw_values_have_no_place_for_the_mark():
    [(option, problem)] = problems({"in": source(config={"value_format": "raw"}, **ON)})
    assert option == "sources.in.config.value_format"
    assert problem.startswith("got raw: loop_protection needs a mark in each record")
    # A sink marks what it writes to Kafka.
    build({}, {"out": sink(config={"value_format": "raw"}, **ON)})


@pytest.mark.parametrize("field", ["metadata.kafka_via", "metadata"])
def test_transforms_leave_the_mark_alone(field):
    steps = {"transforms": [{"type": "remove_field", "config": {"field": field}}]}
    expected = (
        "changes metadata.kafka_via, by which loop_protection recognises a record: expected to leave it"
    )
    [(option, problem)] = problems({"in": source(**steps, **ON)})
    assert (option, problem) == ("sources.in.transforms[0].config.field", expected)
    [(option, _)] = problems({}, {"out": sink(config={"value_format": "event"}, **steps, **ON)})
    assert option == "sinks.out.transforms[0].config.field"
    build({"in": source(**steps)})


def test_the_header_of_the_mark_is_taken():
    custom = {"custom_headers": {"rivven_kafka_via": "x"}}
    [(option, _)] = problems({}, {"out": sink(config=custom, **ON)})
    assert option == "sinks.out.config.custom_headers.rivven_kafka_via"
    build({}, {"out": sink(config=custom)})
