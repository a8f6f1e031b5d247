"""Responses that arrive in pieces of any size come out as kafka-python itself would have decoded them."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import Fetcher
from kafka.errors import InvalidReceiveError, KafkaProtocolError
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslBytesRequest
from rivven_kafka.kafka.buffers import Buffers
from rivven_kafka.kafka.fetch_response import FETCH, NEWEST
from rivven_kafka.kafka.frames import Frames

Topic = FetchResponse.FetchableTopicResponse
Partition = Topic.PartitionData
Aborted = Partition.AbortedTransaction

offsets = st.integers(-1, 2**62)
# Smaller and larger than what is read straight into place, and than the stage.
sizes = st.one_of(
    st.integers(0, 40), st.sampled_from([8191, 8192, 8193, 65535, 65536, 65537, 200_000, 262_144])
)


@st.composite
def partitions(draw, version):
    made = Partition(
        version=version,
        partition_index=draw(st.integers(0, 2**31 - 1)),
        error_code=draw(st.sampled_from([0, 1, 6, 74])),
        high_watermark=draw(offsets),
        records=draw(st.one_of(st.none(), sizes.map(lambda size: (b"%d," % size * size)[:size]))),
    )
    if version >= 4:
        made.last_stable_offset = draw(offsets)
        made.aborted_transactions = draw(
            st.one_of(
                st.none(),
                st.lists(
                    st.builds(Aborted, version=st.just(version), producer_id=offsets, first_offset=offsets),
                    max_size=3,
                ),
            )
        )
    if version >= 5:
        made.log_start_offset = draw(offsets)
    if version >= 11:
        made.preferred_read_replica = draw(st.integers(-1, 5))
    if version >= 12 and draw(st.booleans()):
        made.current_leader = Partition.LeaderIdAndEpoch(version=version, leader_id=3, leader_epoch=300)
        made.diverging_epoch = Partition.EpochEndOffset(version=version, epoch=2, end_offset=draw(offsets))
        made.tags = {"current_leader", "diverging_epoch"}
    return made


@st.composite
def fetch_responses(draw, version):
    made = FetchResponse(
        version=version,
        responses=draw(
            st.lists(
                st.builds(
                    Topic,
                    version=st.just(version),
                    topic=st.text("abc-äß", max_size=150),
                    partitions=st.lists(partitions(version), max_size=3),
                ),
                max_size=2,
            )
        ),
    )
    if version >= 1:
        made.throttle_time_ms = draw(st.integers(0, 1000))
    if version >= 7:
        made.error_code, made.session_id = draw(st.sampled_from([0, 70])), draw(st.integers(0, 2**31 - 1))
    return made


def parser_for(*requests):
    """A parser that has sent `requests`, and so waits for as many responses."""
    parser = KafkaProtocol(client_id="test", receive_message_max_bytes=10_000_000)
    for request in requests:
        parser.send_request(request)
    return parser


def fetch_request(version):
    return FetchRequest(version=version, max_wait_ms=1, min_bytes=1, max_bytes=1, topics=[])


def framed(response, correlation_id):
    response.with_header(correlation_id=correlation_id)
    return response.encode(header=True, framed=True)


def arrive(frames, data, steps):
    """Lets `data` arrive in pieces of at most `steps` bytes, in turn; the responses in the end."""
    found, at, turn = [], 0, 0
    while at < len(data):
        room = frames.room()
        assert len(room) > 0
        count = min(len(room), steps[turn % len(steps)], len(data) - at)
        room[:count] = data[at : at + count]
        del room
        at, turn = at + count, turn + 1
        found += frames.responses(frames.received(count))
    return found


@given(
    data=st.data(),
    versions=st.lists(st.integers(0, NEWEST), min_size=1, max_size=3),
    steps=st.lists(
        st.one_of(st.integers(1, 30), st.sampled_from([5_000, 70_000, 10**6])), min_size=1, max_size=4
    ),
)
def test_fetch_responses_are_what_kafka_python_makes_of_them(data, versions, steps):
    requests = [fetch_request(version) for version in versions]
    wire = b"".join(
        framed(data.draw(fetch_responses(version)), number) for number, version in enumerate(versions, 1)
    )
    expected = parser_for(*[fetch_request(version) for version in versions]).receive_bytes(wire)
    parser = parser_for(*requests)
    found = arrive(Frames(parser, Buffers()), wire, steps)
    assert [correlation_id for correlation_id, _ in found] == [*range(1, len(versions) + 1)]
    assert [response.to_dict() for _, response in found] == [response.to_dict() for _, response in expected]
    assert not parser.in_flight_requests


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_other_responses_between_them_go_to_kafka_python_as_they_are(step):
    keys = [ApiVersionsResponse.ApiVersion(api_key=n, min_version=0, max_version=n) for n in range(2_000)]
    other = ApiVersionsResponse(version=2, error_code=0, api_keys=keys, throttle_time_ms=0)
    fetched = FetchResponse(version=11, throttle_time_ms=0, error_code=0, session_id=1, responses=[])
    parser = parser_for(
        SaslBytesRequest(b"secret"), ApiVersionsRequest(version=2), fetch_request(11), SaslBytesRequest(b"")
    )
    raw = b"\0\0\0\x05proof"
    wire = raw + framed(other, 2) + framed(fetched, 3) + b"\0\0\0\0"
    found = [response for _, response in arrive(Frames(parser, Buffers()), wire, [step])]
    assert [found[0].auth_bytes, found[3].auth_bytes] == [b"proof", b""]
    assert len(found[1].api_keys) == 2_000
    assert found[2].session_id == 1


def test_records_are_read_into_a_buffer_of_their_own_at_once():
    records = bytes(range(256)) * 4096
    response = FetchResponse(
        version=12,
        throttle_time_ms=0,
        error_code=0,
        session_id=0,
        responses=[Topic(version=12, topic="t", partitions=[Partition(version=12, records=records)])],
    )
    wire = framed(response, 1)
    frames = Frames(parser_for(fetch_request(12)), Buffers())
    assert frames.missing == 0
    room = frames.room()
    room[:] = wire[: len(room)]
    assert frames.received(len(room)) == []
    # All that is left of them fits into one read, and nothing else does.
    start = wire.index(records)
    assert frames.missing == len(frames.room()) == start + len(records) - len(room)


def test_large_fields_share_buffers_one_after_the_other():
    responses = []
    for number in range(4):
        partition = Partition(version=12, records=bytes([number]) * (300_000 - number))
        topic = Topic(version=12, topic="t", partitions=[partition])
        responses.append(
            FetchResponse(version=12, throttle_time_ms=0, error_code=0, session_id=0, responses=[topic])
        )
    frames = Frames(parser_for(*[fetch_request(12) for _ in responses]), Buffers())

    def read(number):
        [(_, response)] = arrive(frames, framed(responses[number], number + 1), [100_000])
        found = response.responses[0].partitions[0].records
        assert found == bytes([number]) * (300_000 - number)
        return found

    first = read(0)
    second = read(1)
    assert first == bytes(300_000)
    assert second.obj is not first.obj
    address = id(first.obj)
    del first
    third = read(2)
    assert id(third.obj) == address
    assert second == b"\1" * 299_999
    assert read(3).obj is not third.obj


@pytest.mark.parametrize("size", [-1, 10_000_001, 2**31 - 1])
def test_a_frame_of_an_impossible_size_is_refused(size):
    with pytest.raises(InvalidReceiveError, match="frame length"):
        arrive(Frames(parser_for(fetch_request(12)), Buffers()), size.to_bytes(4, "big", signed=True), [4])


@given(data=st.data(), version=st.integers(0, NEWEST))
def test_damage_is_an_error_or_another_response_but_takes_no_more_than_the_frame(data, version):
    wire = bytearray(framed(data.draw(fetch_responses(version)), 1))
    at = data.draw(st.integers(8, min(len(wire) - 1, 300)))
    wire[at] ^= data.draw(st.integers(1, 255))
    frames = Frames(parser_for(fetch_request(version)), Buffers())
    try:
        arrive(frames, bytes(wire), [data.draw(st.sampled_from([3, 1000, 10**6]))])
    except (KafkaProtocolError, UnicodeDecodeError):
        return
    # It never waits for bytes beyond its frame.
    assert frames.missing == 0


@pytest.mark.parametrize("version", [4, 11, 12])
def test_records_beyond_the_frame_are_refused_before_they_get_a_buffer(version):
    partition = Partition(version=version, records=b"x" * 10, aborted_transactions=[])
    topic = Topic(version=version, topic="t", partitions=[partition])
    wire = bytearray(framed(FetchResponse(version=version, responses=[topic]), 1))
    length = wire.rindex(b"x" * 10) - (1 if version == 12 else 4)
    wire[length : length + (1 if version == 12 else 4)] = (
        b"\x7f" if version == 12 else (2**31 - 1).to_bytes(4, "big")
    )
    with pytest.raises(KafkaProtocolError, match="not as long as it says"):
        arrive(Frames(parser_for(fetch_request(version)), Buffers()), bytes(wire), [10**6])


def test_a_length_of_too_many_bytes_is_refused():
    wire = b"\0\0\0\x14" + b"\0\0\0\x01" + b"\xff" * 16
    with pytest.raises(KafkaProtocolError, match="32 bits"):
        arrive(Frames(parser_for(fetch_request(12)), Buffers()), wire, [10**6])


# The seams.


def test_no_newer_response_is_asked_for_than_is_known_here():
    assert f"max_version = {NEWEST}\n" in inspect.getsource(Fetcher._create_fetch_requests)
    assert FetchRequest.API_KEY == FETCH
    assert fetch_request(12).API_VERSION == 12


def test_a_transport_reads_with_what_stands_in_its_place():
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        assert "call_soon(self._read_from_sock)" in inspect.getsource(transport.resume_reading)
        assert transport._read_from_sock is KafkaTCPTransport._read_from_sock
    assert inspect.iscoroutinefunction(KafkaTCPTransport._read_from_sock)
    source = inspect.getsource(KafkaTCPTransport)
    for name in ("_sock", "_read", "_closed", "_net", "_protocol", "last_read"):
        assert f"self.{name} =" in source
    assert list(inspect.signature(KafkaConnectionManager._build_transport).parameters) == [
        "self",
        "node",
        "timeout_at",
    ]
    assert "self._build_transport(node, timeout_at=timeout_at)" in inspect.getsource(
        KafkaConnectionManager._connect
    )
    # What is made here in the same way, with a limit of time for the handshake.
    built = inspect.getsource(KafkaConnectionManager._build_transport)
    for part in (
        "await create_connection(self._net, node.host, node.port,",
        "KafkaSSLTransport(self._net, sock, host=node.host, **ssl_configs)",
        "KafkaTCPTransport(self._net, sock, host=node.host)",
        "await transport.handshake()",
    ):
        assert part in built


def test_a_connection_has_what_arrived_parsed_by_its_own_parser():
    source = inspect.getsource(KafkaConnection.data_received)
    assert "responses = self.parser.receive_bytes(data)" in source
    made = inspect.getsource(KafkaConnection.connection_made)
    # Reading starts on the loop, so after the parser was made.
    assert made.index("resume_reading()") < made.index("self.parser = KafkaProtocol(")
    assert not inspect.iscoroutinefunction(KafkaConnection.connection_made)
