"""What becomes of the connectors of a process that reads its configuration again."""

import copy

import pytest
from rivven_kafka.config import ConnectConfig
from rivven_kafka.runtime.changes import changes

from tests.support.connector import sink_file, source_file

FILE = {
    **source_file("kafka:9092", "rivven:9092", "orders", "orders", "group"),
    **{"sinks": sink_file("kafka:9092", "rivven:9092", "orders", "replica", "group")["sinks"]},
}
SOURCE, SINK = ("source", "in"), ("sink", "out")


def after(change):
    """The changes that `change` makes to the file."""
    document = copy.deepcopy(FILE)
    change(document)
    return changes(ConnectConfig.build(FILE), ConnectConfig.build(document))


def set_in(document, *path):
    *section, name, value = path
    for key in section:
        document = document.setdefault(key, {})
    document[name] = value


def test_nothing_changes():
    found = after(lambda document: None)
    assert found.kept == (SOURCE, SINK)
    assert (found.changed, found.added, found.removed, found.ignored) == ((), (), (), ())


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        (("sources", "in", "config", "max_poll_records", 7), {SOURCE}),
        (("sources", "in", "topic", "elsewhere"), {SOURCE}),
        (("sources", "in", "rate_limit", {"events_per_second": 5}), {SOURCE}),
        (("sinks", "out", "config", "linger_ms", 7), {SINK}),
        (("broker", "request_timeout_ms", 12345), {SOURCE, SINK}),
        (("settings", "retry", "max_retries", 3), {SOURCE, SINK}),
        (("settings", "topic", "default_partitions", 3), {SOURCE, SINK}),
        (("settings", "log_level", "debug"), set()),
        (("settings", "health", "enabled", True), set()),
    ],
)
def test_what_an_option_changes(path, changed):
    found = after(lambda document: set_in(document, *path))
    assert set(found.changed) == changed
    assert set(found.kept) == {SOURCE, SINK} - changed
    assert found.ignored == (("settings.health",) if "health" in path else ())


def test_a_secret_counts():
    security = {"protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "u"}

    def with_password(password):
        document = copy.deepcopy(FILE)
        set_in(document, "sinks", "out", "config", "security", {**security, "sasl_password": password})
        return ConnectConfig.build(document)

    assert changes(with_password("one"), with_password("two")).changed == (SINK,)
    assert changes(with_password("one"), with_password("one")).changed == ()


def test_what_is_added_removed_and_disabled():
    def change(document):
        document["sources"]["more"] = document["sources"].pop("in")
        document["sinks"]["out"]["enabled"] = False

    found = after(change)
    assert (found.added, found.removed) == ((("source", "more"),), (SOURCE, SINK))


def test_a_source_and_a_sink_of_one_name_are_two():
    def change(document):
        document["sinks"]["in"] = document["sinks"].pop("out")

    found = after(change)
    assert (found.kept, found.added, found.removed) == ((SOURCE,), (("sink", "in"),), (SINK,))
