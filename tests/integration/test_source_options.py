"""Options of a source that show between it and Kafka: each by its effect on a real Kafka, behind a tap."""

import asyncio
import statistics
import threading
import time
from itertools import pairwise

import pytest
from rivven_kafka import KafkaSource
from rivven_kafka.errors import CorruptRecordError, RebalanceNeededError

from tests.support.connector import wait_until
from tests.support.kafka_tap import ApiKey, KafkaTap
from tests.support.ports import ReservedPort
from tests.support.topics import TopicWriter, create_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)


@pytest.fixture
def topic(tapped, topic_name):
    """A function that makes a topic with values by partition, and returns its name."""

    def make(*partitions, batch_size_bytes=65_536):
        name = topic_name()
        create_topic(tapped.bootstrap, name, len(partitions))
        with TopicWriter(
            tapped.bootstrap, name, len(partitions), batch_size_bytes=batch_size_bytes
        ) as writer:
            for partition, values in enumerate(partitions):
                writer.write(partition, [(NOW, None, value, []) for value in values])
        return name

    return make


def numbers(count):
    return [b"%d" % number for number in range(count)]


def source(tapped, topic, **options):
    options = {"consumer_group": f"g-{topic}", "client_id": topic, "empty_poll_delay_ms": 20, **options}
    return KafkaSource(**{"brokers": tapped.tap.address, "topic": topic, **options})


def take(stream, count):
    """The next `count` events."""
    return [next(stream) for _ in range(count)]


def wait_in_vain(stream, seconds):
    """Waits for an event that does not come."""

    async def wait():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(stream), seconds)

    asyncio.run(wait())


def side_by_side(*calls):
    """Runs `calls` in threads; raises the first error."""
    errors = []

    def run(call):
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def gaps(exchanges):
    """Seconds between requests that follow each other."""
    times = [exchange.sent for exchange in exchanges]
    return [later - earlier for earlier, later in pairwise(times)]


def test_client_id_is_in_every_request(tapped, topic):
    name = topic(numbers(1))
    with source(tapped, name, client_id="a name").read() as stream:
        next(stream)
    seen = tapped.tap.exchanges()
    assert {exchange.client_id for exchange in seen} == {"a name"}
    assert {ApiKey.Metadata, ApiKey.JoinGroup, ApiKey.Fetch, ApiKey.OffsetCommit} <= {e.api for e in seen}


def test_any_of_the_brokers_is_enough(tapped, topic):
    name = topic(numbers(1))
    with (
        ReservedPort() as dead,
        source(tapped, name, brokers=[dead.address, tapped.tap.address]).read() as stream,
    ):
        assert next(stream).data == 0


def test_heartbeats_and_session(tapped, topic):
    name = topic([])
    cases = {"often": (100, 3000), "seldom": (500, 6000)}

    def run(client, interval_ms, session_ms):
        options = {"heartbeat_interval_ms": interval_ms, "session_timeout_ms": session_ms}
        with source(tapped, name, client_id=client, consumer_group=f"{client}-{name}", **options).read() as s:
            wait_in_vain(s, 3)

    side_by_side(*(lambda c=client, o=options: run(c, *o) for client, options in cases.items()))
    medians = {}
    for client, (interval_ms, session_ms) in cases.items():
        joins = tapped.tap.of_client(client, ApiKey.JoinGroup)
        assert {join.request.session_timeout_ms for join in joins} == {session_ms}
        medians[client] = statistics.median(gaps(tapped.tap.of_client(client, ApiKey.Heartbeat)))
        # Timers of kafka-python may fire a little early.
        assert medians[client] > 0.9 * interval_ms / 1000
    assert medians["often"] < 0.4 < medians["seldom"]


def test_max_poll_interval_ends_the_membership_of_a_reader_that_does_not_poll(tapped, topic):
    name = topic(numbers(10))
    options = {"heartbeat_interval_ms": 100, "session_timeout_ms": 3000, "max_poll_records": 1}

    def reader(client, **more):
        return source(
            tapped, name, client_id=client, consumer_group=f"{client}-{name}", **options, **more
        ).read()

    patient, hasty = reader("patient"), reader("hasty", max_poll_interval_ms=1000)
    assert next(patient).data == 0
    last_poll = time.monotonic()
    assert next(hasty).data == 0
    wait_until(lambda: tapped.tap.of_client("hasty", ApiKey.LeaveGroup), 20)
    [left] = tapped.tap.of_client("hasty", ApiKey.LeaveGroup)
    assert left.sent - last_poll > 0.9
    joins = {c: tapped.tap.of_client(c, ApiKey.JoinGroup)[0].request for c in ("hasty", "patient")}
    assert {c: join.rebalance_timeout_ms for c, join in joins.items()} == {"hasty": 1000, "patient": 300_000}
    # The other one is still a member, although it has not polled either.
    assert not tapped.tap.of_client("patient", ApiKey.LeaveGroup)
    beats = len(tapped.tap.of_client("patient", ApiKey.Heartbeat))
    wait_until(lambda: len(tapped.tap.of_client("patient", ApiKey.Heartbeat)) > beats, 10)
    with source(tapped, name, consumer_group=f"hasty-{name}", client_id="next").read() as stream:
        assert next(stream).data == 0, "it has the partition, and nothing was committed"
    with pytest.raises(RebalanceNeededError):
        hasty.close()
    patient.close()


def test_fetch_min_bytes_holds_small_data_back(tapped, topic):
    name = topic(numbers(3))

    def first_answer(client, **options):
        """Seconds until the fetch that brought the records was answered, and what it asked for."""
        with source(tapped, name, client_id=client, consumer_group=f"{client}-{name}", **options).read() as s:
            take(s, 3)
        fetch = next(e for e in tapped.tap.of_client(client, ApiKey.Fetch) if e.answer and e.batches())
        return fetch.answered - fetch.sent, fetch.request.min_bytes

    slow, asked = first_answer("much", fetch_min_bytes=100_000)
    assert asked == 100_000
    # Half a second is what a fetch waits at most.
    assert slow > 0.45
    quick, asked = first_answer("little")
    assert asked == 1
    assert quick < slow


LARGE = [b"x" * 10_000] * 10


def sizes_of_answers(tapped, client):
    answers = [e for e in tapped.tap.of_client(client, ApiKey.Fetch) if e.answer]
    return [len(e.answer) for e in answers], [len(part) for e in answers for part in e.records().values()]


def test_fetch_max_bytes_bounds_the_answer(tapped, topic):
    name = topic(*[LARGE] * 4, batch_size_bytes=1)
    for client, options in {"bound": {"fetch_max_bytes": 25_000}, "free": {}}.items():
        with source(tapped, name, client_id=client, consumer_group=f"{client}-{name}", **options).read() as s:
            take(s, 40)
    assert 20_000 < max(sizes_of_answers(tapped, "bound")[0]) < 26_000
    assert max(sizes_of_answers(tapped, "free")[0]) > 100_000


def test_max_partition_fetch_bytes_bounds_the_part_of_a_partition(tapped, topic):
    name = topic(*[LARGE] * 4, batch_size_bytes=1)
    for client, options in {"bound": {"max_partition_fetch_bytes": 25_000}, "free": {}}.items():
        with source(tapped, name, client_id=client, consumer_group=f"{client}-{name}", **options).read() as s:
            take(s, 40)
    answers, parts = sizes_of_answers(tapped, "bound")
    assert 20_000 < max(parts) <= 25_000
    assert max(answers) > 40_000, "several partitions in one answer"
    assert max(sizes_of_answers(tapped, "free")[1]) > 90_000


def test_request_timeout_replaces_a_connection_that_does_not_answer(tapped, topic):
    name = topic(numbers(3))
    with tapped.tap.drop(ApiKey.Fetch, times=1) as dropped:
        with source(tapped, name, request_timeout_ms=1000).read() as stream:
            assert [event.data for event in take(stream, 3)] == [0, 1, 2]
        [lost] = dropped.hits
    again = next(e for e in tapped.tap.of_client(name, ApiKey.Fetch) if e.sent > lost.sent)
    assert again.connection != lost.connection
    # The default is 30 s.
    assert 0.9 < again.sent - lost.sent < 15


def test_check_crcs(tapped, topic):
    name = topic([b"precious"])
    with tapped.tap.fault(ApiKey.Fetch, KafkaTap.flip(b"precious")):
        with source(tapped, name).read() as stream, pytest.raises(CorruptRecordError):
            next(stream)
        with source(tapped, name, check_crcs=False).read() as stream:
            assert next(stream).value == b"preciour"


def test_commits_come_at_their_interval_or_after_each_block(tapped, topic):
    name = topic(numbers(150))
    cases = {
        "often": {"auto_commit_interval_ms": 200},
        "seldom": {"auto_commit_interval_ms": 900},
        "always": {"enable_auto_commit": False, "auto_commit_interval_ms": 900},
    }

    def run(client, options):
        options = {"max_poll_records": 1, "consumer_group": f"{client}-{name}", **options}
        with source(tapped, name, client_id=client, **options).read() as stream:
            for _ in range(150):
                next(stream)
                time.sleep(0.015)

    side_by_side(*(lambda c=client, o=options: run(c, o) for client, options in cases.items()))
    # The last commit is that of the end.
    commits = {client: tapped.tap.of_client(client, ApiKey.OffsetCommit)[:-1] for client in cases}
    assert statistics.median(gaps(commits["often"])) > 0.19
    # Reading takes at least 2.25 s.
    assert 1 <= len(commits["seldom"]) < len(commits["often"])
    assert statistics.median([0.9, *gaps(commits["seldom"])]) > 0.89
    assert len(commits["always"]) > 50


def test_the_end_commits_once(tapped, topic):
    name = topic(numbers(3))
    with source(tapped, name, auto_commit_interval_ms=600_000).read() as stream:
        take(stream, 3)
    assert len(tapped.tap.exchanges(ApiKey.OffsetCommit)) == 1
