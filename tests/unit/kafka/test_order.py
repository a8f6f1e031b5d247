"""Order and completeness of what the producer sends, against a model of a broker that numbers and fails."""

import collections
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import KafkaConnectionError
from kafka.future import Future
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import ProducerIdAndEpoch, TransactionManager
from kafka.protocol.broker_version_data import BrokerVersionData
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.producer import ProduceRequest, ProduceResponse
from kafka.record.memory_records import MemoryRecords
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.kafka.producer import BatchProducer

TOPIC = "topic"
VERSION = 9
TOO_LARGE, NOT_ENOUGH_REPLICAS, APPENDED_BUT, OUT_OF_ORDER = 10, 19, 20, 45
Answered = ProduceResponse.TopicProduceResponse


class Log:
    """A partition: what a leader stores, and how it tells repetitions (KIP-98)."""

    def __init__(self, limit, too_large=()):
        self.values = []
        self._limit = limit
        self._too_large = set(too_large)
        # Of a producer that it does not know, a leader takes any number.
        self._expected = None
        self._last = collections.deque(maxlen=5)

    def append(self, data):
        """The error code for a batch."""
        [batch] = MemoryRecords(bytes(data))
        values = [bytes(record.value) for record in batch]
        if len(values) > self._limit or self._too_large.intersection(values):
            return TOO_LARGE
        if batch.base_sequence >= 0:
            numbers = (batch.base_sequence, len(values))
            if numbers in self._last:
                return 0
            if self._expected not in (None, batch.base_sequence):
                return OUT_OF_ORDER
            self._last.append(numbers)
            self._expected = batch.base_sequence + len(values)
        self.values += values
        return 0


class Broker:
    """A connection and the broker behind it: requests wait until the test has them answered."""

    broker_version_data = BrokerVersionData(api_versions={0: (0, VERSION)})
    connected = True
    transport = None

    def __init__(self, partitions, limit):
        self.logs = [Log(limit) for _ in range(partitions)]
        self.in_flight_requests = collections.deque()

    @property
    def paused(self):
        return {"max_in_flight"} if len(self.in_flight_requests) >= 5 else set()

    def send_request(self, request):
        future = Future()
        request.API_VERSION = VERSION
        request.with_header(correlation_id=1, client_id="client")
        data = bytes(request.encode(framed=True, header=True))
        decoded = ProduceRequest.decode(data[4 + 2 + 2 + 4 + 2 + len("client") + 1 :], version=VERSION)
        self.in_flight_requests.append((request.header, decoded, future))
        return future

    def _store(self, request, failing=(), appended_but=()):
        [topic] = request.topic_data
        found = []
        for each in topic.partition_data:
            code = NOT_ENOUGH_REPLICAS
            if each.index not in failing:
                code = self.logs[each.index].append(each.records)
                if not code and each.index in appended_but:
                    code = APPENDED_BUT
            found.append((each.index, code))
        return found

    def answer(self, failing=(), appended_but=()):
        """Answers the oldest request; `failing` partitions store nothing, `appended_but` ones too few times."""
        if not self.in_flight_requests:
            return
        header, request, future = self.in_flight_requests.popleft()
        parts = [
            Answered.PartitionProduceResponse(
                index=index,
                error_code=code,
                base_offset=-1 if code else 0,
                log_append_time_ms=-1,
                log_start_offset=0,
                record_errors=[],
                error_message=None,
            )
            for index, code in self._store(request, failing, appended_but)
        ]
        response = ProduceResponse(
            responses=[Answered(name=TOPIC, partition_responses=parts)], throttle_time_ms=0
        )
        body = bytes(response.encode(version=VERSION))
        data = KafkaBytes(len(body))
        data.write(body)
        data.seek(0)
        future.success(header.get_response_class().decode(data))

    def lose(self, stored):
        """The connection ends; the broker has taken the first `stored` requests."""
        lost, self.in_flight_requests = self.in_flight_requests, collections.deque()
        for number, (_, request, _) in enumerate(lost):
            if number < stored:
                self._store(request)
        for _, _, future in lost:
            future.failure(KafkaConnectionError("lost"))


class Made:
    """The producer without its thread, and what it was given."""

    def __init__(self, partitions, *, idempotent, limit=1000, keep_refused=False):
        self.broker = Broker(partitions, limit)
        places = [TopicPartition(TOPIC, number) for number in range(partitions)]
        cluster = SimpleNamespace(
            leader_for_partition=lambda _: 0,
            partitions_for_broker=lambda _: set(places),
            request_update=lambda: None,
        )
        client = SimpleNamespace(
            cluster=cluster,
            _manager=SimpleNamespace(_conns={0: self.broker}),
            is_ready=lambda _: not self.broker.paused,
            connection_delay=lambda _: 0,
            maybe_connect=lambda *_, **__: None,
            send=lambda _, request, **__: self.broker.send_request(request),
            wakeup=lambda: None,
        )
        manager = None
        if idempotent:
            manager = TransactionManager(None, 60_000, 0, (2, 8), cluster)
            manager.set_producer_id_and_epoch(ProducerIdAndEpoch(7, 0))
        theirs = RecordAccumulator(retry_backoff_ms=0, transaction_manager=manager)
        sender = Sender(
            client, cluster, theirs, acks=-1, retries=1000, retry_backoff_ms=0, transaction_manager=manager
        )
        made = BatchProducer.__new__(BatchProducer)
        made._connections = SimpleNamespace(refusal=None)
        made._producer = SimpleNamespace(
            _accumulator=theirs, _sender=sender, config={"max_in_flight_requests_per_connection": 5}
        )
        made._lock, made._error, made._known_topics = threading.Lock(), None, {TOPIC}
        made._in_flight = made._retries = 0
        made._keep_refused, made._refused = keep_refused, []
        made._on_delivery = lambda *_: None
        made._install()
        self.producer, self.sender = made, sender
        self.encoder = SinkEncoder(partitions, include_headers=False)
        self.given = [[] for _ in range(partitions)]
        self.clock = time.time

    def send(self, partition, count):
        """One batch of `count` records."""
        first = len(self.given[partition])
        values = [b"%d" % number for number in range(first, first + count)]
        self.given[partition] += values
        rows = [(int(self.clock() * 1000), None, value, []) for value in values]
        self.encoder.append(block_from_rows(TOPIC, partition, rows))
        self.producer.send(TOPIC, self.encoder.take_ready(0))

    def run(self):
        """One turn of the sender."""
        self.sender._send_producer_data()

    def finish(self):
        """Answers everything; what the partitions hold in the end."""
        for _ in range(10_000):
            if not self.producer.in_flight:
                break
            self.run()
            self.broker.answer()
        assert not self.producer.in_flight
        self.producer.check()
        return [log.values for log in self.broker.logs]


PARTITIONS = 2
SENDS = st.tuples(st.just("send"), st.integers(0, PARTITIONS - 1), st.integers(1, 5))
FAILURES = st.sets(st.integers(0, PARTITIONS - 1), min_size=1)
actions = st.lists(
    st.one_of(
        SENDS,
        SENDS,
        st.tuples(st.just("run")),
        st.tuples(st.just("run")),
        st.tuples(st.just("answer")),
        st.tuples(st.just("answer"), FAILURES),
        st.tuples(st.just("answer"), st.just(()), FAILURES),
        st.tuples(st.just("lose"), st.integers(0, 5)),
    ),
    max_size=60,
)


def play(made, steps):
    for name, *arguments in steps:
        place = made.broker if name in ("answer", "lose") else made
        getattr(place, name)(*arguments)


@settings(max_examples=300)
@given(steps=actions)
def test_idempotent_batches_arrive_once_and_in_order(steps):
    made = Made(PARTITIONS, idempotent=True)
    play(made, steps)
    assert made.finish() == made.given


@settings(max_examples=300)
@given(steps=actions)
def test_batches_too_large_are_split_in_their_place(steps):
    made = Made(PARTITIONS, idempotent=True, limit=2)
    # A lost connection leaves open whether a batch is stored, and one that is too large is not.
    play(made, [step for step in steps if step[0] != "lose"])
    assert made.finish() == made.given


@settings(max_examples=300)
@given(steps=actions)
def test_records_that_are_refused_leave_no_gap(steps):
    """No record fits: all are refused, and none of the numbers is missing for those that follow."""
    made = Made(PARTITIONS, idempotent=True, limit=0, keep_refused=True)
    play(made, [step for step in steps if step[0] != "lose"])
    for _ in range(10_000):
        if not made.producer.in_flight:
            break
        made.run()
        made.broker.answer()
    made.producer.check()
    refused = collections.Counter(record.value for record in made.producer.take_refused())
    assert refused == collections.Counter(value for values in made.given for value in values)
    for log in made.broker.logs:
        log._limit = 1000
    made.send(0, 3)
    assert made.finish()[0] == made.given[0][-3:]


@settings(max_examples=300)
@given(steps=actions)
def test_without_idempotence_nothing_overtakes(steps):
    made = Made(PARTITIONS, idempotent=False)
    play(made, steps)
    for stored, given_ in zip(made.finish(), made.given, strict=True):
        first_time = list(dict.fromkeys(stored))
        assert first_time == given_


def known_made(**options):
    """A producer of which the broker has a batch in the only partition, as of a moment ago."""
    made = Made(1, idempotent=True, **options)
    made.send(0, 1)
    made.finish()
    return made


def test_five_batches_of_a_partition_are_on_their_way():
    made = known_made()
    for _ in range(8):
        made.send(0, 2)
    for _ in range(8):
        made.run()
    assert len(made.broker.in_flight_requests) == 5
    made = Made(1, idempotent=False)
    for _ in range(8):
        made.send(0, 2)
        made.run()
    assert len(made.broker.in_flight_requests) == 1


@pytest.mark.parametrize("stored", [0, 1, 2, 3])
def test_a_lost_connection_under_five_batches(stored):
    made = known_made()
    for _ in range(5):
        made.send(0, 3)
        made.run()
    assert len(made.broker.in_flight_requests) == 5
    made.broker.lose(stored)
    made.send(0, 3)
    assert made.finish() == made.given


@pytest.mark.parametrize("count", [2, 3])
def test_numbers_of_what_is_stored_are_not_given_out_again(count):
    """A batch that is stored, and comes again for an error, stands before others that are stored."""
    made = known_made()
    for size in (3, 2):
        made.send(0, size)
        made.run()
    made.broker.answer(appended_but={0})
    made.broker.answer()
    made.send(0, count)
    assert made.finish() == made.given


def test_one_batch_is_on_its_way_where_the_broker_may_take_any_number():
    made = Made(1, idempotent=True)
    for _ in range(3):
        made.send(0, 2)
        made.run()
    assert len(made.broker.in_flight_requests) == 1
    made.broker.answer()
    for _ in range(3):
        made.run()
    assert len(made.broker.in_flight_requests) == 2
    order = made.producer._accumulator.order
    made.finish()
    order._clock = lambda: time.time() + 3600
    for _ in range(3):
        made.send(0, 2)
        made.run()
    assert len(made.broker.in_flight_requests) == 1


def test_kafka_forgets_who_sends_old_records():
    made = known_made()
    made.clock = lambda: time.time() - 3600
    # The first one follows a record of now.
    for expected in (3, 1):
        for _ in range(3):
            made.send(0, 2)
            made.run()
        assert len(made.broker.in_flight_requests) == expected
        made.finish()


@settings(max_examples=300)
@given(steps=actions, bad=st.sets(st.integers(0, 60), min_size=1, max_size=3))
def test_records_around_those_that_are_refused_arrive_in_order(steps, bad):
    made = Made(PARTITIONS, idempotent=True, keep_refused=True)
    too_large = {b"%d" % number for number in bad}
    for log in made.broker.logs:
        log._too_large = too_large
    play(made, [step for step in steps if step[0] != "lose"])
    assert made.finish() == [[value for value in values if value not in too_large] for values in made.given]


def test_nothing_is_asked_for_while_a_former_leader_does_not_answer():
    made = known_made()
    made.send(0, 1)
    made.run()
    made.sender._client._manager._conns[1] = Broker(1, 1000)
    made.producer._accumulator.order.leader_of = made.sender._metadata.leader_for_partition = lambda _: 1
    made.send(0, 1)
    assert all(made.sender._send_producer_data() > 0 for _ in range(5))
    assert not made.sender._client._manager._conns[1].in_flight_requests
