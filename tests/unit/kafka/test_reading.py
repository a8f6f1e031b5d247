"""Reading from a socket: no byte is left where nothing would wake the loop, and none is copied twice."""

import ssl
import tracemalloc
from types import SimpleNamespace

from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.parser import KafkaProtocol
from rivven_kafka.kafka import reading
from rivven_kafka.kafka.buffers import Buffers
from rivven_kafka.kafka.frames import Frames
from rivven_kafka.kafka.reading import _Reading

Topic = FetchResponse.FetchableTopicResponse
Partition = Topic.PartitionData


class TlsRecords:
    """A socket under TLS: a record is decrypted as a whole, and read in as many pieces as the reader likes."""

    def __init__(self, *records):
        self.records = list(records)
        self.rest = memoryview(b"")

    def pending(self):
        return len(self.rest)

    def recv_into(self, room):
        if not self.rest:
            if not self.records:
                raise ssl.SSLWantReadError
            self.rest = memoryview(self.records.pop(0))
        count = min(len(room), len(self.rest))
        room[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count


def answer(size):
    response = FetchResponse(
        version=12,
        throttle_time_ms=0,
        error_code=0,
        session_id=0,
        responses=[Topic(version=12, topic="t", partitions=[Partition(version=12, records=b"r" * size)])],
    )
    response.with_header(correlation_id=1)
    return response.encode(header=True, framed=True)


def frames():
    parser = KafkaProtocol(client_id="test", receive_message_max_bytes=100_000_000)
    parser.send_request(FetchRequest(version=12, max_wait_ms=1, min_bytes=1, max_bytes=1, topics=[]))
    return Frames(parser, Buffers())


def reader(sock):
    return _Reading(SimpleNamespace(_sock=sock), Buffers())


def test_what_tls_has_decrypted_is_read_before_the_loop_goes_to_sleep(monkeypatch):
    wire = answer(12_000)
    monkeypatch.setattr(reading, "_TURN_BYTES", wire.rindex(b"r") + 1)
    # The last record holds the end of the large field, where the turn is over, and what follows it.
    sock = TlsRecords(wire[:300], wire[300:])
    bodies, error = reader(sock)._receive(frames())
    assert (len(bodies), error, sock.pending()) == (1, None, 0)


def test_a_large_field_is_not_copied():
    size = 8 << 20
    wire = answer(size)
    sock, into = TlsRecords(wire[:300], wire[300:]), frames()
    tracemalloc.start()
    try:
        bodies, error = reader(sock)._receive(into)
        if not bodies:
            bodies, error = reader(sock)._receive(into)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(bodies), error) == (1, None)
    assert peak < size * 1.5
