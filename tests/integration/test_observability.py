"""What a connector tells of itself beside its counters is what happened."""

import time
from contextlib import closing

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.runtime.backoff import RestartBackoff
from rivven_kafka.runtime.connector import Connector

from tests.integration.pipelines import Running
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.topics import Row, create_topic, fill

pytestmark = pytest.mark.integration

QUICK = {"empty_poll_delay_ms": 20, "auto_commit_interval_ms": 50}


class Observed(Running):
    """A connector in a thread, and how it stands."""

    def __init__(self, document):
        super().__init__(document)
        self._connector = Connector(self.pipeline, 1_000, RestartBackoff())

    @property
    def status(self):
        return self._connector.status()

    def wait(self, condition):
        wait_until(lambda: condition(self.status) or self.error is not None, 30, lambda: str(self.status))
        assert self.error is None
        return self.status


def source(kafka, rivven, topic, **config):
    return source_file(kafka.bootstrap, rivven.bootstrap, topic, topic, f"g-{topic}", **QUICK, **config)


def left_out(counts):
    return {reason: count for reason, count in counts.items() if count}


def test_a_source(kafka, rivven, topic_name):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    now = int(time.time() * 1000)
    old = [Row(now - 90_000, b"k", b"old", [])] * 10
    fill(kafka.bootstrap, topic, {0: [*old, Row(now, b"k", None, []), *[Row(now, b"k", b"new", [])] * 10]})
    document = source(kafka, rivven, topic, value_format="raw", on_tombstone="skip")
    with Observed(document) as running:
        seen = running.wait(lambda status: status.caught_up)
        seen = running.wait(lambda status: status.lag[0].committed == 21 and status.skipped["tombstone"])
        assert seen.latency.count == 20, "the tombstone was not delivered"
        assert seen.latency.quantile(0.25) < 30
        assert seen.latency.quantile(0.75) > 60
        assert (left_out(seen.skipped), left_out(seen.dead_letters)) == ({"tombstone": 1}, {})
        assert (seen.batch_sizes.total, seen.rebalances) == (21, 1)
        assert seen.commit_latency.count >= 1
        assert seen.rate.records_per_second > 1
        assert seen.rate.bytes_per_second > seen.rate.records_per_second
        assert abs(seen.last_progress.timestamp() - time.time()) < 20
        assert (seen.lag[0].records, seen.lag[0].seconds) == (0, 0)
        running.pipeline.pause()
        fill(kafka.bootstrap, topic, {0: [Row(now, None, b"later", [])] * 3})
        seen = running.wait(lambda status: status.lag[0].records == 3)
        assert (seen.caught_up, seen.lag[0].seconds < 20) == (False, True)
        first = seen.lag[0].seconds
        seen = running.wait(lambda status: status.lag[0].seconds > first + 1)
        running.pipeline.resume()
        seen = running.wait(lambda status: status.caught_up)
        assert seen.latency.count == 23
    assert running.error is None
    gone = running.status
    assert (gone.caught_up, gone.lag, gone.latency.count) == (None, (), 23)


def test_dead_letters_of_a_source(kafka, rivven, topic_name):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    now = int(time.time() * 1000)
    fill(kafka.bootstrap, topic, {0: [Row(now, b"k", None, []), Row(now, b"k", b"x", [])] * 3})
    document = source(kafka, rivven, topic, value_format="raw", on_tombstone="fail")
    document["sources"]["in"]["dead_letter_topic"] = f"{topic}.dlq"
    with Observed(document) as running:
        seen = running.wait(lambda status: status.caught_up and status.dead_letters["tombstone"] == 3)
        assert (left_out(seen.dead_letters), left_out(seen.skipped)) == ({"tombstone": 3}, {})
        assert seen.latency.count == 3


@pytest.mark.parametrize("transactional", [False, True])
def test_a_sink(kafka, rivven, topic_name, transactional):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    more = {"transactional_id": topic} if transactional else {}
    document = sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        topic,
        topic,
        f"g-{topic}",
        value_format="event",
        on_error="skip",
        commit_interval_ms=50,
        **more,
    )
    event = b'{"event_type":"insert","stream":"s","data":{"a":1},"timestamp":"2026-01-01T00:00:00Z"}'
    with closing(RivvenClient([rivven.bootstrap])) as client:
        client.create_topic(topic, 1)
        client.publish(topic, 0, [(None, value) for value in (event, b"bad", event, b"{}", event)])
    with Observed(document) as running:
        seen = running.wait(lambda status: status.caught_up and status.lag[0].committed == 5)
        assert (seen.latency.count, seen.batch_sizes.total) == (3, 3)
        assert seen.latency.quantile(1) < 60
        assert (left_out(seen.skipped), left_out(seen.dead_letters)) == ({"format": 2}, {})
        assert (seen.rebalances, seen.commit_latency.count >= 1) == (1, True)
        assert (seen.lag[0].position, seen.lag[0].records, seen.lag[0].seconds) == (5, 0, 0)
        assert seen.last_progress is not None
