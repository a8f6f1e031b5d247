"""Options of a sink that show between it and Rivven, or in its loop: by their effect, behind taps."""

import statistics
import threading
import time
from contextlib import closing
from functools import partial
from itertools import pairwise

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import TimeoutExpired

from tests.integration.pipelines import Running
from tests.support.connector import sink_file, wait_until
from tests.support.kafka_tap import ApiKey
from tests.support.numbered import fill_rivven
from tests.support.rivven_tap import RivvenApi, RivvenTap
from tests.support.topics import create_topic, end_offsets, read_topic

pytestmark = pytest.mark.integration

MIB = 1 << 20


class Bridge:
    """A Rivven topic, and the Kafka topic that a sink makes of it, seen through both taps."""

    def __init__(self, tapped, rivven, rivven_tap, topic_name, partitions):
        self.tapped, self.rivven, self.rivven_tap = tapped, rivven, rivven_tap
        self.origin, self.copy = topic_name(), topic_name()
        self.client = RivvenClient([rivven.bootstrap])
        self.client.create_topic(self.origin, partitions)
        create_topic(tapped.bootstrap, self.copy, partitions)

    def document(self, group="g", tap=None, **config):
        tap = tap or self.rivven_tap
        addresses = (self.tapped.tap.address, tap.address)
        config = {"include_headers": False, **config}
        return sink_file(*addresses, self.origin, self.copy, f"{group}-{self.origin}", **config)

    def publish(self, *values, partition=0):
        self.client.publish(self.origin, partition, [(None, value) for value in values])

    def count(self):
        return sum(end_offsets(self.tapped.bootstrap, self.copy).values())

    def wait(self, running, count):
        wait_until(lambda: self.count() >= count or running.error is not None, 30, running.describe)
        assert running.error is None

    def consumes(self):
        return self.rivven_tap.exchanges(RivvenApi.CONSUME)


@pytest.fixture
def bridge(tapped, rivven, rivven_tap, topic_name):
    made = []

    def make(partitions=1):
        made.append(Bridge(tapped, rivven, rivven_tap, topic_name, partitions))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


def gaps(exchanges):
    """Seconds between requests that follow each other."""
    return [later.sent - earlier.sent for earlier, later in pairwise(exchanges)]


@pytest.mark.parametrize("client_id", [None, "a name"])
def test_client_id_reaches_both_brokers(bridge, client_id):
    pipe = bridge()
    pipe.publish(b"v")
    with Running(pipe.document(client_id=client_id)) as running:
        pipe.wait(running, 1)
    shown = client_id or "out"
    handshakes = pipe.rivven_tap.exchanges(RivvenApi.HANDSHAKE)
    assert {exchange.client_id() for exchange in handshakes} == {shown}
    assert {exchange.client_id for exchange in pipe.tapped.tap.exchanges()} == {shown}


@pytest.mark.parametrize(("options", "expected"), [({"connections": 2}, 2), ({}, 6)])
def test_connections(bridge, options, expected):
    pipe = bridge(6)
    for partition in range(6):
        pipe.publish(b"v", partition=partition)
    with Running(pipe.document(**options)) as running:
        pipe.wait(running, 6)
    assert len({exchange.connection for exchange in pipe.consumes()}) == expected


def test_linger_waits_for_more_records(bridge):
    """The second record comes within the time that the first one waits, and goes into the same batch."""
    waited, records = {}, {}
    for linger_ms in (0, 1500):
        pipe = bridge()
        pipe.tapped.tap.clear()
        pipe.rivven_tap.clear()
        with Running(pipe.document(linger_ms=linger_ms)) as running:
            wait_until(pipe.consumes, 20, running.describe)
            published = time.monotonic()
            pipe.publish(b"first")
            time.sleep(0.5)
            pipe.publish(b"second")
            pipe.wait(running, 2)
        batches = pipe.tapped.tap.exchanges(ApiKey.Produce)
        waited[linger_ms] = batches[0].sent - published
        records[linger_ms] = [batch.record_count for each in batches for batch in each.batches()]
    assert waited[0] < waited[1500]
    assert waited[1500] > 1.4
    assert records == {0: [1, 1], 1500: [2]}


def test_commit_interval(bridge):
    pipe = bridge()
    intervals = {"often": 100, "seldom": 900}
    stop = threading.Event()

    def drip():
        while not stop.wait(0.02):
            pipe.publish(b"v")

    dripping = threading.Thread(target=drip)
    with (
        Running(pipe.document("often", commit_interval_ms=intervals["often"])) as often,
        Running(pipe.document("seldom", commit_interval_ms=intervals["seldom"])) as seldom,
    ):
        for running in (often, seldom):
            wait_until(lambda r=running: "_fetcher" in vars(r.pipeline), 20, running.describe)
        dripping.start()
        time.sleep(3)
        stop.set()
        dripping.join()
        commits = pipe.rivven_tap.exchanges(RivvenApi.COMMIT_OFFSET)
    medians = {}
    for group, interval_ms in intervals.items():
        mine = [each for each in commits if each.group() == f"{group}-{pipe.origin}"]
        # The first one fixes the start.
        medians[group] = statistics.median(gaps(mine[1:]))
        assert medians[group] > 0.95 * interval_ms / 1000
    assert medians["often"] < medians["seldom"]


def test_heartbeats_and_session(bridge):
    pipe = bridge()
    medians = {}
    for interval_ms, session_ms in ((100, 3000), (700, 8000)):
        pipe.rivven_tap.clear()
        options = {"heartbeat_interval_ms": interval_ms, "session_timeout_ms": session_ms}
        with Running(pipe.document(f"g{interval_ms}", **options)) as running:
            beats = partial(pipe.rivven_tap.exchanges, RivvenApi.HEARTBEAT)
            wait_until(lambda b=beats: len(b()) > 3, 20, running.describe)
        joins = pipe.rivven_tap.exchanges(RivvenApi.JOIN_GROUP)
        assert {join.session_timeout_ms() for join in joins} == {session_ms}
        medians[interval_ms] = statistics.median(gaps(beats()))
    # The loop looks at the clock about every 100 ms.
    assert medians[100] > 0.095
    assert medians[700] > 0.69
    assert medians[100] < medians[700]


def test_metadata_refresh(bridge):
    """A new partition can only be found by asking."""
    pipe = bridge()
    asked = {}
    for refresh_ms in (200, 600_000):
        pipe.rivven_tap.clear()
        document = pipe.document(f"g{refresh_ms}", heartbeat_interval_ms=100)
        document["broker"]["metadata_refresh_ms"] = refresh_ms
        with Running(document) as running:
            beats = partial(pipe.rivven_tap.exchanges, RivvenApi.HEARTBEAT)
            wait_until(lambda b=beats: len(b()) > 20, 30, running.describe)
        found = pipe.rivven_tap.exchanges(RivvenApi.GET_METADATA)
        asked[refresh_ms] = [each.sent for each in found if each.sent > beats()[0].sent]
    assert asked[600_000] == []
    assert len(asked[200]) >= 3
    assert statistics.median(b - a for a, b in pairwise(asked[200])) > 0.19


def test_session_timeout_hands_the_partitions_of_a_lost_member_on(bridge):
    """The default of 10 s would let the other one wait longer."""
    pipe = bridge(2)
    options = {"session_timeout_ms": 1500, "heartbeat_interval_ms": 100}

    def partitions(running):
        return len(getattr(running.pipeline, "_assigned", []))

    with RivvenTap(pipe.rivven.port) as doomed:
        lost = Running({**pipe.document(tap=doomed, **options), "settings": {"retry": {"max_retries": 0}}})
        with lost, Running(pipe.document(**options)) as other:
            wait_until(lambda: (partitions(lost), partitions(other)) == (1, 1), 30, other.describe)
            doomed.close()
            cut_off = time.monotonic()
            for partition in range(2):
                pipe.publish(b"v", partition=partition)
            pipe.wait(other, 2)
            assert time.monotonic() - cut_off < 9
        assert lost.error is not None


def test_max_in_flight_bytes_bounds_what_is_read_while_kafka_does_not_answer(bridge, topic_name):
    pipe = bridge()
    pipe.origin = topic_name()
    fill_rivven(pipe.rivven.bootstrap, pipe.origin, 1, 400, padding=50_000, lanes=8)
    read = {}
    for limit in (MIB, 10 * MIB):
        pipe.rivven_tap.clear()
        with pipe.tapped.tap.drop(ApiKey.Produce):
            options = {"max_in_flight_bytes": limit, "shutdown_timeout_ms": 0}
            with Running(pipe.document(f"g{limit}", **options)) as running:

                def still():
                    answers = [each.answered for each in pipe.consumes() if each.answered]
                    return answers and time.monotonic() - answers[-1] > 1

                wait_until(still, 30, running.describe)
                read[limit] = sum(len(each.answer) for each in pipe.consumes() if each.answer)
            assert "shutdown_timeout_ms" in str(running.error)
    # The last poll may bring a quarter more, and an answer one record.
    assert MIB // 2 < read[MIB] < 1.5 * MIB
    assert 5 * MIB < read[10 * MIB] < 13 * MIB


def test_shutdown_timeout_bounds_the_wait_for_kafka(bridge):
    pipe = bridge()
    pipe.publish(b"v")
    with pipe.tapped.tap.drop(ApiKey.Produce) as dropped:
        with Running(pipe.document(shutdown_timeout_ms=700)) as running:
            wait_until(lambda: dropped.hits, 20, running.describe)
            stopped = time.monotonic()
        took = time.monotonic() - stopped
    assert isinstance(running.error, TimeoutExpired)
    assert "shutdown_timeout_ms" in str(running.error)
    # Once: an error other than this one is followed by a last wait of 5 s.
    assert 0.7 < took < 5


def test_each_consumer_group_gets_everything(bridge):
    pipe = bridge()
    pipe.publish(b"1", b"2")
    with Running(pipe.document("first")) as running:
        pipe.wait(running, 2)
    with Running(pipe.document("second")) as running:
        pipe.wait(running, 4)
    assert [row.value for row in read_topic(pipe.tapped.bootstrap, pipe.copy)[0]] == [b"1", b"2"] * 2
    groups = [pipe.client.committed_offset(f"{g}-{pipe.origin}", pipe.origin, 0) for g in ("first", "second")]
    assert groups == [2, 2]


def test_all_topics_are_read(bridge):
    one, other = bridge(), bridge()
    one.publish(b"one")
    other.publish(b"other")
    document = one.document()
    document["sinks"]["out"]["topics"].append(other.origin)
    with Running(document) as running:
        one.wait(running, 2)
    assert {row.value for row in read_topic(one.tapped.bootstrap, one.copy)[0]} == {b"one", b"other"}
    with closing(RivvenClient([one.rivven.bootstrap])) as client:
        group = f"g-{one.origin}"
        assert [client.committed_offset(group, each.origin, 0) for each in (one, other)] == [1, 1]
