"""Answers are decoded as kafka-python decodes them, and what is wrong with one is an error at little cost."""

import inspect
import struct
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorrelationIdError, KafkaProtocolError
from kafka.protocol.api_header import ResponseClassRegistry
from kafka.protocol.consumer import JoinGroupRequest, JoinGroupResponse
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.metadata import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    MetadataRequest,
    MetadataResponse,
)
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.producer import ProduceResponse
from kafka.protocol.sasl import SaslBytesRequest
from rivven_kafka.kafka.answers import decode

MOST = 8_000_000
Broker = MetadataResponse.MetadataResponseBroker
Topic = MetadataResponse.MetadataResponseTopic
Partition = Topic.MetadataResponsePartition

texts = st.text(max_size=20)
numbers = st.integers(-(2**31), 2**31 - 1)
nodes = st.lists(st.integers(0, 5), max_size=3)


@st.composite
def metadata(draw, version):
    partitions = st.builds(
        Partition,
        version=st.just(version),
        error_code=st.integers(0, 9),
        partition_index=numbers,
        leader_id=numbers,
        leader_epoch=numbers,
        replica_nodes=nodes,
        isr_nodes=nodes,
        offline_replicas=nodes,
    )
    topics = st.builds(
        Topic,
        version=st.just(version),
        error_code=st.integers(0, 9),
        name=texts,
        topic_id=st.none() | st.uuids(),
        is_internal=st.booleans(),
        partitions=st.lists(partitions, max_size=3),
    )
    brokers = st.builds(
        Broker, version=st.just(version), node_id=numbers, host=texts, port=numbers, rack=st.none() | texts
    )
    return MetadataResponse(
        version=version,
        throttle_time_ms=0,
        brokers=draw(st.lists(brokers, max_size=3)),
        cluster_id=draw(st.none() | texts),
        controller_id=draw(numbers),
        topics=draw(st.lists(topics, max_size=3)),
    )


def expecting(request):
    parser = KafkaProtocol(client_id="test")
    parser.send_request(request)
    return parser


def body_of(data):
    body = KafkaBytes(0)
    body[:] = data
    return body


def wire(response, correlation_id=1):
    response.with_header(correlation_id=correlation_id)
    return bytes(response.encode(header=True))


def read(request, data, most=MOST):
    correlation_id, response = decode(expecting(request), body_of(data), most)
    assert correlation_id == 1
    return response


def refusal(data, request=None, most=MOST):
    with pytest.raises(KafkaProtocolError) as caught:
        read(request or MetadataRequest(version=12, topics=[]), data, most)
    return str(caught.value)


def by_kafka_python(request, data):
    [(_, response)] = expecting(request).receive_bytes(struct.pack(">i", len(data)) + data)
    return response


@given(data=st.data(), version=st.integers(0, MetadataResponse.max_version))
def test_metadata_are_what_kafka_python_makes_of_them(data, version):
    request = MetadataRequest(version=version, topics=[])
    encoded = wire(data.draw(metadata(version)))
    found, expected = read(request, encoded), by_kafka_python(request, encoded)
    assert found.to_dict(meta="all") == expected.to_dict(meta="all")
    assert type(found) is type(expected)
    assert type(found.brokers) is list


@pytest.mark.parametrize("api", sorted(ResponseClassRegistry._response_class_registry))
def test_every_answer_that_kafka_python_knows_can_be_read(api):
    """Empty ones: that a decoder can be made for each version is what matters."""
    kind = ResponseClassRegistry._response_class_registry[api]
    for version in range(kind.max_version + 1):
        made = kind[None](version=version)
        try:
            encoded = wire(made)
        except (TypeError, ValueError, AttributeError, struct.error):
            continue  # no default for a field
        header = KafkaProtocol(client_id="t")
        request = type("Header", (), {})()
        request.correlation_id, request.request_api_key, request.request_api_version = 1, api, version
        request.get_response_class = lambda kind=kind, version=version: kind[version]
        header.in_flight_requests.append(request)
        _, found = decode(header, body_of(encoded), MOST)
        assert found.to_dict() == kind[version].decode(encoded, header=True).to_dict()


def test_an_answer_of_the_first_version_says_that_another_is_not_known():
    error = ApiVersionsResponse(
        version=0,
        error_code=35,
        api_keys=[ApiVersionsResponse.ApiVersion(version=0, api_key=18, max_version=2)],
    )
    found = read(ApiVersionsRequest(version=3), wire(error))
    assert (found.error_code, found.api_keys[0].max_version) == (35, 2)
    fine = ApiVersionsResponse(version=3, error_code=0, api_keys=[], throttle_time_ms=7)
    assert read(ApiVersionsRequest(version=3), wire(fine)).throttle_time_ms == 7


def test_raw_sasl_is_bytes():
    assert read(SaslBytesRequest(b"question"), b"answer").auth_bytes == b"answer"


def test_another_id_is_refused_but_for_an_old_quirk():
    request = MetadataRequest(version=12, topics=[])
    empty = MetadataResponse(version=12, brokers=[], topics=[])
    with pytest.raises(CorrelationIdError, match="answer 5 came to request 1"):
        read(request, wire(empty, 5))
    with pytest.raises(CorrelationIdError, match="nothing had been asked"):
        decode(KafkaProtocol(client_id="test"), body_of(wire(empty)), MOST)
    old = FindCoordinatorResponse(version=0, error_code=0, node_id=3, host="h", port=1)
    assert read(FindCoordinatorRequest(version=0, key="g"), wire(old, 0)).node_id == 3


@given(data=st.data(), version=st.integers(0, MetadataResponse.max_version))
def test_whatever_is_damaged_is_an_error_of_the_protocol(data, version):
    encoded = bytearray(wire(data.draw(metadata(version))))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(4, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    request = MetadataRequest(version=version, topics=[])
    try:
        found = read(request, bytes(encoded[: data.draw(st.integers(4, len(encoded)))]))
    except KafkaProtocolError:
        return
    # What kafka-python goes through without looking.
    for topic in found.topics:
        assert isinstance(topic.partitions, list)
    for broker in found.brokers:
        assert isinstance(broker.host, str)


def test_null_where_nothing_may_be_null_is_empty():
    head = b"\0\0\0\1\0" + bytes(4)
    # No brokers, no cluster id, a controller, and one topic whose partitions are null.
    topic = b"\0\0" + b"\2t" + bytes(16) + b"\0" + b"\0" + b"\x80\0\0\0" + b"\0"
    found = read(
        MetadataRequest(version=12, topics=[]), head + b"\0" + b"\0" + b"\0\0\0\1" + b"\2" + topic + b"\0"
    )
    assert (found.brokers, found.cluster_id, found.topics[0].partitions) == ([], None, [])
    member = read(
        JoinGroupRequest(version=9),
        b"\0\0\0\1\0" + bytes(10) + b"\0\0" + b"\0" + b"\0" + b"\0" + b"\0" + b"\0",
    )
    assert (member.leader, member.members, member.protocol_name) == ("", [], None)
    assert isinstance(member, JoinGroupResponse)


HEAD = b"\0\0\0\1\0" + bytes(4)
BROKER = bytes(4) + b"\1" + bytes(4) + b"\0"


def count(items):
    left, out = items + 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes(out) + bytes([left])


@pytest.mark.symptom('"An answer without records", or "made of more than ... parts".')
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEAD + count(2**31 - 1), "it claims a list of 2147483647 items in 0 bytes"),
        (HEAD + count(3) + BROKER + b"\0", "its bytes make no sense"),
        (HEAD + count(1) + bytes(4) + count(100) + b"host", "its bytes make no sense"),
        (HEAD + b"\xff" * 100_000, "it holds a number of more than 32 bits"),
        (
            HEAD + count(1) + bytes(4) + b"\3\xff\xfe" + bytes(5),
            "its bytes make no sense (UnicodeDecodeError)",
        ),
        (b"\0\0", "its bytes make no sense"),
        (b"\0\0\0\1" + b"\xff\xff\xff\xff\x0f" * 100, "its bytes make no sense"),
        (HEAD + count(30_000) + (BROKER + b"\0") * 30_000, "it is made of more than 20000 parts"),
        (HEAD + count(10_000) + (BROKER + b"\1\5\0") * 10_000, "it is made of more than 20000 parts"),
    ],
)
def test_lies_cost_little(data, said):
    begin = time.process_time()
    tracemalloc.start()
    try:
        text = refusal(data, most=800_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said in text
    assert f"cannot read a MetadataResponse of {len(data)} bytes: " in text
    assert peak < 12_000_000
    assert time.process_time() - begin < 10


def test_tagged_fields_are_read_where_they_stand():
    tagged = BROKER + b"\2\5\3abc\x86\1\0"
    data = HEAD + count(2) + tagged + BROKER + b"\0" + b"\0" + bytes(4) + b"\1" + b"\0"
    request = MetadataRequest(version=12, topics=[])
    found, expected = read(request, data), by_kafka_python(request, data)
    assert found.brokers[0].unknown_tags == {"_5": b"abc", "_134": b""}
    assert expected.brokers[0].unknown_tags == found.brokers[0].unknown_tags
    assert found.to_dict() == expected.to_dict()


def test_the_limit_of_parts_follows_that_of_bytes():
    data = HEAD + count(1_000) + (BROKER + b"\0") * 1_000 + b"\0" + bytes(4) + b"\1" + b"\0"
    request = MetadataRequest(version=12, topics=[])
    assert len(read(request, data, most=41_000).brokers) == 1_000
    assert "receive_message_max_bytes allows more" in refusal(data, most=39_000)


def test_no_byte_of_an_answer_is_logged(caplog):
    refusal(HEAD + count(1) + bytes(4) + count(100) + b"secret")
    assert caplog.text == ""


# The seams.


def test_the_lines_that_are_completed_are_those_that_kafka_python_writes():
    source = inspect.getsource(inspect.getmodule(type(MetadataResponse._struct)))
    assert "'%s = object.__new__(%s)' % (var_name, dc_var)" in source
    assert "'%s = _BytesIO(bytes(data[pos:]))' % bio_var" in source
    assert "'%s.%s = %s' % (var_name, field.name, v)" in source
    read(MetadataRequest(version=12, topics=[]), wire(MetadataResponse(version=12, brokers=[], topics=[])))
    assert "_process_response(self._rbuffer)" in inspect.getsource(KafkaProtocol.receive_bytes)
    assert ProduceResponse.max_version >= 9
