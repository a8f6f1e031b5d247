"""The short way of the sender: its bytes against kafka-python's, and what it leaves to kafka-python."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.net.connection import KafkaConnection
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.producer.sender import Sender
from kafka.protocol.broker_version_data import BrokerVersionData
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.producer import ProduceRequest, ProduceResponse
from rivven_kafka._native import SinkEncoder, all_batches_stored, block_from_rows, produce_request
from rivven_kafka.kafka.accumulator import Batch
from rivven_kafka.kafka.sending import _VERSION, _Answer, _Request

Topic = ProduceRequest.TopicProduceData
Answered = ProduceResponse.TopicProduceResponse
names = st.text(min_size=1, max_size=300).filter(lambda name: len(name.encode()) < 2**15)
states = st.tuples(st.integers(-1, 2**63 - 1), st.integers(-1, 2**15 - 1), st.integers(-1, 2**31 - 1))


def sealed(partition, size):
    encoder = SinkEncoder(partition + 1, include_headers=False, batch_size_bytes=1 << 20)
    encoder.append(block_from_rows("topic", partition, [(1_700_000_000_000, b"key", b"v" * size, [])]))
    [batch] = encoder.take_ready(0)
    return batch


@given(
    correlation_id=st.integers(0, 2**31 - 1),
    client_id=st.none() | names,
    transactional_id=st.none() | names,
    acks=st.sampled_from([-1, 1]),
    topics=st.dictionaries(
        names, st.dictionaries(st.integers(0, 5), st.integers(0, 40_000), min_size=1), min_size=1, max_size=3
    ),
    state=states,
)
def test_a_request_is_the_one_of_kafka_python(
    correlation_id, client_id, transactional_id, acks, topics, state
):
    batches = [
        (topic, partition, sealed(partition, size))
        for topic, partitions in topics.items()
        for partition, size in partitions.items()
    ]
    theirs = ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=30_000,
        topic_data=[
            Topic(
                name=topic,
                partition_data=[
                    Topic.PartitionProduceData(
                        index=partition, records=batch.build(*state, transactional_id is not None)
                    )
                    for name, partition, batch in batches
                    if name == topic
                ],
            )
            for topic in topics
        ],
        max_version=_VERSION,
    )
    theirs.API_VERSION = _VERSION
    theirs.with_header(correlation_id=correlation_id, client_id=client_id)
    entries = [(*place, *state) for place in batches]
    ours = produce_request(correlation_id, client_id, transactional_id, acks, 30_000, entries)
    assert ours == theirs.encode(framed=True, header=True)


def answer(parts, throttle_ms=0, **fields):
    """An answer without its header."""
    topics = [
        Answered(
            name=topic,
            partition_responses=[
                Answered.PartitionProduceResponse(
                    index=partition,
                    error_code=error,
                    base_offset=offset,
                    log_append_time_ms=-1,
                    log_start_offset=0,
                    record_errors=fields.get("record_errors", []),
                    error_message=fields.get("message"),
                )
                for name, partition, offset, error in parts
                if name == topic
            ],
        )
        for topic in dict.fromkeys(part[0] for part in parts)
    ]
    return bytes(ProduceResponse(responses=topics, throttle_time_ms=throttle_ms).encode(version=_VERSION))


@given(
    parts=st.lists(
        st.tuples(names, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)),
        unique_by=lambda part: part[:2],
    )
)
def test_an_ordinary_answer_is_read(parts):
    found = all_batches_stored(answer([(*part, 0) for part in parts]))
    assert found is not None
    assert sorted(found) == sorted(parts)


@pytest.mark.parametrize(
    "data",
    [
        answer([("topic", 0, 5, 0), ("topic", 1, -1, 6)]),
        answer([("topic", 0, 5, 0)], throttle_ms=1),
        answer([("topic", 0, 5, 0)], message="something"),
        answer([("topic", 0, 5, 0)])[:-1],
        answer([("topic", 0, 5, 0)]) + b"\0",
        b"",
        b"\xff" * 40,
    ],
)
def test_any_other_answer_is_left_to_kafka_python(data):
    assert all_batches_stored(data) is None


@given(data=st.binary(max_size=60))
def test_no_answer_does_harm(data):
    found = all_batches_stored(data)
    assert found is None or isinstance(found, list)


def request(protocol):
    batch = Batch(TopicPartition("topic", 0), sealed(0, 10), lambda *_: None)
    batch.records.close()
    made = _Request(None, -1, 30_000, [batch])
    return made, protocol.send_request(made)


def test_the_protocol_of_a_connection_takes_requests_and_answers():
    protocol = KafkaProtocol(client_id="client")
    made, correlation_id = request(protocol)
    assert protocol.send_bytes()[8:12] == correlation_id.to_bytes(4, "big")
    assert made.header.correlation_id == correlation_id
    for body in (answer([("topic", 0, 7, 0)]), answer([("topic", 0, -1, 6)])):
        made, correlation_id = request(protocol)
        protocol.in_flight_requests.clear()
        protocol.in_flight_requests.append(made.header)
        frame = correlation_id.to_bytes(4, "big") + b"\0" + body
        [(answered, response)] = protocol.receive_bytes(len(frame).to_bytes(4, "big") + frame)
        assert answered == correlation_id
        if isinstance(response, list):
            assert response == [("topic", 0, 7)]
        else:
            [topic] = response.responses
            assert (topic.name, topic.partition_responses[0].error_code) == ("topic", 6)


def test_the_header_of_an_answer():
    data = KafkaBytes(6)
    data.write((7).to_bytes(4, "big") + b"\0x")
    data.seek(0)
    assert _Answer.parse_header(data).correlation_id == 7
    assert data.read() == b"x"


def test_the_sender_and_the_connection_have_what_the_short_way_uses():
    source = inspect.getsource(Sender)
    assert "poll_timeout_ms = self._send_producer_data()" in source
    assert "max_version = 9" in source, "the version that the native code writes"
    assert "queue = self._in_flight_batches[batch.topic_partition]" in source
    assert list(inspect.signature(Sender._failed_produce).parameters) == [
        "self",
        "batches",
        "node_id",
        "error",
    ]
    assert list(inspect.signature(Sender._handle_produce_response).parameters)[1:] == [
        "node_id",
        "send_time",
        "batches",
        "response",
    ]
    stored = inspect.getsource(Sender._complete_batch)
    stored = stored[stored.index("if error_code == 0:\n            # Success path") :][:1100]
    for step in (
        "batch.complete(base_offset",
        "_maybe_remove_from_inflight_batches(batch)",
        "deallocate(batch)",
        "update_last_acked_offset",
        "muted.discard(batch.topic_partition)",
    ):
        assert step in stored
    connection = inspect.getsource(KafkaConnection)
    for part in ("self.parser.send_request(request)", "self.paused", "self.connected", "self.transport"):
        assert part in connection
    assert "max_version" in inspect.signature(BrokerVersionData.api_version).parameters
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        sending = inspect.getsource(transport._sock_send)
        assert "while self._write_buffer:" in sending
        assert "return total_bytes, " in sending
    # The task that a write schedules ends at once where there is nothing left.
    assert "while self._write_buffer:" in inspect.getsource(KafkaTCPTransport._write_to_sock)
