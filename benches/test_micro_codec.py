"""Record batches, decoded and encoded, against the Python of kafka-python and the Cython of aiokafka."""

import zlib

import cramjam
import kafka.record.default_records
import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard
from aiokafka.record import default_records as aiokafka_records
from aiokafka.record.util import calc_crc32c as checksum_in_c
from rivven_kafka._native import BatchBuilder, BatchReader, SinkEncoder, block_from_rows

from benches.micro import Call, compare, rows

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
SIZES = {"about 16 KiB": 95, "about 160 KiB": 1000}
HEADER = 61
UNLIMITED = 1 << 30
NO_PRODUCER = (-1, -1, -1)


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


@pytest.fixture(params=CODECS)
def codec(request):
    return request.param


def with_c_checksum(call):
    """kafka-python computes CRC-32C in Python unless a C extension is installed: this is with one."""
    module = kafka.record.default_records
    in_python = module.calc_crc32c

    def patched():
        module.calc_crc32c = checksum_in_c
        try:
            return call()
        finally:
            module.calc_crc32c = in_python

    return patched


def encoded(codec, records):
    builder = BatchBuilder(codec)
    for record in records:
        builder.append(*record)
    return builder.build()


def snappy_blocks(payload):
    """The raw blocks within the framing of the Java library."""
    at, blocks = 16, []
    while at < len(payload):
        length = int.from_bytes(payload[at : at + 4], "big")
        blocks.append(payload[at + 4 : at + 4 + length])
        at += 4 + length
    return blocks


def library_alone(codec, payload, plain):
    """Decompressing `payload` and compressing `plain` with nothing around it, by name; empty without a codec.

    There is no other Snappy than the one that we use as well.
    """
    if codec == "none":
        return {}, {}
    blocks = snappy_blocks(payload) if codec == "snappy" else []
    chunks = [plain[at : at + 32 * 1024] for at in range(0, len(plain), 32 * 1024)]
    reader, writer = zstandard.ZstdDecompressor(), zstandard.ZstdCompressor(level=3)
    libraries: dict[str, tuple[str, Call, Call]] = {
        "gzip": (
            "zlib alone",
            lambda: zlib.decompress(payload, 31),
            lambda: zlib.compress(plain, 6, 31),
        ),
        "snappy": (
            "the snap library alone",
            lambda: [cramjam.snappy.decompress_raw(block) for block in blocks],
            lambda: [cramjam.snappy.compress_raw(chunk) for chunk in chunks],
        ),
        "lz4": (
            "liblz4 alone",
            lambda: lz4.frame.decompress(payload),
            lambda: lz4.frame.compress(plain, block_linked=False),
        ),
        "zstd": (
            "libzstd alone",
            lambda: reader.decompress(payload),
            lambda: writer.compress(plain),
        ),
    }
    name, unpack, pack = libraries[codec]
    return {name: unpack}, {name: pack}


def test_decode(benchmark, scale, codec, size):
    records = rows(SIZES[size])
    count = len(records)
    batch, plain = encoded(codec, records), encoded("none", records)

    def block():
        return BatchReader("t", 0, batch, 0).next_block(count, UNLIMITED)

    def columns():
        read = block()
        return read.offsets(), read.timestamps(), read.keys(), read.values(), read.headers()

    def checked(batch_class):
        def read():
            batch_of = batch_class(batch)
            assert batch_of.validate_crc()
            return list(batch_of)

        return read

    kafka_python = checked(kafka.record.default_records.DefaultRecordBatch)
    candidates = {
        "kafka-python": kafka_python,
        "kafka-python with a C checksum": with_c_checksum(kafka_python),
        "aiokafka": checked(aiokafka_records.DefaultRecordBatch),
        **library_alone(codec, batch[HEADER:], plain[HEADER:])[0],
        "a block, and all fields of its records as Python objects": columns,
        "a block": block,
    }
    expected = [(key, value, headers) for _, key, value, headers in records]
    _, _, keys, values, headers = columns()
    assert list(zip(keys, values, headers, strict=True)) == expected
    for name in ("kafka-python", "aiokafka"):
        assert [(each.key, each.value, each.headers) for each in candidates[name]()] == expected
    targets = {("a block", "kafka-python"): 20, ("a block", "aiokafka"): 4}
    title = f"decode, {codec}, {size}"
    compare(benchmark, scale, "record batch", title, candidates, per_call=count, at_least=targets)


def test_encode(benchmark, scale, codec, size):
    records = rows(SIZES[size])
    count = len(records)
    block = block_from_rows("t", 0, records)
    number = CODECS.index(codec)
    plain = encoded("none", records)

    def peer(builder_class):
        def write():
            builder = builder_class(2, number, 0, *NO_PRODUCER, UNLIMITED)
            for offset, (timestamp, key, value, headers) in enumerate(records):
                builder.append(offset, timestamp, key, value, headers)
            return bytes(builder.build())

        return write

    # One encoder for all calls, as a sink has.
    encoder = SinkEncoder(1, include_headers=False, compression=codec, batch_size_bytes=UNLIMITED)

    def from_block(records_of=block):
        encoder.append(records_of)
        (batch,) = encoder.take_ready(0)
        built = batch.build(*NO_PRODUCER, False)
        batch.acknowledge()
        encoder.forget("t", 0)
        return built

    kafka_python = peer(kafka.record.default_records.DefaultRecordBatchBuilder)
    candidates = {
        "kafka-python": kafka_python,
        "kafka-python with a C checksum": with_c_checksum(kafka_python),
        "aiokafka": peer(aiokafka_records.DefaultRecordBatchBuilder),
        **library_alone(codec, encoded(codec, records)[HEADER:], plain[HEADER:])[1],
        "BatchBuilder, from Python objects": lambda: encoded(codec, records),
        "SinkEncoder, from Python objects": lambda: from_block(block_from_rows("t", 0, records)),
        "SinkEncoder, from a block": from_block,
    }
    wanted = [(key, value, headers) for _, key, value, headers in records]
    for name in (
        "kafka-python",
        "aiokafka",
        "BatchBuilder, from Python objects",
        "SinkEncoder, from a block",
    ):
        read = BatchReader("t", 0, candidates[name](), 0).next_block(count, UNLIMITED)
        assert read is not None
        assert list(zip(read.keys(), read.values(), read.headers(), strict=True)) == wanted
    targets = {
        ("SinkEncoder, from a block", "kafka-python"): 20,
        ("SinkEncoder, from a block", "aiokafka"): 4,
    }
    title = f"encode, {codec}, {size}"
    compare(benchmark, scale, "record batch", title, candidates, per_call=count, at_least=targets)
