"""Exactly once from Kafka to Rivven: every way in which a record could come twice, one at a time."""

import json
import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, TopicPartition
from rivven_kafka._native import RivvenClient, producer_ids
from rivven_kafka.errors import ConfigError, FencedError, ForeignWriterError
from rivven_kafka.pipeline import exactly_once
from rivven_kafka.pipeline.anchors import Commitment

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import source_file, wait_until
from tests.support.numbered import Arrivals, numbered
from tests.support.rivven_tap import RivvenApi
from tests.support.topics import TopicWriter, create_topic

pytestmark = pytest.mark.integration

PARTITIONS = 4
FORMATS = {
    "event": {},
    "event-by-key": {"partitioning": "key", "ordering": "key", "connections": 16},
    "event-lanes": {"ordering": "key", "connections": 16},
    "raw": {"value_format": "raw"},
}
LATE_COMMIT = {"auto_commit_interval_ms": 600_000}


class Bridge:
    """A Kafka topic of numbered records and the Rivven topic that sources make of it, behind a tap."""

    def __init__(self, kafka, tap, topic_name, options):
        self.kafka, self.tap, self.options = kafka, tap, options
        self.origin, self.copy = topic_name(), topic_name()
        self.group = f"g-{self.origin}"
        self.written = 0
        create_topic(kafka.bootstrap, self.origin, PARTITIONS)

    def write(self, count, keyed=True):
        """Adds `count` records to each partition; without keys, each takes the lane of its offset."""
        with TopicWriter(self.kafka.bootstrap, self.origin, PARTITIONS) as writer:
            for number in range(PARTITIONS):
                span = range(self.written, self.written + count)
                writer.write(number, numbered(number, span, keyed=keyed))
        self.written += count

    def document(self, **config):
        return source_file(
            self.kafka.bootstrap,
            self.tap.address,
            self.origin,
            self.copy,
            self.group,
            delivery_guarantee="exactly_once",
            **{"empty_poll_delay_ms": 20, "heartbeat_interval_ms": 200, **self.options, **config},
        )

    def records(self):
        return rivven_records(self.tap.address, self.copy)

    def published(self):
        return sum(map(len, self.records().values()))

    def commitments(self):
        """Offset and metadata of each partition, as Kafka has them."""
        with closing(KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)) as admin:
            wanted = [TopicPartition(self.origin, number) for number in range(PARTITIONS)]
            found = admin.list_group_offsets({self.group: wanted})[self.group]
        return {tp.partition: (at.offset, Commitment.load(at.metadata)) for tp, at in found.items()}

    def covered(self):
        """Records that committed offsets cover."""
        return sum(max(offset, 0) for offset, _ in self.commitments().values())

    def wait_complete(self, running):
        wait_until(
            lambda: self.published() >= PARTITIONS * self.written or running.error is not None,
            30,
            running.describe,
        )
        assert running.error is None, running.error

    def check(self):
        """Every record is there once."""
        values = [value for records in self.records().values() for _, value in records]
        by_home = {number: [] for number in range(PARTITIONS)}
        for value in values:
            by_home[int(value.split(b"#")[1].split(b":")[0])].append(value)
        arrivals = Arrivals.of(by_home, PARTITIONS, self.written)
        assert (arrivals.lost, arrivals.duplicates) == ([], 0)
        if "ordering" not in self.options:
            assert not arrivals.overtaken


@pytest.fixture(params=FORMATS)
def bridge(kafka, rivven_tap, topic_name, request):
    return Bridge(kafka, rivven_tap, topic_name, FORMATS[request.param])


def crash(running):
    """Ends a pipeline without its last commit, as a kill would."""
    running.pipeline._commits.commit_now = lambda *_: None
    running.pipeline._guarantee.last_positions = lambda *_: []
    running._stop.set()
    running._thread.join(30)


def test_what_was_published_and_not_committed_is_not_published_again(bridge):
    bridge.write(100)
    for _ in range(2):
        with Running(bridge.document(**LATE_COMMIT)) as running:
            bridge.wait_complete(running)
            # The first round of the loop may have committed what it found published; none after it does.
            bridge.write(20)
            bridge.wait_complete(running)
            crash(running)
    uncovered = PARTITIONS * bridge.written - bridge.covered()
    assert uncovered >= PARTITIONS * 20
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
        wait_until(lambda: running.pipeline.suppressed() == uncovered, 10)
    bridge.check()
    assert all(
        offset == bridge.written and commitment.identity is None
        for offset, commitment in bridge.commitments().values()
    ), "let go in order"


def test_an_orderly_restart_reads_nothing_again(bridge, caplog):
    bridge.write(50)
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    bridge.write(10)
    caplog.clear()
    caplog.set_level("DEBUG", logger="rivven_kafka.pipeline.exactly_once")
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
        assert running.pipeline.suppressed() == 0
    bridge.check()
    assert "read 0 records" in caplog.text


def test_a_lost_answer_is_settled_before_anything_is_sent_again(bridge):
    bridge.write(400)
    with (
        bridge.tap.disconnect(RivvenApi.IDEMPOTENT_PUBLISH_BATCH, times=6) as fault,
        Running(bridge.document(max_batch_records=40)) as running,
    ):
        bridge.wait_complete(running)
    assert len(fault.hits) == 6
    bridge.check()


def test_a_request_that_goes_on_without_its_client_is_waited_for(bridge):
    """rivvend carries a long request through after the connection was lost in the middle of it."""
    bridge.write(600)
    document = bridge.document(max_batch_records=600)
    document["broker"] |= {"request_timeout_ms": 300}
    with Running(document) as running:
        bridge.wait_complete(running)
    bridge.check()


def test_records_of_a_topic_of_that_name_elsewhere_are_not_taken_for_ours(bridge, kafka, topic_name):
    """The log has events of the same topic name, partition and offset, from another cluster or an earlier topic."""
    if bridge.options.get("value_format") == "raw":
        return  # has no positions
    bridge.write(30)
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics([bridge.origin])
        wait_until(lambda: bridge.origin not in admin.list_topics(), 10)
    time.sleep(0.5)
    create_topic(kafka.bootstrap, bridge.origin, PARTITIONS)
    bridge.written = 0
    bridge.write(40)
    with Running(bridge.document()) as running:
        wait_until(
            lambda: bridge.published() == PARTITIONS * 70 or running.error is not None, 30, running.describe
        )
        assert running.error is None


def test_a_frozen_source_is_shut_out_by_its_successor(bridge):
    """Between its look at the clock and its request, nothing but the broker can stop it."""
    bridge.write(200)
    with Running(bridge.document(**LATE_COMMIT)) as first:
        bridge.wait_complete(first)
        frozen = first.pipeline._publisher
        crash_free = first.pipeline
        # Its group does not know yet that it has gone: another one takes over under the same group.
        with closing(RivvenClient([bridge.tap.address])) as client:
            places = [(bridge.copy, number) for number in range(PARTITIONS)]
            client.fence(producer_ids(frozen.identity(), places, 64))
        bridge.write(10)
        assert isinstance(first.failure(), FencedError)
        assert crash_free.delivered() == PARTITIONS * 200
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    bridge.check()


def test_a_source_whose_group_instance_id_another_one_has_sends_nothing_more(kafka, rivven_tap, topic_name):
    """It goes on reading until it hears of it, and would use lanes that nobody knows yet."""
    bridge = Bridge(kafka, rivven_tap, topic_name, {"ordering": "key", "connections": 64})
    static = {
        "kafka_options": {"group_instance_id": "bridge-1"},
        "heartbeat_interval_ms": 3_000,
        **LATE_COMMIT,
    }
    bridge.write(1, keyed=False)
    with Running(bridge.document(**static)) as first:
        bridge.wait_complete(first)
        with Running(bridge.document(**static)) as second:
            # Nothing was committed, so it has shut the first out and found what that has published.
            wait_until(lambda: second.pipeline.suppressed() == PARTITIONS, 20, second.describe)
            bridge.write(3, keyed=False)
            assert isinstance(first.failure(), FencedError)
            bridge.wait_complete(second)
    bridge.check()


def test_raw_refuses_a_partition_with_another_writer(kafka, rivven_tap, topic_name):
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["raw"])
    bridge.write(20)
    with closing(RivvenClient([rivven_tap.address])) as client, Running(bridge.document()) as running:
        bridge.wait_complete(running)
        client.publish(bridge.copy, 1, [(None, b"somebody else's")])
        bridge.write(5)
        error = running.failure()
    assert isinstance(error, ForeignWriterError)
    assert (error.topic, error.partition, error.offset) == (bridge.copy, 1, 20)


def test_raw_refuses_positions_that_say_nothing_of_rivven(kafka, rivven_tap, topic_name):
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["raw"])
    bridge.write(5)
    document = bridge.document()
    document["sources"]["in"]["config"]["delivery_guarantee"] = "at_least_once"
    with Running(document) as running:
        bridge.wait_complete(running)
    bridge.write(5)
    with Running(bridge.document()) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert "expected another consumer_group, or value_format event" in str(error)
    assert bridge.published() == PARTITIONS * 5


def test_a_new_group_finds_what_an_earlier_one_has_published(kafka, rivven_tap, topic_name):
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["event"])
    bridge.write(50)
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    bridge.write(10)
    bridge.group += "-2"
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
        assert running.pipeline.suppressed() == PARTITIONS * 50
    bridge.check()


def test_events_tell_the_id_of_the_topic(kafka, rivven_tap, topic_name):
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["event"])
    bridge.write(1)
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        [topic] = admin.describe_topics([bridge.origin])
    ids = {json.loads(value)["metadata"]["kafka_topic_id"] for [(_, value)] in bridge.records().values()}
    assert len(ids) == 1
    assert {len(each) for each in ids} == {22}
    assert topic["topic_id"], topic


def test_anchors_of_partitions_that_stand_still_follow_the_others(kafka, rivven_tap, topic_name, monkeypatch):
    """However long it runs, the next start reads little more than what was under way at the last commit."""
    monkeypatch.setattr(exactly_once, "_FAR_BEHIND", 1)
    monkeypatch.setattr(exactly_once, "_RENEW_EVERY_S", 0.1)
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["event-by-key"])
    bridge.write(500)
    with Running(bridge.document(auto_commit_interval_ms=50)) as running:
        bridge.wait_complete(running)
        wait_until(lambda: all(at == 500 for at, _ in bridge.commitments().values()), 10)
        ends = {number: len(records) for number, records in bridge.records().items()}

        def followed():
            return all(commitment.anchors == ends for _, commitment in bridge.commitments().values())

        wait_until(followed, 10)


def test_another_format_needs_a_stop_in_order(kafka, rivven_tap, topic_name):
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["raw"])
    bridge.write(20)
    with Running(bridge.document(**LATE_COMMIT)) as running:
        bridge.wait_complete(running)
        crash(running)
    bridge.options = FORMATS["event"]
    with Running(bridge.document()) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert str(error).startswith("value_format: got event: expected raw")
    bridge.options = FORMATS["raw"]
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
        wait_until(lambda: running.pipeline.suppressed() == PARTITIONS * 20, 10)
    bridge.write(5)
    bridge.options = FORMATS["event"]
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    bridge.check()


def test_records_are_found_where_they_went_with_another_partitioning(kafka, rivven_tap, topic_name):
    bridge = Bridge(kafka, rivven_tap, topic_name, FORMATS["event-by-key"])
    with closing(RivvenClient([rivven_tap.address])) as client:
        client.create_topic(bridge.copy, PARTITIONS)
    bridge.write(50)
    with Running(bridge.document(**LATE_COMMIT)) as running:
        bridge.wait_complete(running)
        crash(running)
    bridge.options = FORMATS["event"]
    bridge.write(5)
    with Running(bridge.document()) as running:
        bridge.wait_complete(running)
    records = bridge.records().values()
    assert sorted(map(len, records)) != [55] * PARTITIONS, "by key they were not spread evenly"
    positions = [json.loads(value)["metadata"]["position"] for part in records for _, value in part]
    assert len(positions) == len(set(positions)) == PARTITIONS * 55
