"""What ours stands on in kafka-python's producer: these tests fail when a release moves it."""

import collections
import inspect
import random
import threading
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer, TopicPartition
from kafka.errors import (
    KafkaConnectionError,
    KafkaStorageError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
)
from kafka.producer.future import FutureProduceResult
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import TransactionManager
from kafka.protocol.producer import ProduceResponse
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.kafka.accumulator import Accumulator, Batch
from rivven_kafka.kafka.producer import BatchProducer
from rivven_kafka.kafka.sealed import Records

from .signatures import parameters

TP = TopicPartition("topic", 0)


def sealed(count=4, partition=0):
    encoder = SinkEncoder(partition + 1, include_headers=False)
    rows = [(1_700_000_000_000 + i, b"k%d" % i, b"v%d" % i, []) for i in range(count)]
    encoder.append(block_from_rows("topic", partition, rows))
    [batch] = encoder.take_ready(0)
    return batch


def accumulator(splits=None, **config):
    splits = [] if splits is None else splits
    return Accumulator(lambda: splits.append(1), **config)


def test_the_accumulator_has_what_ours_uses():
    theirs = RecordAccumulator()
    assert isinstance(theirs._batches, collections.defaultdict)
    assert isinstance(theirs._batches[TP], collections.deque)
    assert theirs._closed is False
    assert theirs._transaction_manager is None
    with theirs._tp_lock(TP):
        assert theirs._tp_lock(TP).locked()
    batch = ProducerBatch(TP, Records(sealed()))
    theirs._incomplete.add(batch)
    assert list(theirs._incomplete.all()) == [batch]
    assert {
        "transaction_manager",
        "delivery_timeout_ms",
        "request_timeout_ms",
        "retry_backoff_ms",
        "linger_ms",
    } <= set(RecordAccumulator.DEFAULT_CONFIG)
    # Our copy is made from theirs' config alone.
    assert set(accumulator(**theirs.config).config) == set(theirs.config)
    assert parameters(Accumulator.split_and_reenqueue) == parameters(RecordAccumulator.split_and_reenqueue)


def test_the_producer_is_wired_as_ours_rewires_it():
    source = inspect.getsource(KafkaProducer.__init__)
    for attribute in ("self._accumulator =", "self._sender =", "self._transaction_manager ="):
        assert attribute in source
    sender = inspect.getsource(Sender)
    assert "self._accumulator =" in sender
    assert sender.count("self._record_retries(batch)") == 3, "split, retention, retry"
    assert parameters(Sender._record_retries) == ["self", "batch"]
    assert "self._accumulator.split_and_reenqueue(batch)" in sender
    assert Sender.DEFAULT_CONFIG["guarantee_message_order"] is False
    assert sender.count("self.config['guarantee_message_order']") >= 2, "mute when sent, unmute at the answer"
    assert callable(Sender.wakeup)
    # Ours stands in front of it, and does what the branch that splits a batch does.
    assert parameters(Sender._dispatch_error) == ["self", "batch", "exception", "partition_response"]
    assert sender.count("self._dispatch_error(batch, ") == 2, "errors of brokers, and of the client"
    split = sender[sender.index("self._accumulator.split_and_reenqueue(batch)") :][:250]
    assert "self._maybe_remove_from_inflight_batches(batch)" in split
    assert "self._accumulator.deallocate(batch)" in split
    # What is in flight tells which partitions wait.
    assert "self._in_flight_batches = collections.defaultdict(list)" in sender
    for use in ("muted.add(", "muted.discard("):
        assert f"self._accumulator.{use}" in sender
    accumulator_source = inspect.getsource(RecordAccumulator)
    assert accumulator_source.count("tp in self.muted") == 2
    assert "_should_stop_drain_batches_for_partition(first, tp)" in accumulator_source
    assert "not batch.in_retry()" in accumulator_source
    assert "self._transaction_manager =" in sender
    assert parameters(TransactionManager.set_sequence_number) == ["self", "tp", "sequence"]
    assert parameters(TransactionManager.maybe_add_partition_to_transaction)[:2] == [
        "self",
        "topic_partition",
    ]


def test_a_batch_asks_of_its_records_only_what_ours_answer():
    """Every method of the builder that kafka-python calls on a closed batch's records."""
    sources = (
        inspect.getsource(ProducerBatch) + inspect.getsource(RecordAccumulator) + inspect.getsource(Sender)
    )
    used = {piece.split("(")[0].split()[0].rstrip(",):") for piece in sources.split("batch.records.")[1:]}
    used |= {piece.split("(")[0].split()[0].rstrip(",):") for piece in sources.split("self.records.")[1:]}
    ours = Records(sealed())
    # `append` fills a batch, which is never done with ours.
    assert {name for name in used if not hasattr(ours, name)} <= {"append"}
    public = {name for name in dir(MemoryRecordsBuilder) if not name.startswith("_")}
    assert "set_producer_state" in public
    theirs = parameters(MemoryRecordsBuilder.set_producer_state)
    assert parameters(Records.set_producer_state) == theirs


def test_a_batch_has_what_ours_sets_and_reads():
    batch = ProducerBatch(TP, Records(sealed()))
    for attribute in ("max_record_size", "created", "attempts", "last_attempt", "produce_future"):
        assert hasattr(batch, attribute)
    assert (batch.record_count, batch.has_sequence, batch.base_sequence) == (4, False, -1)
    batch.records.set_producer_state(5, 1, 40, False)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.has_sequence) == (
        5,
        1,
        40,
        True,
    )
    assert isinstance(batch.produce_future, FutureProduceResult)


def test_outcomes_arrive_as_ours_reads_them():
    outcomes = []

    def done(batch, tp, error):
        outcomes.append((tp, error))

    Batch(TP, sealed(), done).complete(100, -1)
    failure = ValueError("no")
    Batch(TP, sealed(), done).complete_exceptionally(failure, lambda _: failure)
    Batch(TP, sealed(), done).abort(failure)
    assert outcomes == [(TP, None), (TP, failure), (TP, failure)]


def test_a_retried_batch_keeps_its_sequence_and_bytes():
    records = Records(sealed())
    records.set_producer_state(5, 1, 40, False)
    records.close()
    before = records.buffer()
    records.close()
    assert records.buffer() == before
    with pytest.raises(Exception, match="closed batch"):
        records.set_producer_state(5, 1, 44, False)


@given(seed=st.integers(0, 1000), count=st.integers(2, 40))
def test_a_split_keeps_order_time_and_sequence(seed, count):
    splits = []
    sequences = {}
    manager = SimpleNamespace(set_sequence_number=sequences.__setitem__)
    ours = accumulator(splits, transaction_manager=manager)
    first, later = Batch(TP, sealed(count), lambda *_: None), Batch(TP, sealed(1), lambda *_: None)
    first.records.set_producer_state(5, 1, 40, False)
    first.records.close()
    first.attempts = random.Random(seed).randrange(3)
    first.may_be_stored = bool(seed % 2)
    ours.order.number(first)
    ours.append_batch(later)
    assert ours.split_and_reenqueue(first) == 2
    halves = list(ours._batches[TP])
    assert halves[-1] is later
    assert [half.attempts for half in halves[:2]] == [first.attempts] * 2
    assert [half.may_be_stored for half in halves[:2]] == [first.may_be_stored] * 2
    assert [half.created for half in halves[:2]] == [first.created] * 2
    assert sum(half.record_count for half in halves[:2]) == count
    assert (sequences, splits) == ({TP: 40}, [1])
    assert set(halves) <= set(ours._incomplete.all())
    values = []
    for half in halves[:2]:
        half.records.close()
        batch = MemoryRecords(half.records.buffer()).next_batch()
        assert batch.validate_crc()
        values += [record.value for record in batch]
    assert values == [b"v%d" % i for i in range(count)]


def test_a_batch_has_what_that_of_kafka_python_has():
    theirs = ProducerBatch(TP, Records(sealed()))
    ours = Batch(TP, sealed(), lambda *_: None)
    assert vars(theirs).keys() <= vars(ours).keys()
    # Nobody else asks for its future, and of that only for these.
    used = inspect.getsource(ProducerBatch) + inspect.getsource(Sender)
    asked = {piece.split("(")[0].split()[0].rstrip(":") for piece in used.split("produce_future.")[1:]}
    assert asked == {"is_done", "success"}


def test_a_closed_accumulator_takes_nothing():
    ours = accumulator()
    ours.close()
    with pytest.raises(Exception, match="closed"):
        ours.append_batch(Batch(TP, sealed(), lambda *_: None))


def answer(error, base_offset=-1):
    """An error, and what Kafka says of the partition with it."""
    return error(), ProduceResponse.TopicProduceResponse.PartitionProduceResponse(
        error_code=error.errno, base_offset=base_offset
    )


def too_large(count, *, before=None, sequence=True):
    """What becomes of a batch that Kafka finds too large: seen by kafka-python, refused records, sequences.

    Before that comes an attempt with another outcome, if there is one.
    """
    theirs, sequences = [], {}
    manager = SimpleNamespace(set_sequence_number=sequences.__setitem__)
    sender = SimpleNamespace(_transaction_manager=manager, _maybe_remove_from_inflight_batches=lambda _: None)
    producer = BatchProducer.__new__(BatchProducer)
    producer._lock = threading.Lock()
    producer._accumulator = accumulator(transaction_manager=manager)
    producer._keep_refused, producer._refused, producer._in_flight = True, [], 1
    batch = Batch(TP, sealed(count), lambda *_: None)
    if sequence:
        batch.records.set_producer_state(5, 1, 40, False)
    producer._accumulator._incomplete.add(batch)
    # As the sender calls it.
    call = partial(producer._dispatch_error, sender, lambda *args, **_: theirs.append(args))
    for error, response in filter(None, (before, answer(MessageSizeTooLargeError))):
        call(batch, error, partition_response=response)
        batch.attempts += 1
    return theirs, producer, sequences


def test_only_a_record_that_is_alone_is_refused():
    theirs, producer, sequences = too_large(1)
    assert (theirs, sequences, producer.in_flight) == ([], {TP: 40}, 0)
    assert list(producer._accumulator._incomplete.all()) == []
    [bad] = producer.take_refused()
    assert (bad.topic, bad.offset, bad.value) == ("topic", 0, b"v0")
    assert "does not take a record of" in bad.reason
    assert producer.take_refused() == []
    theirs, producer, sequences = too_large(2)
    assert (len(theirs), sequences, producer.in_flight) == (1, {}, 1)


@pytest.mark.parametrize(
    "before",
    [
        (KafkaConnectionError(), None),
        answer(RequestTimedOutError),
        answer(NotEnoughReplicasAfterAppendError),
        answer(KafkaStorageError),
        answer(NotLeaderForPartitionError, 7),
    ],
)
def test_a_record_that_may_be_stored_is_not_refused(before):
    """Its sequence number must not be given to the next record, which Kafka would drop as a duplicate."""
    theirs, producer, sequences = too_large(1, before=before)
    assert (len(theirs), producer.take_refused(), sequences) == (2, [], {})
    theirs, producer, _ = too_large(1, before=before, sequence=False)
    assert (len(theirs), len(producer.take_refused())) == (1, 1)


@pytest.mark.parametrize("error", [NotLeaderForPartitionError, NotEnoughReplicasError])
def test_an_attempt_that_stored_nothing_does_not_keep_a_record_from_being_refused(error):
    theirs, producer, sequences = too_large(1, before=answer(error))
    assert (len(theirs), len(producer.take_refused()), sequences) == (1, 1, {TP: 40})
