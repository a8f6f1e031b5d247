"""The integration tests that the documented Rust connector names, under their names."""

import json
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import TopicAlreadyExistsError
from rivven_kafka import KafkaSink, KafkaSource, SourceEvent
from rivven_kafka.errors import ConfigError, ConnectError, UnknownTopicError

from tests.integration.connector_kit import (
    NOW,
    QUICK,
    events,
    failure,
    filled,
    offsets,
    rows_of,
    sink,
    source,
    take,
    through_rivven,
)
from tests.integration.crash_writes import COUNT, PARTITIONS, arrivals, write_numbered, write_through_a_crash
from tests.integration.pipelines import Running, rivven_records
from tests.support import KafkaBroker
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.numbered import fill_rivven
from tests.support.segments import stored_batches
from tests.support.topics import (
    Row,
    TopicWriter,
    committed_offsets,
    create_topic,
    end_offsets,
    fill,
    read_topic,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

# Infrastructure


def test_kafka_container_starts(topic_name):
    name = topic_name()
    with KafkaBroker() as broker:
        pid, address = broker.pid, broker.bootstrap
        create_topic(address, name, 2)
        probe = source(broker, name, request_timeout_ms=1000)
        assert probe.check().ok
        broker.stop()
        assert not broker.running
        assert not probe.check().ok
        broker.restart()
        assert (broker.bootstrap, broker.pid != pid) == (address, True)
        assert probe.check().ok, "topics outlive a restart"
        pid = broker.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not broker.directory.exists()


def test_kafka_create_topic(kafka, topic_name):
    name = topic_name()
    reader, writer = source(kafka, name), sink(kafka, name)
    # Kafka makes topics up for clients that ask in the wrong way; nothing of ours may.
    for connector in (reader, writer):
        assert not connector.check().ok
    with pytest.raises(UnknownTopicError):
        reader.read()
    with writer, pytest.raises(UnknownTopicError):
        writer.write(events([b"v"]))
    assert name not in [found.name for found in reader.discover()]
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}}, wait_for_metadata=True)
        with pytest.raises(TopicAlreadyExistsError):
            admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}})
    assert reader.check().ok
    assert name in [found.name for found in reader.discover()]
    with writer:
        assert writer.write(events([b"v"], partition=2)).ok
    assert end_offsets(kafka.bootstrap, name) == {0: 0, 1: 0, 2: 1}


def test_kafka_produce_consume(kafka, rivven, topic_name):
    """Both ways of writing and both of reading, then once around through Rivven: all the same records."""
    theirs, ours, between, back = topic_name(), topic_name(), topic_name(), topic_name()
    for name in (theirs, ours, back):
        create_topic(kafka.bootstrap, name, 1)
    plain = [*rows_of(0, range(200)), Row(NOW, b"", b"", []), Row(NOW, "ключ".encode(), None, [("", b"x")])]
    # kafka-python reads null headers, but does not write them.
    rows = [*plain, Row(NOW, None, b"\xff\x00 bytes", [("a", b"1"), ("a", None), ("a", b"")])]
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap, metrics_enabled=False)) as producer:
        for row in plain:
            producer.send(theirs, row.value, row.key, row.headers, partition=0, timestamp_ms=row.timestamp)
        producer.flush()
    with sink(kafka, ours) as writer:
        made = [
            SourceEvent("t", r.value, key=r.key, headers=r.headers, timestamp_ms=r.timestamp) for r in rows
        ]
        assert writer.write(made).written == len(rows)
    through_rivven(kafka, rivven, ours, between, len(rows))
    options = {"value_format": "event", "include_headers": False}
    document = sink_file(kafka.bootstrap, rivven.bootstrap, between, back, f"g-{between}", **options)
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() == len(rows) or running.error, 30, running.describe)
    for name, expected in ((theirs, plain), (ours, rows), (back, rows)):
        assert read_topic(kafka.bootstrap, name) == {0: expected}, name
        with source(kafka, name, f"s-{name}").read() as stream:
            seen = take(stream, len(expected))
        assert [Row(e.timestamp_ms, e.key, e.value, list(e.headers)) for e in seen] == expected, name


# Source


def test_kafka_source_check(kafka, topic_name):
    name, missing = filled(kafka, topic_name(), 0, 0), topic_name()
    good = source(kafka, name).check()
    assert good.ok
    assert {"connectivity", "authentication", "topic", "authorization"} <= {
        check.name for check in good.checks
    }
    assert all(check.ok and check.duration_ms > 0 for check in good.checks)
    for found in (kafka.bootstrap, name):
        assert any(found in check.detail for check in good.checks)
    # One broker of the list is enough.
    assert KafkaSource(brokers=f"127.0.0.1:1,{kafka.bootstrap}", topic=name).check().ok
    assert missing in failure(source(kafka, missing).check())
    with pytest.raises(ConfigError, match="brokers"):
        KafkaSource(brokers="", topic=name)
    assert committed_offsets(kafka.bootstrap, f"g-{name}", name) == {0: 0, 1: 0}, "nothing was read"


def test_kafka_source_discover(kafka, topic_name):
    names = [filled(kafka, topic_name(), 0), filled(kafka, topic_name(), 5, 0, 1)]
    source(kafka, names[0]).read().close()  # Kafka makes its own topic for offsets now.
    found = [described.name for described in source(kafka, names[0]).discover()]
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        everything = admin.list_topics()
    assert any(name.startswith("__") for name in everything), "there is one to leave out"
    assert found == sorted(name for name in everything if not name.startswith("__"))
    assert set(names) <= set(found)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics([names[1]])
    wait_until(lambda: names[1] not in [x.name for x in source(kafka, names[0]).discover()], 20)


def test_kafka_source_read(kafka, rivven, topic_name):
    name, copy = filled(kafka, topic_name(), 30), topic_name()
    with source(kafka, name, enable_auto_commit=False).read() as stream:
        seen = take(stream, 30)
        fill(kafka.bootstrap, name, {0: rows_of(0, range(30, 40))})
        seen += take(stream, 10)
    assert [(e.topic, e.partition, e.offset) for e in seen] == [(name, 0, i) for i in range(40)]
    for number, event in enumerate(seen):
        assert event.data == {"n": number}
        assert (event.event_type, event.stream) == ("record", name)
        assert event.to_dict()["metadata"] == {
            "position": f"{name}:0:{number}",
            "kafka_partition": 0,
            "kafka_offset": number,
            "kafka_timestamp": NOW + number,
            "kafka_key": f"k{number}",
            "kafka_headers": {"p": "0"},
        }
    assert committed_offsets(kafka.bootstrap, f"g-{name}", name) == {0: 40}
    with source(kafka, name, f"b-{name}", include_key=False, include_headers=False).read() as stream:
        assert not {"kafka_key", "kafka_headers"} & set(next(stream).to_dict()["metadata"])
    records, counters = through_rivven(kafka, rivven, name, copy, 40)
    stored = [json.loads(value) for _, value in records[0]]
    for fields, event in zip(stored, seen, strict=True):
        expected = event.to_dict()
        assert fields.pop("timestamp") > expected.pop("timestamp"), "when it was read"
        assert fields == expected
    assert (counters.messages_consumed, counters.errors) == (40, 0)


def test_kafka_source_offset_modes(kafka, topic_name):
    name, number = filled(kafka, topic_name(), 10), 10
    for options in ({}, {"start_offset": "earliest"}):
        with source(kafka, name, f"{len(options)}-{name}", **options).read() as stream:
            assert offsets(take(stream, 10)) == list(range(10)), "earliest is the default"
    seen = []
    with (
        source(kafka, name, start_offset="latest").read() as stream,
        TopicWriter(kafka.bootstrap, name, 1) as writer,
    ):
        reader = threading.Thread(target=lambda: seen.extend(take(stream, 5)))
        reader.start()
        # The start is fixed by the first poll, which nobody sees from outside.
        while reader.is_alive():
            writer.write(0, rows_of(0, [number]))
            writer.flush()
            number += 1
            reader.join(0.05)
    first = seen[0].offset
    assert first >= 10, "what was there is not read, the newest record neither"
    assert offsets(seen) == list(range(first, first + 5))
    assert committed_offsets(kafka.bootstrap, f"g-{name}", name) == {0: first + 5}
    # A committed position comes before either mode.
    fill(kafka.bootstrap, name, {0: rows_of(0, range(number, number + 3))})
    for mode, group, expected in (("earliest", f"g-{name}", first + 5), ("latest", f"0-{name}", 10)):
        with source(kafka, name, group, start_offset=mode).read() as stream:
            assert next(stream).offset == expected
    with pytest.raises(ConfigError, match="start_offset: got 'newest': expected"):
        source(kafka, name, start_offset="newest")


def seconds_to_read(stream, count, found):
    """From the first record to the last: joining the group takes as long for everyone."""
    record = next(stream)
    start = time.perf_counter()
    for _ in range(count - 1):
        found[record.partition].append((record.offset, record.value))
        record = next(stream)
    found[record.partition].append((record.offset, record.value))
    return time.perf_counter() - start


def test_kafka_source_high_throughput(kafka, topic_name):
    partitions, count = 4, 25_000
    name = filled(kafka, topic_name(), *[count] * partitions)
    everything = [(number, row.value) for number, row in enumerate(rows_of(0, range(count)))]
    expected = dict.fromkeys(range(partitions), everything)
    ours, theirs = [], []
    for attempt in range(2):
        found = {partition: [] for partition in range(partitions)}
        with source(kafka, name, f"{attempt}-{name}").read() as stream:
            ours.append(seconds_to_read(stream, partitions * count, found))
        assert found == expected
        found = {partition: [] for partition in range(partitions)}
        options = {
            "group_id": f"t{attempt}-{name}",
            "auto_offset_reset": "earliest",
            "metrics_enabled": False,
        }
        with closing(KafkaConsumer(name, bootstrap_servers=kafka.bootstrap, **options)) as consumer:
            theirs.append(seconds_to_read(consumer, partitions * count, found))
        assert found == expected
    print(f"{partitions * count} records: KafkaSource {ours} s, kafka-python {theirs} s")
    assert min(ours) < min(theirs) / 2


def test_kafka_source_multiple_partitions(kafka, rivven, topic_name):
    counts = (120, 1, 0, 700, 33, 2)
    name, copy = filled(kafka, topic_name(), *counts), topic_name()
    with source(kafka, name, max_poll_records=50).read() as stream:
        seen = take(stream, sum(counts))
    for partition, count in enumerate(counts):
        assert offsets(seen, partition) == list(range(count))
    assert len(seen) == sum(counts)
    assert committed_offsets(kafka.bootstrap, f"g-{name}", name) == dict(enumerate(counts))
    records, _ = through_rivven(kafka, rivven, name, copy, sum(counts), value_format="raw")
    assert records == {
        p: [(row.key, row.value) for row in rows_of(p, range(n))] for p, n in enumerate(counts)
    }


def test_kafka_source_empty_topic(kafka, rivven, topic_name):
    name, copy = filled(kafka, topic_name(), 0, 0), topic_name()
    with source(kafka, name).read():
        pass
    assert committed_offsets(kafka.bootstrap, f"g-{name}", name) == {0: 0, 1: 0}
    document = source_file(kafka.bootstrap, rivven.bootstrap, name, copy, f"r-{name}", **QUICK)
    with Running(document) as running:

        def counters():
            return running.pipeline.metrics.snapshot()

        wait_until(lambda: counters().polls > 20 or running.error, 30, running.describe)
        idle = counters()
        assert (idle.messages_consumed, idle.errors, idle.empty_poll_rate()) == (0, 0, 1.0)
        assert (idle.min_batch_size, idle.max_batch_size, idle.avg_batch_size()) == (0, 0, 0.0)
        assert rivven_records(rivven.bootstrap, copy) == {0: [], 1: []}
        fill(kafka.bootstrap, name, {1: rows_of(1, range(3))} | {0: []})
        wait_until(lambda: running.pipeline.delivered() == 3 or running.error, 30, running.describe)
        assert counters().empty_poll_rate() < 1.0
    assert running.error is None
    assert committed_offsets(kafka.bootstrap, f"r-{name}", name) == {0: 0, 1: 3}
    with source(kafka, name).read() as stream:
        assert offsets(take(stream, 3), 1) == [0, 1, 2]


@pytest.fixture(params=["refuses", "is silent", "has no address"])
def nobody(request):
    """An address where no Kafka answers."""
    if request.param == "has no address":
        yield "kafka.invalid:9092"
        return
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        if request.param == "is silent":
            bound.listen()
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_kafka_source_invalid_broker(nobody):
    timeout_s = 1.0
    reader = KafkaSource(brokers=nobody, topic="t", request_timeout_ms=int(timeout_s * 1000))

    def error_of(call):
        with pytest.raises(ConnectError) as caught:
            call()
        assert caught.value.retriable
        return str(caught.value)

    for attempt in (
        lambda: failure(reader.check()),
        lambda: error_of(reader.discover),
        lambda: error_of(reader.read),
    ):
        start = time.monotonic()
        message = attempt()
        # What is left over is for a busy machine.
        assert time.monotonic() - start < timeout_s + 2
        assert nobody in message


def test_kafka_multiple_consumer_groups(kafka, topic_name):
    name = filled(kafka, topic_name(), 20, 10)
    groups = [f"{letter}-{name}" for letter in "abc"]
    with source(kafka, name, groups[0]).read() as first, source(kafka, name, groups[1]).read() as second:
        seen = {groups[0]: [], groups[1]: []}
        for _ in range(7):
            seen[groups[0]].append(next(first))
            seen[groups[1]] += take(second, 2)
    commits = {group: committed_offsets(kafka.bootstrap, group, name) for group in groups}
    assert [sum(commits[group].values()) for group in groups] == [7, 14, 0]
    # Each goes on where it was, whatever the others have read.
    for group in groups[:2]:
        with source(kafka, name, group).read() as stream:
            seen[group] += take(stream, 30 - len(seen[group]))
    with source(kafka, name, groups[2]).read() as stream:
        seen[groups[2]] = take(stream, 30)
    for group in groups:
        assert offsets(seen[group], 0) == list(range(20))
        assert offsets(seen[group], 1) == list(range(10))
        assert committed_offsets(kafka.bootstrap, group, name) == {0: 20, 1: 10}


# Sink


def test_kafka_sink_check(kafka, topic_name):
    name, missing = filled(kafka, topic_name(), 0, 0, 0), topic_name()
    good = sink(kafka, name).check()
    assert good.ok
    assert {"connectivity", "authentication", "topic", "authorization"} <= {
        check.name for check in good.checks
    }
    for found in (kafka.bootstrap, name):
        assert any(found in check.detail for check in good.checks)
    assert missing in failure(sink(kafka, missing).check())
    nowhere = KafkaSink(brokers="127.0.0.1:1", topic=name, request_timeout_ms=1000)
    assert "127.0.0.1:1" in failure(nowhere.check())
    with pytest.raises(ConfigError, match="acks: got 'most'"):
        sink(kafka, name, acks="most")
    assert end_offsets(kafka.bootstrap, name) == {0: 0, 1: 0, 2: 0}, "nothing was written"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kafka_sink_compression(kafka, topic_name, codec):
    name = filled(kafka, topic_name(), 0)
    values = [b'{"n": %d, "filler": "%s"}' % (number, b"x" * 200) for number in range(2_000)]
    plain = sum(map(len, values))
    with sink(kafka, name, compression=codec, batch_size_bytes=65_536) as writer:
        result = writer.write(events(values, key=b"k", headers=[("h", b"1")]))
    assert (result.written, result.errors) == (len(values), ())
    batches = stored_batches(kafka, name)
    assert {batch.codec for batch in batches} == {codec}
    assert sum(batch.record_count for batch in batches) == len(values)
    stored = sum(batch.size_bytes for batch in batches)
    assert stored == result.bytes, "Kafka keeps the batches as they came"
    assert (stored < plain / 4) is (codec != "none")
    # kafka-python checks the checksums and decompresses with libraries of its own.
    rows = read_topic(kafka.bootstrap, name)[0]
    assert rows == [Row(NOW, b"k", value, [("h", b"1")]) for value in values]
    with source(kafka, name).read() as stream:
        assert [event.value for event in take(stream, len(values))] == values


def test_kafka_sink_custom_headers(kafka, rivven, topic_name):
    custom = {"source": "rivven", "environment": "production", "ключ": "значение", "empty": ""}
    added = [(name, value.encode()) for name, value in custom.items()]
    name, own = filled(kafka, topic_name(), 0), [("source", b"own"), ("null", None)]
    with sink(kafka, name, custom_headers=custom, compression="lz4", batch_size_bytes=2_000) as writer:
        assert writer.write(events([b"%d" % i for i in range(500)], headers=own)).ok
    assert len(stored_batches(kafka, name)) > 1
    rows = read_topic(kafka.bootstrap, name)[0]
    assert len(rows) == 500
    assert all(row.headers == [*own, *added] for row in rows), "in every record, and beside those it has"
    # What Rivven knows of a record comes after them.
    origin, copy = topic_name(), filled(kafka, topic_name(), 0)
    fill_rivven(rivven.bootstrap, origin, 1, 10)
    document = sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        custom_headers=custom,
        include_headers=True,
    )
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() == 10 or running.error, 30, running.describe)
    assert running.error is None
    for number, row in enumerate(read_topic(kafka.bootstrap, copy)[0]):
        assert row.headers == [
            *added,
            ("rivven_stream", origin.encode()),
            ("rivven_event_type", b"record"),
            ("rivven_position", f"{origin}:0:{number}".encode()),
        ]


def test_kafka_sink_idempotent(proxied, topic_name):
    """Answers get lost after Kafka has stored the records, and Kafka itself is killed at such a moment."""
    plain, once, killed = topic_name(), topic_name(), topic_name()
    for name in (plain, once, killed):
        create_topic(proxied.bootstrap, name, PARTITIONS)
    proxied.proxy.loses = lambda number: number % 10 == 5
    write_numbered(proxied, plain, idempotent=False)
    assert arrivals(proxied, plain).duplicates > 0, "so that the rest of the test means something"
    assert {b.producer_id for p in range(PARTITIONS) for b in stored_batches(proxied, plain, p)} == {-1}

    write_numbered(proxied, once)
    arrivals(proxied, once).check(most_duplicates=0)
    write_through_a_crash(proxied, killed)
    arrivals(proxied, killed).check(most_duplicates=0)
    for name in (once, killed):
        for partition in range(PARTITIONS):
            batches = stored_batches(proxied, name, partition)
            [(producer_id, epoch)] = {(batch.producer_id, batch.producer_epoch) for batch in batches}
            assert producer_id >= 0
            assert epoch >= 0
            # Without a gap or a repetition, sequence numbers and offsets count the same.
            assert [batch.base_sequence for batch in batches] == [batch.base_offset for batch in batches]
            assert sum(batch.record_count for batch in batches) == COUNT
            assert not any(batch.transactional for batch in batches)


# Batches


def test_kafka_batch_consumption(kafka, rivven, topic_name):
    name, copy, count = filled(kafka, topic_name(), 0), topic_name(), 0
    for size, codec in ((1, "none"), (2_000, "lz4"), (200_000, "zstd"), (1, "gzip"), (60_000, "snappy")):
        with TopicWriter(kafka.bootstrap, name, 1, compression=codec, batch_size_bytes=size) as writer:
            writer.write(0, rows_of(0, range(count, count + 300)))
            count += 300
    written = {batch.record_count for batch in stored_batches(kafka, name)}
    assert min(written) == 1
    assert max(written) == 300
    for limit in (1, 7, 299, 500, 100_000):
        found, largest = [], 0
        with source(kafka, name, f"{limit}-{name}", max_poll_records=limit).read() as stream:
            while len(found) < count:
                block = stream.next_block()
                largest = max(largest, len(block))
                found += block.offsets()
        assert found == list(range(count))
        assert largest <= limit
        assert largest == limit or limit > 300
        assert committed_offsets(kafka.bootstrap, f"{limit}-{name}", name)[0] in (count - len(block), count)
    options = {"max_poll_records": 7, "max_batch_records": 3, "value_format": "raw"}
    records, counters = through_rivven(kafka, rivven, name, copy, count, **options)
    assert records[0] == [(row.key, row.value) for row in rows_of(0, range(count))]
    assert (counters.messages_consumed, counters.max_batch_size) == (count, 7)
    assert 1 <= counters.min_batch_size <= counters.avg_batch_size() <= 7
