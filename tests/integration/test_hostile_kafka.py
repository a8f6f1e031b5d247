"""A Kafka that lies: the process neither ends, hangs nor swells, says what was wrong, and goes on when it may.

The resident set may grow by `GROWTH`, which docs/security.md promises.
"""

import socket
import time
from contextlib import closing

import pytest
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.kafka.net_client import net_client

from tests.support import hostile
from tests.support.connector import Connector, source_file, wait_until
from tests.support.kafka_tap import ApiKey
from tests.support.numbered import Arrivals, fill_kafka, numbered, rivven_ends, rivven_values
from tests.support.topics import TopicWriter

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

GROWTH = 256 * hostile.MIB
TIMEOUT_MS = 2_000
OPTIONS = {
    "request_timeout_ms": TIMEOUT_MS,
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 500,
    "empty_poll_delay_ms": 20,
    "auto_commit_interval_ms": 200,
    "kafka_options": {"metadata_max_age_ms": 300, "fetch_max_wait_ms": 200},
}
FRAMES = {
    "a vast length": (hostile.length(2**31 - 1), "a frame length of 2147483647 bytes"),
    "a negative length": (hostile.length(-5), "a frame length of -5 bytes"),
    "half an answer": (hostile.cut, "timed out"),
    "a byte per second": (hostile.trickle, "timed out"),
    "garbage": (hostile.garbage, "Connection lost: "),
    "another id": (hostile.other_id(0), "answer 2130706439 came to request"),
}
METADATA = {
    "countless brokers": (hostile.countless_brokers, "it claims a list of 2147483647 items in 0 bytes"),
    "many brokers": (hostile.many_brokers, "it is made of more than"),
    "many tagged fields": (hostile.many_tags, "it is made of more than"),
    "an endless number": (hostile.endless_number, "it holds a number of more than 32 bits"),
    "too many bytes": (hostile.oversized, "an answer without records of "),
    "a text beyond the end": (hostile.broken_text, "its bytes make no sense"),
}


class Journey:
    """A source on its way through the tap to rivvend, and how far it should be."""

    def __init__(self, tapped, rivven, topic, directory, **options):
        self.topic, self.written = topic, 0
        self._kafka, self._rivven = tapped, rivven
        fill_kafka(tapped.bootstrap, topic, 1, 0)
        options = OPTIONS | options
        config = source_file(tapped.tap.address, rivven.bootstrap, topic, topic, f"g-{topic}", **options)
        config["broker"]["request_timeout_ms"] = TIMEOUT_MS
        self.connector = Connector(directory, config)

    def write(self, count=20):
        with TopicWriter(self._kafka.bootstrap, self.topic, 1) as writer:
            writer.write(0, numbered(0, range(self.written, self.written + count)))
        self.written += count

    def arrive(self):
        wait_until(
            lambda: rivven_ends(self._rivven, self.topic, 1) >= [self.written], 30, self.connector.log_tail
        )

    def endure(self, api, lie, said, times=1, until_said=False):
        """Goes through a lie, told so many times, or until it is found out; returns what was logged of it."""
        assert self.connector.running
        before = len(self.connector.log())

        def log():
            return self.connector.log()[before:]

        with hostile.Peak(self.connector) as peak:
            with self._kafka.tap.fault(api, lie, None if until_said else times) as fault:
                self.write()
                wait_until(lambda: len(fault.hits) >= times, 10, self.connector.log_tail)
                begin = time.monotonic()
                wait_until(lambda: said in log(), 25, self.connector.log_tail)
            self.write()
            self.arrive()
        print(
            f"{peak.before >> 20} MiB before, {peak.growth >> 20} MiB more, {time.monotonic() - begin:.1f} s"
        )
        assert self.connector.running
        assert peak.growth < GROWTH
        return log()

    def check(self):
        """Everything is there; what was on its way may be there twice."""
        Arrivals.of(rivven_values(self._rivven, self.topic, 1), 1, self.written).check(self.written)


@pytest.fixture
def journey(tapped, rivven, topic_name, tmp_path):
    made = Journey(tapped, rivven, topic_name(), tmp_path, stall_timeout_ms=3_000)
    with made.connector:
        made.write()
        made.arrive()
        yield made
        made.check()
        assert made.connector.stop() == 0


@pytest.fixture(scope="module")
def steady(kafka, rivven, tmp_path_factory):
    """One source for all lies that end a connection and no more."""
    made = Journey(kafka, rivven, f"hostile-{time.time_ns()}", tmp_path_factory.mktemp("steady"))
    with made.connector:
        made.write()
        made.arrive()
        yield made
        made.check()
        assert "restart in" not in made.connector.log()
        assert made.connector.stop() == 0


@pytest.mark.parametrize("lie", FRAMES)
def test_a_frame_that_is_none(steady, lie):
    action, said = FRAMES[lie]
    log = steady.endure(ApiKey.Fetch, action, said)
    assert len(log) < 20_000, "neither the bytes nor the errors fill the log"


@pytest.mark.parametrize("lie", METADATA)
def test_metadata_that_make_no_sense(steady, lie):
    action, said = METADATA[lie]
    log = steady.endure(ApiKey.Metadata, action, said, times=2)
    assert len(log) < 20_000, "neither the bytes nor the errors fill the log"


def test_metadata_that_lead_nowhere(steady):
    """Hundreds of brokers that are none take the place of the one that is; the first addresses lead back to it."""
    log = steady.endure(ApiKey.Metadata, hostile.ever_new_brokers(), "asks the bootstrap servers again")
    assert log.count("asks the bootstrap servers again") < 5
    assert len(log) < 20_000


@pytest.mark.timeout(120)
def test_answers_of_every_kind_with_bytes_that_are_changed(journey):
    """Not those that say where to read: changed, they are other positions, and believed."""
    kinds = [ApiKey.Heartbeat, ApiKey.OffsetCommit, ApiKey.Fetch, ApiKey.Metadata]
    for seed, kind in enumerate(kinds):
        journey.endure(kind, hostile.damage(seed), "", times=5 if kind is not ApiKey.Metadata else 2)


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


@pytest.mark.symptom('A source stops with "inflates beyond the limit".')
@pytest.mark.parametrize("codec", hostile.BOMBS)
def test_a_batch_that_inflates_without_end(journey, codec):
    number, make = hostile.BOMBS[codec]
    bomb = make()
    log = journey.endure(
        ApiKey.Fetch, hostile.records(number, bomb, 10), "inflates beyond the limit", until_said=True
    )
    assert f"stopped: {codec} data inflates beyond the limit of 134217728 bytes" in log
    assert f"[{journey.topic}:0@20]" in log


def test_a_batch_that_claims_two_billion_records(journey):
    lie = hostile.records(0, bytes(100), 2**31 - 1)
    log = journey.endure(ApiKey.Fetch, lie, "claims 2147483647 records in 100 bytes", until_said=True)
    assert f"[{journey.topic}:0@20]" in log


def test_a_tls_handshake_that_never_ends():
    """A broker that has been well before: its connection is given up, and can be made again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = {
            "bootstrap_servers": [f"127.0.0.1:{server.getsockname()[1]}"],
            "security_protocol": "SSL",
            "socket_connection_setup_timeout_ms": 500,
        }
        with closing(net_client(options)) as client:
            manager = client._manager
            [node] = manager.cluster.bootstrap_brokers()
            manager._net.start()
            made = []
            manager._net.call_soon_threadsafe(lambda: made.append(manager.get_connection(node.node_id)))
            wait_until(lambda: made and made[0].close_future.is_done, 10)
            [connection] = made
            assert "Handshake failed" in str(connection.close_future.exception)
            wait_until(lambda: node.node_id not in manager._conns, 10)
