"""Records that Kafka does not take because of their size: split batches, and what `on_error` makes of the rest."""

import base64
import json
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from rivven_kafka import KafkaSink, SourceEvent
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import ConnectError, DeliveryError
from rivven_kafka.pipeline.dead_letters import DeadLetters

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import sink_file, wait_until
from tests.support.topics import create_topic, end_offsets, read_topic

pytestmark = pytest.mark.integration

LIMIT = 2_000
HUGE = {7, 8, 40, 59}
VALUES = [b"%d " % i + (b"x" * 5_000 if i in HUGE else b"y" * 90) for i in range(60)]
DELIVERIES = [{}, {"idempotent": True}, {"transactional": True}]


def set_limit(bootstrap, topic, size):
    """Sets max.message.bytes of a topic."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size)})]
        )


class Lane:
    """A Rivven topic with records that are too large among others, and a sink."""

    def __init__(self, kafka, rivven, topic_name):
        self.kafka, self.rivven = kafka, rivven
        self.origin, self.copy, self.dlq = topic_name(), topic_name(), topic_name()
        self.group = f"g-{self.origin}"
        self.client = RivvenClient([rivven.bootstrap])
        self.client.create_topic(self.origin, 1)
        self.client.publish(self.origin, 0, [(b"k%d" % i, value) for i, value in enumerate(VALUES)])
        create_topic(kafka.bootstrap, self.copy, 1, **{"max.message.bytes": LIMIT})

    def document(self, *, dlq=False, transactional=False, **config):
        if transactional:
            config["transactional_id"] = f"tx-{self.copy}"
        # The whole topic is one batch, which Kafka does not take.
        options = {"batch_size_bytes": 100_000, "include_headers": False, **config}
        document = sink_file(
            self.kafka.bootstrap, self.rivven.bootstrap, self.origin, self.copy, self.group, **options
        )
        if dlq:
            document["sinks"]["out"]["dead_letter_topic"] = self.dlq
        return document

    def position(self):
        return self.client.committed_offset(self.group, self.origin, 0)

    def run(self, document):
        with Running(document) as running:
            wait_until(
                lambda: self.position() == len(VALUES) or running.error is not None, 30, running.describe
            )
        assert running.error is None
        return running.pipeline

    def copied(self):
        return [row.value for row in read_topic(self.kafka.bootstrap, self.copy, "read_committed")[0]]

    def letters(self):
        return [json.loads(value) for _, value in rivven_records(self.rivven.bootstrap, self.dlq).get(0, [])]


@pytest.fixture
def lane(kafka, rivven, topic_name):
    made = Lane(kafka, rivven, topic_name)
    yield made
    made.client.close()


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_only_what_is_too_large_goes_to_the_dead_letter_topic(lane, delivery):
    pipeline = lane.run(lane.document(dlq=True, **delivery))
    # In order and once: the parts of the batch kept their places, and their sequence numbers.
    assert lane.copied() == [value for i, value in enumerate(VALUES) if i not in HUGE]
    letters = lane.letters()
    assert [letter["position"] for letter in letters] == [f"{lane.origin}:0:{i}" for i in sorted(HUGE)]
    assert [base64.b64decode(letter["payload_b64"]) for letter in letters] == [
        VALUES[i] for i in sorted(HUGE)
    ]
    assert base64.b64decode(letters[0]["key_b64"]) == b"k7"
    reason = letters[0]["error"]
    assert reason.startswith(f"Kafka topic '{lane.copy}' does not take a record of 50")
    assert reason.endswith("(MessageSizeTooLargeError): its option max.message.bytes is smaller")
    assert pipeline.metrics.snapshot().errors == len(HUGE)
    # The next run goes on behind them.
    lane.client.publish(lane.origin, 0, [(None, b"after")])
    before = end_offsets(lane.kafka.bootstrap, lane.copy)[0]
    with Running(lane.document(dlq=True, **delivery)) as running:
        wait_until(lambda: running.pipeline.delivered() == 1, 30, running.describe)
    assert running.error is None
    assert lane.copied()[-2:] == [VALUES[58], b"after"]
    assert end_offsets(lane.kafka.bootstrap, lane.copy)[0] <= before + 4, "records and markers"
    assert len(lane.letters()) == len(HUGE)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_skip_leaves_it_out(lane, delivery, caplog):
    pipeline = lane.run(lane.document(on_error="skip", **delivery))
    assert lane.copied() == [value for i, value in enumerate(VALUES) if i not in HUGE]
    assert pipeline.metrics.snapshot().errors == len(HUGE)
    told = [record for record in caplog.records if "max.message.bytes" in record.getMessage()]
    assert told[0].offset == 7


@pytest.mark.symptom("A record is too large.")
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_fail_stops_in_front_of_it_and_names_the_limit(lane, delivery):
    with Running(lane.document(**delivery)) as running:
        error = running.failure()
    assert isinstance(error, DeliveryError)
    assert (error.topic, error.partition, error.offset) == (lane.origin, 0, 7)
    assert f"'{lane.copy}' does not take a record of 50" in str(error)
    assert "its option max.message.bytes is smaller; raise it" in str(error)
    if "transactional" in delivery:
        assert lane.copied() == []
    else:
        assert lane.copied() == VALUES[:7]
    set_limit(lane.kafka.bootstrap, lane.copy, 1_000_000)
    lane.run(lane.document(**delivery))
    assert lane.copied()[-len(VALUES) :] == VALUES


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_without_its_letter_the_position_stays_in_front_of_it(lane, delivery, monkeypatch):
    def refuse(self, batch):
        raise ConnectError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetters, "_publish", refuse)
        with Running(lane.document(dlq=True, **delivery)) as running:
            assert isinstance(running.failure(), ConnectError)
    start = lane.position() or 0
    assert start <= min(HUGE)
    lane.run(lane.document(dlq=True, **delivery))
    found = lane.copied()
    good = [value for i, value in enumerate(VALUES) if i not in HUGE]
    assert found[start - len(good) :] == good[start:]
    assert found[:start] == good[:start]
    if "transactional" in delivery:
        assert found == good
    assert len(lane.letters()) == len(HUGE)


def test_the_sink_of_a_program_skips_it_too(kafka, topic_name):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1, **{"max.message.bytes": LIMIT})
    events = [SourceEvent("t", value, timestamp_ms=-1) for value in VALUES]
    with KafkaSink(brokers=kafka.bootstrap, topic=topic, on_error="skip", batch_size_bytes=100_000) as sink:
        result = sink.write(events)
        assert (result.written, result.failed) == (len(VALUES) - len(HUGE), len(HUGE))
        [error] = result.errors
        assert (error.partition, error.offset) == (0, 7)
        assert sink.write(events[:3]).ok
