"""Where the transactions reach into kafka-python: a version that moves one of these places fails here."""

import inspect

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import (
    AddOffsetsToTxnHandler,
    EndTxnHandler,
    Priority,
    TransactionalRequestResult,
    TransactionManager,
    TransactionState,
    TxnOffsetCommitHandler,
)
from kafka.structs import OffsetAndMetadata
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.kafka.accumulator import Accumulator, Batch
from rivven_kafka.kafka.transactions import begin_abort

TP = TopicPartition("t", 0)


def manager():
    made = TransactionManager(transactional_id="x", api_version=(4, 0))
    made._current_state = TransactionState.READY
    made.begin_transaction()
    return made


def sealed():
    encoder = SinkEncoder(1, include_headers=False)
    encoder.append(block_from_rows("t", 0, [(-1, None, b"v", [])]))
    [batch] = encoder.take_ready(0)
    return batch


def test_the_end_waits_for_the_offsets():
    assert Priority.ADD_PARTITIONS_OR_OFFSETS < Priority.END_TXN
    ours = manager()
    ours.send_offsets_to_transaction({TP: OffsetAndMetadata(5, "m", -1)}, "g")
    ours.begin_commit()
    assert isinstance(ours.next_request_handler(False), AddOffsetsToTxnHandler)
    assert isinstance(ours._pending_requests[0][2], EndTxnHandler)


def refused_offsets():
    """A manager whose offsets were refused when the commit already waited behind them."""
    ours = manager()
    ours._transaction_started = True
    ours.send_offsets_to_transaction({TP: OffsetAndMetadata(5, "m", -1)}, "g")
    ours.begin_commit()
    ours.next_request_handler(False).abortable_error(kafka_errors.GroupAuthorizationFailedError("g"))
    return ours


def ends(ours):
    """Whether each end that waits is a commit, in their order."""
    return [
        handler.request.committed for _, _, handler in sorted(ours._pending_requests, key=lambda e: e[:2])
    ]


def test_an_abort_takes_back_the_commit_that_waits_behind_refused_offsets():
    ours = refused_offsets()
    begin_abort(ours)
    assert ends(ours) == [False]
    assert not ours.next_request_handler(False).request.committed


def test_an_abort_alone_does_not():
    ours = refused_offsets()
    ours.begin_abort()
    assert ends(ours) == [True, False]
    assert ours.next_request_handler(False).request.committed, "and it would be sent"


def test_the_manager_keeps_the_offsets_of_all_groups_in_one_place():
    """The reason to commit the offsets of one group after the other."""
    source = inspect.getsource(AddOffsetsToTxnHandler.handle_response)
    assert "self.transaction_manager._pending_txn_offset_commits" in source
    assert "_pending_txn_offset_commits[tp]" in inspect.getsource(TxnOffsetCommitHandler.handle_response)
    assert manager()._consumer_group_coordinator is None


def test_results_have_what_ours_reads():
    result = TransactionalRequestResult()
    assert (result.is_done, result.failed) == (False, False)
    result.done(error=ValueError("no"))
    assert (result.is_done, result.failed, str(result.exception)) == (True, True, "no")


def test_a_lost_batch_alone_does_not_stop_a_commit():
    """The reason to check the outcome of every batch before a commit."""
    batch = Batch(TP, sealed(), lambda *_: None)
    ours = manager()
    outcome = ours.classify_batch_error(kafka_errors.RequestTimedOutError(), batch)
    assert outcome == TransactionManager.ERROR_CLASS_RETRIABLE
    assert "ERROR_CLASS_RETRIABLE" in inspect.getsource(Sender._dispatch_error)


@pytest.mark.parametrize(
    "error", [kafka_errors.InvalidProducerEpochError, kafka_errors.OutOfOrderSequenceNumberError]
)
def test_without_epoch_bumps_a_fenced_producer_ends(error):
    ours = manager()
    batch = Batch(TP, sealed(), lambda *_: None)
    assert ours.classify_batch_error(error(), batch) == TransactionManager.ERROR_CLASS_NEEDS_EPOCH_BUMP
    ours._supports_epoch_bump = lambda: False
    assert ours.classify_batch_error(error(), batch) == TransactionManager.ERROR_CLASS_FATAL


def test_an_error_state_names_its_error():
    ours = manager()
    ours.transition_to_fatal_error(kafka_errors.ProducerFencedError())
    assert isinstance(ours.last_error, kafka_errors.ProducerFencedError)
    with pytest.raises(kafka_errors.KafkaError):
        ours.maybe_add_partition_to_transaction(TP)
    with pytest.raises(kafka_errors.KafkaError):
        ours.begin_abort()


def test_aborting_all_batches_survives_outcomes_that_abort_others():
    ended = []

    def done(batch, tp, error):
        ended.append(error)
        ours.abort_waiting(error)

    ours = Accumulator(lambda: None)
    for _ in range(5):
        ours.append_batch(Batch(TP, sealed(), done))
    on_the_wire: ProducerBatch = ours._batches[TP].popleft()
    on_the_wire.records.close()
    failure = ValueError("fatal")
    ours.abort_batches(failure)
    assert ended == [failure] * 5
    assert not ours.has_incomplete
    assert not ours._batches[TP]


def test_the_sender_waits_as_long_as_ours_sets():
    source = inspect.getsource(Sender._maybe_send_pending_request)
    assert "time.sleep(self.config['retry_backoff_ms'] / 1000)" in source
    assert "self._accumulator.abort_batches(exc)" in inspect.getsource(Sender._maybe_abort_batches)
    assert callable(KafkaProducer.init_transactions)


def test_offsets_can_be_asked_for_stable():
    source = inspect.getsource(KafkaAdminClient._async_list_group_offsets)
    assert "in self._list_group_offsets_requests(" in source
    request = inspect.getsource(KafkaAdminClient._list_group_offsets_requests)
    assert request.count("yield (") == 2
