"""What a rivvend that was killed and started with its write-ahead log does to logs, and who notices."""

import time
from contextlib import closing
from dataclasses import dataclass

import pytest
from rivven_kafka._native import Fetcher, Publisher, RivvenClient, block_from_rows
from rivven_kafka.errors import LogDamagedError

from tests.support.connector import Connector, advance, sink_file, wait_until
from tests.support.numbered import numbered
from tests.support.rivven_wire import RivvenWire
from tests.support.topics import create_topic, end_offsets, read_topic

pytestmark = pytest.mark.faults

PARTITIONS = 8


@dataclass
class Look:
    """What a partition gives to a client that does not know what to expect.

    Attributes:
        end: The end of the log.
        readable: Different offsets that it gives.
        again: Records at offsets that it gave before.
        at_end: Whether a look at the last record finds the damage.
        at_known: Whether a look at the last record that was acknowledged does.
        reading: Whether a reader from the first record on is stopped.
    """

    end: int
    readable: int
    again: int
    at_end: bool
    at_known: bool
    reading: bool

    @property
    def sound(self):
        return self.readable == self.end and not self.again


def look(broker, partition, known):
    with (
        closing(RivvenClient([broker.bootstrap])) as client,
        RivvenWire("127.0.0.1", broker.port) as wire,
    ):
        at, end = wire.offset_bounds("t", partition)
        seen: list[int] = []
        while at < end:
            page = [record.offset for record in wire.fetch("t", at, partition, 10_000)]
            if not page:
                break
            seen += page
            at = max(at, *page) + 1
        flags = [damaged(client, partition, None), damaged(client, partition, known)]
    return Look(end, len(set(seen)), len(seen) - len(set(seen)), *flags, stopped(broker, partition, end))


def damaged(client, partition, known):
    try:
        client.check_tail("t", partition, known)
    except LogDamagedError:
        return True
    return False


def stopped(broker, partition, end):
    """Reads all of a partition as a sink does."""
    fetcher = Fetcher([broker.bootstrap])
    fetcher.assign([("t", partition, 0)])
    at, deadline = 0, time.monotonic() + 10
    try:
        while at < end:
            assert time.monotonic() < deadline, f"neither the end nor an error: at {at} of {end}"
            for block in fetcher.poll(200):
                assert block.offsets() == list(range(at, block.next_offset)), "nothing damaged comes out"
                at = block.next_offset
    except LogDamagedError as error:
        return (error.topic, error.partition) == ("t", partition)
    finally:
        fetcher.close()
    return False


def crash(broker, *, keep_wal):
    """Kills the broker while a source publishes to all partitions; returns what it had acknowledged."""
    with closing(RivvenClient([broker.bootstrap])) as client:
        client.create_topic("t", PARTITIONS)
    publisher = Publisher([broker.bootstrap], value_format="raw", connections=PARTITIONS, max_retries=0)
    publisher.add_route("numbers", "t", PARTITIONS, 1)
    for partition in range(PARTITIONS):
        publisher.submit(block_from_rows("numbers", partition, numbered(partition, range(5_000), 150)))
    acknowledged = dict.fromkeys(range(PARTITIONS), 0)
    deadline = time.monotonic() + 30
    while min(acknowledged.values()) < 200:
        assert time.monotonic() < deadline
        acknowledged |= {partition: offset for _, partition, offset in publisher.take_positions()}
        time.sleep(0.01)
    broker.kill()
    publisher.close(0)
    broker.start(keep_wal=keep_wal).wait_ready()
    return acknowledged


@pytest.mark.timeout(120)
def test_a_kept_write_ahead_log_is_noticed(own_rivven):
    known = crash(own_rivven, keep_wal=True)
    looks = [look(own_rivven, partition, known[partition]) for partition in range(PARTITIONS)]
    print(*looks, sep="\n")
    assert not any(each.sound for each in looks)
    assert all(each.at_end for each in looks), "the last record is what the replay hides first"
    assert all(each.reading for each in looks)
    with closing(RivvenClient([own_rivven.bootstrap])) as client:
        for partition in range(PARTITIONS):
            client.publish("t", partition, [(None, b"later")] * 50)
    looks = [look(own_rivven, partition, known[partition]) for partition in range(PARTITIONS)]
    print(*looks, sep="\n")
    assert not any(each.sound for each in looks)
    assert not any(each.at_end for each in looks), "the end is sound again, so it does not tell"
    assert any(each.at_known for each in looks)
    assert all(each.reading for each in looks)


@pytest.mark.timeout(60)
def test_without_the_write_ahead_log_everything_is_well(own_rivven):
    known = crash(own_rivven, keep_wal=False)
    for partition in range(PARTITIONS):
        found = look(own_rivven, partition, known[partition])
        assert found.sound
        assert [found.at_end, found.at_known, found.reading] == [False] * 3
        assert found.end >= known[partition], "what was acknowledged is there"


@pytest.mark.symptom("The log of a Rivven partition is damaged.")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("setting", ["fail", "continue"])
def test_a_sink_before_a_damaged_log(own_rivven, kafka, topic_name, tmp_path, setting):
    """It has written a part when the broker crashes."""
    count, copy = 600, topic_name()
    create_topic(kafka.bootstrap, copy, 1)
    with closing(RivvenClient([own_rivven.bootstrap])) as client:
        client.create_topic("t", 1)
        client.publish("t", 0, [(b"k", b"%d" % number) for number in range(count)])
    config = sink_file(kafka.bootstrap, own_rivven.bootstrap, "t", copy, "g", on_log_damage=setting)
    config["sinks"]["out"]["rate_limit"] = {"events_per_second": 100, "burst_capacity": 10}

    def written():
        return sum(end_offsets(kafka.bootstrap, copy).values())

    with Connector(tmp_path, config) as connector:
        advance(written, 100, connector)
        own_rivven.kill()
        own_rivven.restart(keep_wal=True)
        with closing(RivvenClient([own_rivven.bootstrap])) as client:
            client.publish("t", 0, [(b"k", b"%d" % number) for number in range(count, count + 50)])
        if setting == "fail":
            assert connector.wait(60) == 1, connector.log_tail()
            log = connector.log()
            assert "gave up: " in log
            assert "delete <data-dir>/wal/*.wal before it starts again; see docs/delivery.md [t:0@" in log
            assert "restart in" not in log.partition("gave up")[2], "a restart mends nothing"
        else:
            warnings = ("the log skips offsets", "records again", "cannot be read")
            wait_until(lambda: any(text in connector.log() for text in warnings), 60, connector.log_tail)
            assert connector.running
            assert connector.stop() == 0, connector.log_tail()
    values = [int(row.value) for row in read_topic(kafka.bootstrap, copy)[0]]
    assert values[:100] == list(range(100))
    if setting == "fail":
        assert values == list(range(len(values))), "nothing from behind the damage"
        assert len(values) < count


@pytest.mark.timeout(60)
def test_a_log_that_has_shrunk_stops_the_sink(own_rivven, kafka, topic_name, tmp_path):
    """A clean stop after the replay: the last copy is at offset 0, and the log seems to end behind it."""
    copy = topic_name()
    create_topic(kafka.bootstrap, copy, 1)
    with closing(RivvenClient([own_rivven.bootstrap])) as client:
        client.create_topic("t", 1)
        client.publish("t", 0, [(None, b"x")] * 50)
        client.commit_offsets("g", [("t", 0, 50)])
    own_rivven.kill()
    own_rivven.restart(keep_wal=True)
    own_rivven.restart()
    for setting in ("fail", "continue"):
        config = sink_file(kafka.bootstrap, own_rivven.bootstrap, "t", copy, "g", on_log_damage=setting)
        with Connector(tmp_path, config, setting) as connector:
            assert connector.wait(30) == 1, connector.log_tail()
            assert "gave up: the log ends at 1, before the offset to read from" in connector.log()
    assert sum(end_offsets(kafka.bootstrap, copy).values()) == 0
