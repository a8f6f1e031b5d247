"""`SourceEvent`, and the reader that makes them: what a program sees of a record."""

import asyncio
import json
import pickle
import threading
import time

import pytest
from rivven_kafka import SourceEvent
from rivven_kafka._events import EventReader, rows
from rivven_kafka._native import block_from_rows


def event(value, **options):
    return SourceEvent("orders", value, **options)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, None),
        (b"", ""),
        (b" ", " "),
        (b"null", None),
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b" 7 ", 7),
        (b'"text"', "text"),
        (b"plain", "plain"),
        ("ключ".encode(), "ключ"),
        (b"\xff\x00", b"\xff\x00"),
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b'{"a": NaN}', '{"a": NaN}'),
        (b"\xef\xbb\xbf1", "\ufeff1"),
        ("1".encode("utf-16"), "1".encode("utf-16")),
        ("7".encode("utf-32-le"), "7\x00\x00\x00"),
        (b"9007199254740993", 9007199254740993),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_data_is_json_or_text_or_bytes(value, data):
    assert event(value).data == data


def test_data_is_parsed_at_each_use():
    made = event(b'{"a": 1}')
    made.data["a"] = 2
    assert made.data == {"a": 1}
    assert made.value == b'{"a": 1}'


def test_the_fields_of_a_dict_are_upstreams():
    made = event(
        b'{"id": 7}',
        key=b"k",
        headers=[("a", b"1"), ("n", None), ("a", b"2")],
        partition=3,
        offset=9,
        timestamp_ms=1_700_000_000_123,
    )
    fields = made.to_dict()
    assert list(fields) == ["event_type", "stream", "namespace", "timestamp", "data", "metadata"]
    stamp = fields.pop("timestamp")
    assert stamp.endswith("Z")
    assert fields == {
        "event_type": "record",
        "stream": "orders",
        "namespace": "kafka",
        "data": {"id": 7},
        "metadata": {
            "position": "orders:3:9",
            "kafka_headers": {"a": "2", "n": None},
            "kafka_timestamp": 1_700_000_000_123,
            "kafka_partition": 3,
            "kafka_key": "k",
            "kafka_offset": 9,
        },
    }
    json.dumps(fields, allow_nan=False)
    bare = event(b"\xff").to_dict()
    assert bare["data"] == "/w=="
    assert set(bare["metadata"]) == {"position", "kafka_timestamp", "kafka_partition", "kafka_offset"}


def test_a_repr_shows_no_payload():
    made = event(b"secret", key=b"private", headers=[("h", b"hidden")], partition=1, offset=5)
    assert repr(made) == "SourceEvent(orders:1:5, 6 bytes)"
    assert repr(event(None)) == "SourceEvent(orders:0:-1, null)"


def test_an_event_does_not_change_and_can_be_pickled():
    made = event(b"v", key=b"k", headers=[("a", None)], partition=2, offset=3, timestamp_ms=4)
    with pytest.raises(AttributeError):
        made.value = b"other"
    again = pickle.loads(pickle.dumps(made))
    for name in ("topic", "value", "key", "headers", "partition", "offset", "timestamp_ms", "read_at_ms"):
        assert getattr(again, name) == getattr(made, name)
    with pytest.raises(TypeError):
        event("text")


def test_rows_keep_the_order_of_each_partition():
    events = [event(b"%d" % i, partition=i % 3, timestamp_ms=i) for i in range(7)]
    assert {partition: [row[2] for row in made] for partition, made in rows(events).items()} == {
        0: [b"0", b"3", b"6"],
        1: [b"1", b"4"],
        2: [b"2", b"5"],
    }


class Reader(EventReader):
    """Hands out blocks of two events, each when `gate` lets it."""

    def __init__(self, blocks, gate=None, **options):
        super().__init__(**options)
        self.blocks = iter(range(blocks))
        self.gate = gate
        self.calls = 0

    def next_block(self):
        self.calls += 1
        if self.gate is not None:
            assert self.gate.wait(20)
        number = next(self.blocks, None)
        if number is None:
            return None
        values = [(1, b"k", b"%d" % (2 * number + i), [("h", b"")]) for i in range(2)]
        return block_from_rows("orders", 1, values)


def test_a_reader_iterates_over_its_blocks():
    reader = Reader(3)
    assert reader.last_event is None
    events = list(reader)
    assert [made.data for made in events] == [0, 1, 2, 3, 4, 5]
    assert reader.last_event is events[-1]
    assert abs(events[0].read_at_ms / 1000 - time.time()) < 60


def test_a_reader_leaves_out_what_the_options_say():
    [made, _] = Reader(1, include_key=False, include_headers=False)
    assert (made.key, made.headers) == (b"k", [("h", b"")]), "only the dict leaves them out"
    assert not {"kafka_key", "kafka_headers"} & set(made.to_dict()["metadata"])
    assert pickle.loads(pickle.dumps(made)).to_dict() == made.to_dict()


def test_a_cancelled_waiter_loses_no_event():
    async def read():
        gate = threading.Event()
        reader = Reader(2, gate)
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(reader), 0.05)
        assert reader.calls == 1, "the fetch goes on"
        gate.set()
        return [made.data async for made in reader]

    assert asyncio.run(read()) == [0, 1, 2, 3]


def test_a_fetch_outlives_its_loop():
    gate = threading.Event()
    reader = Reader(1, gate)

    async def give_up():
        await asyncio.wait_for(anext(reader), 0.05)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())
    gate.set()
    assert [made.data for made in reader] == [0, 1]
    assert reader.calls == 2


def test_an_error_of_a_fetch_reaches_the_waiter_once():
    class Broken(Reader):
        def next_block(self):
            if self.calls == 0:
                self.calls += 1
                raise OSError("broken")
            return super().next_block()

    async def read(reader):
        with pytest.raises(OSError, match="broken"):
            await anext(reader)
        return [made.data async for made in reader]

    assert asyncio.run(read(Broken(1))) == [0, 1]


def test_a_dropped_fetch_is_waited_for():
    gate = threading.Event()
    reader = Reader(2, gate)
    assert reader.drop_fetch() is False

    async def give_up():
        await asyncio.wait_for(anext(reader), 0.05)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())
    threading.Timer(0.1, gate.set).start()
    assert reader.drop_fetch() is True
    assert [made.data for made in reader] == [2, 3]


class Checked(Reader):
    """Says whether two threads have fetched at once."""

    under_way = threading.Lock()
    overlapped = False

    def next_block(self):
        if not self.under_way.acquire(blocking=False):
            self.overlapped = True
            return None
        try:
            time.sleep(0.001)
            return super().next_block()
        finally:
            self.under_way.release()


@pytest.mark.parametrize("tasks", [2, 8])
def test_tasks_that_share_a_reader_get_each_event_once(tasks):
    reader = Checked(50)
    seen = []

    async def work():
        async for made in reader:
            seen.append(made.data)
            if made.data % 3 == 0:
                await asyncio.sleep(0)

    async def share():
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(tasks))), 20)

    asyncio.run(share())
    assert seen == list(range(100))
    assert not reader.overlapped


def test_a_fetch_that_was_dropped_under_a_waiter_gives_it_nothing():
    async def read():
        gate = threading.Event()
        reader = Reader(2, gate)
        waiter = asyncio.create_task(anext(reader))
        await asyncio.sleep(0)
        gate.set()
        assert reader.drop_fetch() is True
        return (await waiter).data, [made.data async for made in reader]

    assert asyncio.run(read()) == (2, [3])
