"""A Kafka that lies about offsets, committed ones and those of its logs: only what can be is believed."""

import time
from contextlib import closing

import pytest
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BlockConsumer

from tests.support import hostile
from tests.support.connector import wait_until
from tests.support.hostile_journey import GROWTH, TIMEOUT_MS, Journey
from tests.support.kafka_tap import ApiKey
from tests.support.numbered import fill_kafka, rivven_ends

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def offsets_topic(kafka):
    """A topic of 20 records."""
    topic = f"hostile-offsets-{time.time_ns()}"
    fill_kafka(kafka.bootstrap, topic, 1, 20)
    return topic


@pytest.fixture
def reader(tapped, offsets_topic):
    options = {
        "bootstrap_servers": [tapped.tap.address],
        "request_timeout_ms": TIMEOUT_MS,
        "auto_offset_reset": "latest",
        "group_id": f"g-{offsets_topic}",
        "retry_backoff_ms": 50,
    }
    with closing(BlockConsumer(options)) as consumer:
        yield consumer


@pytest.mark.parametrize("lie", hostile.COMMITTED)
def test_committed_offsets_that_make_no_sense(tapped, reader, offsets_topic, lie):
    place = (offsets_topic, 0)
    assert reader.committed([place]) == {}
    action, said = hostile.COMMITTED[lie]
    with tapped.tap.fault(ApiKey.OffsetFetch, action), pytest.raises(RivvenKafkaError) as raised:
        reader.committed([place])
    assert said.format(place=f"{offsets_topic}:0") in str(raised.value)
    assert reader.committed([place]) == {}


def test_a_commit_of_partitions_that_nobody_asked_about_is_left_alone(tapped, reader, offsets_topic):
    place = (offsets_topic, 0)
    with tapped.tap.fault(ApiKey.OffsetFetch, hostile.more_partitions) as fault:
        assert reader.committed([place]) == {}
    assert fault.hits


@pytest.mark.parametrize("api", [ApiKey.OffsetFetch, ApiKey.ListOffsets])
def test_answers_about_offsets_that_are_none(tapped, reader, offsets_topic, api):
    def ask():
        assert reader.committed([(offsets_topic, 0)]) == {}
        assert read_beyond_the_end(reader, offsets_topic) == 20

    with tapped.tap.fault(api, hostile.other_id(0), 1) as fault:
        # The connection is given up, and it is asked again.
        ask()
    assert fault.hits
    with tapped.tap.fault(api, hostile.countless, 1), pytest.raises(RivvenKafkaError) as raised:
        ask()
    assert "it claims a list of 2147483647 items in 0 bytes" in str(raised.value)
    ask()


def read_beyond_the_end(reader, topic):
    """Reads where nothing is until it goes on somewhere else; returns where."""
    reader.assign([(topic, 0, 1_000_000)])
    wait_until(lambda: reader.poll(50, 100) == [] and reader.position(topic, 0) != 1_000_000, 10)
    wait_until(lambda: reader.poll(50, 100) == [] and reader.position(topic, 0) is not None, 10)
    return reader.position(topic, 0)


@pytest.mark.parametrize("lie", hostile.LOG_OFFSETS)
def test_ends_of_logs_that_make_no_sense(tapped, reader, offsets_topic, caplog, lie):
    action, said = hostile.LOG_OFFSETS[lie]
    begin = time.monotonic()
    with tapped.tap.fault(ApiKey.ListOffsets, action, 1 if said is None else None) as fault:
        if said is None:
            # It is asked again.
            assert read_beyond_the_end(reader, offsets_topic) == 20
        else:
            with pytest.raises(RivvenKafkaError, match=said.format(place=f"{offsets_topic}:0")):
                read_beyond_the_end(reader, offsets_topic)
        assert fault.hits
    assert time.monotonic() - begin < 2 * TIMEOUT_MS / 1000 + 2
    told = [each for each in caplog.records if "does not hold the position any more" in each.getMessage()]
    assert 1 <= len(told) <= 4, "it is said, and does not fill the log"


def test_a_lost_commit_is_not_taken_for_none(tapped, rivven, topic_name, tmp_path):
    """What came while the source was away arrives, instead of being behind the end that it would go on at."""
    topic = topic_name()
    made = Journey(tapped, rivven, topic, tmp_path, start_offset="latest", value_format="raw")
    with made.connector:
        wait_until(lambda: "assigned partitions [0]" in made.connector.log(), 30, made.connector.log_tail)
        # Until it stands at the end nothing tells where that is.
        wait_until(lambda: made.write(1) or rivven_ends(rivven, topic, 1) != [0], 30, made.connector.log_tail)
        wait_until(lambda: rivven_ends(rivven, topic, 1) == [made.written], 10, made.connector.log_tail)
        assert made.connector.stop() == 0
        made.write()
        action, said = hostile.COMMITTED["no partition"]
        with tapped.tap.fault(ApiKey.OffsetFetch, action), hostile.Peak(made.connector.start()) as peak:
            text = said.format(place=f"{topic}:0")
            wait_until(lambda: text in made.connector.log(), 25, made.connector.log_tail)
        made.arrive()
        assert made.connector.stop() == 0
    made.check()
    assert peak.growth < GROWTH
