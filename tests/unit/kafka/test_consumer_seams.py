"""What ours stands on in kafka-python's consumer: these tests fail when a release moves it."""

import collections
import inspect
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition
from kafka.cluster import ClusterMetadata
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.consumer.subscription_state import SubscriptionState
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.record.memory_records import MemoryRecords
from kafka.structs import OffsetAndMetadata
from rivven_kafka.errors import CorruptRecordError
from rivven_kafka.kafka.partition_records import PartitionRecords

from .records import CODECS, Record, oracle_batch
from .signatures import parameters
from .test_fetch_positions import logs

TP = TopicPartition("topic", 0)


def test_what_was_fetched_can_be_taken_without_a_poll():
    assert parameters(Fetcher.fetched_records)[:2] == ["self", "max_records"]
    assert parameters(Fetcher.send_fetches) == ["self"]
    assert parameters(Fetcher.in_flight_fetches) == ["self"]
    source = inspect.getsource(Fetcher.fetched_records)
    assert "self._completed_fetches.popleft()" in source
    assert "if not self._next_partition_records:" in source


def test_what_was_fetched_of_a_paused_partition_is_kept_where_ours_drops_it():
    source = inspect.getsource(Fetcher)
    for name in ("_paused_completed_fetches", "_paused_partition_records"):
        assert re.search(rf"self\.{name} = \{{\}}", source), name
        assert re.search(rf"self\.{name}\[[\w.]+\] = ", source), name


def test_partition_records_are_constructed_as_before():
    ours, theirs = parameters(PartitionRecords), parameters(Fetcher.PartitionRecords)
    assert ours == theirs
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(Fetcher.PartitionRecords).parameters.items()
    }
    assert defaults["isolation_level"] == IsolationLevel.READ_UNCOMMITTED == 0
    assert IsolationLevel.READ_COMMITTED == 1, "what ours compares with"
    # A subclass is only used because the call goes through the instance.
    assert "self.PartitionRecords(" in inspect.getsource(Fetcher._parse_fetched_data)


def test_memory_records_keep_the_fetched_bytes():
    data = oracle_batch([Record(0, None, b"v", [])])
    assert MemoryRecords(data)._buffer is data


def test_the_fetcher_uses_nothing_of_partition_records_that_ours_lacks():
    """Every attribute that the fetcher takes from one, found in its source."""
    ours = PartitionRecords(0, TP, MemoryRecords(b""))
    source = inspect.getsource(Fetcher)
    source = source[: source.index("class PartitionRecords")]
    holders = ("part", "partition_records", "_next_partition_records", "parsed_records", "parked")
    used = {
        word.split("(")[0].split(")")[0].rstrip(",:")
        for holder in holders
        for piece in source.split(f"{holder}.")[1:]
        for word in piece.split()[:1]
    }
    used = {name for name in used if name.isidentifier()}
    assert {"topic_partition", "next_fetch_offset", "leader_epoch", "take", "drain", "bytes_read"} <= used
    missing = {name for name in used if not hasattr(ours, name)} - {"pop", "values", "clear", "partition"}
    assert not missing


class _Subscriptions:
    """What the fetcher asks its subscription state about one assigned partition."""

    def __init__(self, offset):
        state = SimpleNamespace(
            position=OffsetAndMetadata(offset, "", -1),
            highwater=None,
            update_preferred_read_replica=lambda *_: False,
        )
        self.assignment = {TP: state}
        self.moved = []

    def is_fetchable(self, tp):
        return True

    def is_assigned(self, tp):
        return True

    def is_paused(self, tp):
        return False

    def position(self, tp):
        return self.assignment[tp].position

    def move_partition_to_end(self, tp):
        self.moved.append(tp)


def fetcher(data, offset, records_class, *, committed=False, aborted=()):
    """kafka-python's own `Fetcher` with one response that it has not looked at yet."""
    made = Fetcher.__new__(Fetcher)
    made.config = {
        **Fetcher.DEFAULT_CONFIG,
        "key_deserializer": None,
        "value_deserializer": None,
        "check_crcs": True,
    }
    made.PartitionRecords = records_class
    made._isolation_level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    made._subscriptions = _Subscriptions(offset)
    made._sensors = None
    made._next_partition_records = None
    made._next_in_line_exception_metadata = None
    made._paused_completed_fetches = {}
    made._paused_partition_records = {}
    partition_data = SimpleNamespace(
        error_code=0,
        high_watermark=10_000,
        diverging_epoch=None,
        records=data,
        aborted_transactions=[SimpleNamespace(producer_id=p, first_offset=o) for p, o in aborted],
        preferred_read_replica=-1,
    )
    fetch = SimpleNamespace(
        topic_partition=TP,
        fetched_offset=offset,
        partition_data=partition_data,
        metric_aggregator=None,
        response_version=12,
    )
    made._completed_fetches = collections.deque([fetch])
    return made


def drained(made, max_records):
    """Each poll's records until the response is used up, and the position after each."""
    polls, positions = [], []
    while True:
        records, _ = made.fetched_records(max_records)
        polls.append(records.get(TP, []))
        positions.append(made._subscriptions.assignment[TP].position)
        if not made._completed_fetches and not made._next_partition_records:
            return polls, positions


def rows_of(blocks):
    return [
        row
        for block in blocks
        for row in zip(block.offsets(), block.timestamps(), block.keys(), block.values(), strict=True)
    ]


@given(log=logs(), committed=st.booleans(), max_records=st.integers(1, 7), data=st.data())
def test_the_fetcher_gets_the_same_from_ours_as_from_its_own(log, committed, max_records, data):
    response, aborted, end = log
    start = data.draw(st.integers(0, end - 1))
    options = {"committed": committed, "aborted": aborted}
    theirs, their_positions = drained(
        fetcher(response, start, Fetcher.PartitionRecords, **options), max_records
    )
    ours, positions = drained(fetcher(response, start, PartitionRecords, **options), max_records)
    flat = [(r.offset, r.timestamp, r.key, r.value) for poll in theirs for r in poll]
    assert [row for poll in ours for row in rows_of(poll)] == flat
    assert positions[-1].offset == their_positions[-1].offset == end
    # max_poll_records: a block that is empty counts for one, because it has to be handed out.
    assert all(sum(max(len(block), 1) for block in poll) <= max_records for poll in ours)


@pytest.mark.parametrize("codec", CODECS)
def test_max_poll_records_holds_within_a_batch(codec):
    batch = oracle_batch([Record(i, None, b"x" * 100, []) for i in range(100)], CODECS[codec])
    polls, positions = drained(fetcher(batch, 0, PartitionRecords), 7)
    assert [sum(map(len, poll)) for poll in polls[:15]] == [7] * 14 + [2]
    assert [position.offset for position in positions[:3]] == [7, 14, 21]


def test_a_damaged_batch_is_reported_after_what_precedes_it_and_again():
    good = oracle_batch([Record(0, None, b"a", [])])
    bad = bytearray(oracle_batch([Record(0, None, b"b", [])], base_offset=1))
    bad[-1] ^= 1
    made = fetcher(good + bytes(bad), 0, PartitionRecords)
    records, _ = made.fetched_records(10)
    assert rows_of(records[TP]) == [(0, 0, None, b"a")]
    for _ in range(3):
        with pytest.raises(CorruptRecordError, match="checksum"):
            made.fetched_records(10)
    assert made._subscriptions.assignment[TP].position.offset == 1


def test_partition_records_drain_once():
    drains = []
    batch = oracle_batch([Record(0, None, b"a", [])])
    aggregate = []
    ours = PartitionRecords(
        0,
        TP,
        MemoryRecords(batch),
        metric_aggregator=SimpleNamespace(record=lambda *args: aggregate.append(args)),
        on_drain=drains.append,
    )
    assert ours
    assert len(ours.take(5)) == 1
    assert len(ours.take(5)) == 0
    assert not ours
    ours.drain()
    assert drains == [ours]
    assert [(tp, records) for tp, _, records in aggregate] == [(TP, 1)]


def test_rebalances_can_wait_and_commit():
    assert parameters(NetworkSelector.sleep) == ["self", "delay"]
    assert parameters(ConsumerCoordinator._commit_offsets_sync_async)[:2] == ["self", "offsets"]
    assert inspect.iscoroutinefunction(ConsumerCoordinator._commit_offsets_sync_async)
    source = inspect.getsource(KafkaConsumer)
    for attribute in ("_net", "_coordinator", "_fetcher", "_subscription", "_cluster", "_manager"):
        assert f"self.{attribute} =" in source


def test_a_commit_that_was_refused_is_tried_again_with_what_is_left_of_it():
    attempts = inspect.getsource(ConsumerCoordinator._commit_offsets_sync_async)
    assert "self._manager.call_soon(self._send_offset_commit_request, offsets)" in attempts
    one = inspect.getsource(ConsumerCoordinator._send_offset_commit_request)
    assert "if not offsets:" in one
    commit = inspect.getsource(ConsumerCoordinator.commit_offsets_sync)
    assert "self._net.run(self._commit_offsets_sync_async, offsets, timeout_ms)" in commit
    assert "commit_offsets_sync(offsets, timeout_ms=timeout_ms)" in inspect.getsource(KafkaConsumer.commit)


def test_a_join_under_way_can_be_kept_up():
    assert parameters(ConsumerCoordinator.request_rejoin) == ["self"]
    join = inspect.getsource(ConsumerCoordinator.join_group_async)
    assert "while self.need_rejoin():" in join
    # Both at its end only, so that what is asked for in between holds until then.
    assert join.count("self.rejoining = False") == join.count("self.rejoin_needed = False") == 1


def test_heartbeats_of_a_member_end_only_when_it_was_replaced():
    """Or while it joins, and when it is none any more: `stable`, `rejoining` and `_heartbeat_enabled` tell."""
    calls = {
        name: function
        for name, function in inspect.getmembers(ConsumerCoordinator, inspect.isfunction)
        if "self._disable_heartbeat()" in inspect.getsource(function)
    }
    assert set(calls) == {"join_group_async", "_heartbeat_loop", "_do_heartbeat"}
    sources = {name: " ".join(inspect.getsource(function).split()) for name, function in calls.items()}
    assert sources["join_group_async"].index("self.rejoining = True") < sources["join_group_async"].index(
        "self._disable_heartbeat()"
    )
    assert re.search(
        r"elif not self\.stable\(\): (#[^)]*?)?.{,200}self\._disable_heartbeat", sources["_heartbeat_loop"]
    )
    assert re.search(r"FencedInstanceIdError\): .{,200}self\._disable_heartbeat", sources["_do_heartbeat"])
    assert "self._heartbeat_enabled = False" in inspect.getsource(ConsumerCoordinator._disable_heartbeat)
    assert "return self.state is MemberState.STABLE" in inspect.getsource(ConsumerCoordinator.stable)


def test_a_released_partition_can_be_forgotten():
    """Assigning without it drops its position, so that it starts anew when it comes back."""
    other = TopicPartition("topic", 1)
    state = SubscriptionState()
    state.subscribe(topics=["topic"])
    state.assign_from_subscribed([TP, other])
    state.seek(TP, 5)
    state.seek(other, 7)
    state.assign_from_subscribed(sorted(set(state.assigned_partitions()) - {TP}))
    assert state.assigned_partitions() == {other}
    state.assign_from_subscribed([TP, other])
    assert state.assignment[TP].position is None
    assert state.assignment[other].position.offset == 7


def test_metadata_can_be_waited_for():
    assert parameters(ClusterMetadata.request_update) == ["self"]
    assert parameters(ClusterMetadata.refresh_metadata) == ["self", "node_id"]
    assert parameters(NetworkSelector.call_soon_with_future)[:2] == ["self", "coro"]
    assert parameters(ClusterMetadata.partitions_for_topic) == ["self", "topic"]
    assert ClusterMetadata().partitions_for_topic("unknown") is None
    update = inspect.getsource(ClusterMetadata.update_metadata)
    assert '"Topic %s not found in cluster metadata"' in update, "what the log leaves out when it is repeated"
    assert parameters(KafkaConnectionManager.wait_for)[:3] == ["self", "future", "timeout_ms"]
    assert parameters(NetworkSelector.run)[:2] == ["self", "coro"]
