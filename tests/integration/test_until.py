"""A source that is to end at fixed offsets: exactly there, whatever stands before and behind them."""

import json
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from rivven_kafka._native import RivvenClient
from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.log_gap import is_gap
from rivven_kafka.pipeline import SourcePipeline
from rivven_kafka.pipeline.until import Jump

from tests.integration.connector_kit import QUICK, filled, rows_of
from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import source_file, wait_until
from tests.support.topics import TopicWriter, committed_offsets, create_topic, end_offsets

pytestmark = pytest.mark.integration


class UntilRunning(Running):
    """Runs the only source of `document` up to `ends`, by partition of its topic."""

    def __init__(self, document, ends):
        super().__init__(document)
        config = ConnectConfig.model_validate(document)
        [(name, entry)] = config.sources.items()
        self.topic, self.copy = entry.config.topic, entry.topic
        until = {(self.topic, number): end for number, end in ends.items()}
        self.pipeline = SourcePipeline(name, entry, config.broker, config.settings, until=until)

    def finish(self, timeout=30):
        with self:
            self._thread.join(timeout)
            assert not self._thread.is_alive(), self.describe()
        assert self.error is None, self.describe()


def lane(kafka, rivven, topic, **config):
    return source_file(
        kafka.bootstrap, rivven.bootstrap, topic, f"{topic}-copy", f"u-{topic}", **QUICK, **config
    )


def positions_in(rivven, topic):
    """The Kafka offsets of what a Rivven topic holds, by partition."""
    return {
        partition: [int(json.loads(value)["metadata"]["position"].rpartition(":")[2]) for _, value in records]
        for partition, records in rivven_records(rivven.bootstrap, topic).items()
    }


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_it_ends_by_itself_at_the_ends_and_goes_on_from_there(kafka, rivven, topic_name, guarantee):
    topic = filled(kafka, topic_name(), 300, 0, 40)
    document = lane(kafka, rivven, topic, delivery_guarantee=guarantee)
    ends = end_offsets(kafka.bootstrap, topic)
    with TopicWriter(kafka.bootstrap, topic, 3) as writer:
        writer.write(0, rows_of(0, range(300, 450)))
        writer.write(1, rows_of(1, range(20)))
    # In the middle of a batch as well.
    UntilRunning(document, {**ends, 2: 33}).finish()
    committed = {0: 300, 1: 0, 2: 33}
    assert committed_offsets(kafka.bootstrap, f"u-{topic}", topic) == committed
    copy = f"{topic}-copy"
    assert positions_in(rivven, copy) == {p: list(range(end)) for p, end in committed.items()}
    # Again: there is nothing to do. Without ends it goes on from there.
    UntilRunning(document, {**ends, 2: 33}).finish()
    assert committed_offsets(kafka.bootstrap, f"u-{topic}", topic) == committed
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() >= 177 or running.error, 30, running.describe)
    assert positions_in(rivven, copy) == {0: list(range(450)), 1: list(range(20)), 2: list(range(40))}


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_what_is_no_record_before_an_end_does_not_keep_it_waiting(kafka, rivven, topic_name, guarantee):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 2)
    options = {"bootstrap_servers": kafka.bootstrap, "transactional_id": topic, "metrics_enabled": False}
    with closing(KafkaProducer(**options)) as producer:
        producer.init_transactions()
        for commit in (True, False):
            producer.begin_transaction()
            for number in range(10):
                producer.send(topic, b"%d" % number, partition=0)
                if not commit:
                    producer.send(topic, b"%d" % number, partition=1)
            producer.flush()
            producer.commit_transaction() if commit else producer.abort_transaction()
        ends = end_offsets(kafka.bootstrap, topic)
        assert ends == {0: 22, 1: 11}, "ten and a marker, and in one partition twice"
        # Before the snapshot's end a read may stand that goes on behind it.
        producer.begin_transaction()
        producer.send(topic, b"later", partition=0)
        producer.flush()
        producer.commit_transaction()
    document = lane(kafka, rivven, topic, delivery_guarantee=guarantee, isolation_level="read_committed")
    UntilRunning(document, ends).finish()
    assert committed_offsets(kafka.bootstrap, f"u-{topic}", topic) == {0: 22, 1: 11}
    assert positions_in(rivven, f"{topic}-copy") == {0: list(range(10)), 1: []}


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_a_group_that_stands_behind_an_end_is_not_set_back(kafka, rivven, topic_name, guarantee):
    topic = filled(kafka, topic_name(), 100)
    document = lane(kafka, rivven, topic, delivery_guarantee=guarantee)
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() == 100, 30, running.describe)
    until = UntilRunning(document, {0: 60})
    until.finish()
    assert until.pipeline.complete
    assert committed_offsets(kafka.bootstrap, f"u-{topic}", topic) == {0: 100}


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_what_kafka_has_deleted_before_it_was_read_is_told(kafka, rivven, topic_name, guarantee):
    topic = filled(kafka, topic_name(), 100, 100)
    document = lane(kafka, rivven, topic, delivery_guarantee=guarantee)
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(f"{topic}-copy", 2)
    UntilRunning(document, {0: 20}).finish()
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 0): 60, TopicPartition(topic, 1): 30})
    running = UntilRunning(document, {0: 100, 1: 100})
    running.finish()
    assert sorted(running.pipeline.jumps, key=lambda each: each.partition) == [
        Jump(topic, 0, 20, 60),
        Jump(topic, 1, None, 30),
    ]
    assert positions_in(rivven, f"{topic}-copy") == {
        0: [*range(20), *range(60, 100)],
        1: list(range(30, 100)),
    }


def test_a_gap_is_told_from_records_that_are_left(kafka, topic_name):
    topic = filled(kafka, topic_name(), 20)
    options = {"bootstrap_servers": [kafka.bootstrap]}
    place = (topic, 0)
    assert is_gap(options, place, 20, 20, 10), "the log has reached its end, and holds nothing there"
    assert not is_gap(options, place, 19, 20, 10)
    assert is_gap(options, place, 15, 15, 10), "the next record is behind the end"
    assert not is_gap(options, place, 20, 21, 10), "the log has not come so far"


def test_another_member_of_the_group_ends_it(kafka, rivven, topic_name, monkeypatch):
    monkeypatch.setattr("rivven_kafka.pipeline.until._FOREIGN_AFTER_S", 1.0)
    topic = filled(kafka, topic_name(), 20, 20)
    document = lane(kafka, rivven, topic)
    with Running(document) as other:
        wait_until(lambda: other.pipeline.delivered() == 40, 30, other.describe)
        with UntilRunning(document, {0: 50, 1: 50}) as running:
            error = running.failure()
    assert isinstance(error, ConfigError)
    assert f"consumer_group: got 'u-{topic}', and another member of it has 1 of the partitions" in str(error)
