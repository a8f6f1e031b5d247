"""SIGHUP: the process reads its file again, and begins anew only what has changed."""

import signal
import time

import pytest
import yaml

from tests.integration.connector_kit import QUICK, filled, rows_of
from tests.integration.pipelines import rivven_records
from tests.support.connector import Connector, source_file, wait_until
from tests.support.topics import fill

pytestmark = pytest.mark.integration


@pytest.fixture
def bridge(kafka, rivven, topic_name, tmp_path):
    """A function that starts a process with one source, over a topic with three records."""

    class Bridge:
        def __init__(self):
            self.topics = [filled(kafka, topic_name(), 3) for _ in range(2)]
            self.document = source_file(
                kafka.bootstrap,
                rivven.bootstrap,
                self.topics[0],
                self.topics[0],
                f"g-{self.topics[0]}",
                **QUICK,
            )
            self.connector = Connector(tmp_path, self.document)

        def source(self, number):
            """The section of a source over one of the topics."""
            [section] = source_file(
                kafka.bootstrap,
                rivven.bootstrap,
                *[self.topics[number]] * 2,
                f"g-{self.topics[number]}",
                **QUICK,
            )["sources"].values()
            return section

        def write(self, number, *sequence):
            fill(kafka.bootstrap, self.topics[number], {0: rows_of(0, sequence)})

        def values(self, number):
            return [value for _, value in rivven_records(rivven.bootstrap, self.topics[number]).get(0, [])]

        def wait(self, number, count):
            wait_until(lambda: len(self.values(number)) >= count, 30, self.connector.log_tail)

        def hang_up(self, text, says):
            (tmp_path / "connector.yaml").write_text(text)
            self.connector.send(signal.SIGHUP)
            wait_until(lambda: says in self.connector.log(), 30, self.connector.log_tail)

    return Bridge()


def test_what_is_new_begins_and_what_is_the_same_goes_on(bridge):
    with bridge.connector as connector:
        bridge.wait(0, 3)
        bridge.document["sources"]["more"] = bridge.source(1)
        bridge.hang_up(yaml.safe_dump(bridge.document), "reload: added more")
        bridge.wait(1, 3)
        bridge.write(0, 3)
        bridge.wait(0, 4)
        # It is still the first run of the one that was there.
        assert connector.log().count("assigned partitions") == 2
        del bridge.document["sources"]["in"]
        bridge.hang_up(yaml.safe_dump(bridge.document), "reload: removed in")
        bridge.write(1, 3)
        bridge.wait(1, 4)
        bridge.write(0, 4)
        time.sleep(1)
        assert len(bridge.values(0)) == 4
        assert connector.stop() == 0, connector.log_tail()


def test_what_has_changed_begins_anew_and_repeats_nothing(bridge):
    bridge.document["sources"]["in"]["config"]["auto_commit_interval_ms"] = 600_000
    with bridge.connector as connector:
        bridge.wait(0, 3)
        bridge.document["sources"]["in"]["config"]["include_headers"] = False
        bridge.hang_up(yaml.safe_dump(bridge.document), "reload: changed in")
        bridge.write(0, 3)
        bridge.wait(0, 4)
        assert connector.stop() == 0, connector.log_tail()
    assert [b"kafka_headers" in value for value in bridge.values(0)] == [True] * 3 + [False]


@pytest.mark.symptom("A changed file has no effect.")
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda document: document["sources"]["in"]["config"].update(acks="all"), "acks"),
        (lambda document: document["sources"]["in"].update(enabled=False), "every connector is disabled"),
        (lambda document: document.pop("broker"), "broker"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(bridge, broken, says):
    with bridge.connector as connector:
        bridge.wait(0, 3)
        broken(bridge.document)
        bridge.hang_up(
            yaml.safe_dump(bridge.document), "not loaded: goes on with the configuration that it has"
        )
        assert says in connector.log()
        bridge.write(0, 3)
        bridge.wait(0, 4)
        assert connector.log().count("assigned partitions") == 1
        assert connector.stop() == 0, connector.log_tail()
