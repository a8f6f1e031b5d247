"""The partition of a key: murmur2 as Java computes it, over a batch of keys."""

from struct import unpack_from

from kafka.partitioner.default import murmur2 as kafka_python_murmur2
from rivven_kafka._native import partition_for_key

from benches.micro import compare, rows

KEYS = [key for _, key, _, _ in rows(1000)]
PARTITIONS = 12
MULTIPLIER = 0x5BD1E995
MASK = 0xFFFFFFFF


def word_murmur2(key):
    """The best that Python does alone: four bytes at a time, masks only where a number could grow."""
    length = len(key)
    words = length >> 2
    value = 0x9747B28C ^ length
    for word in unpack_from(f"<{words}I", key):
        word = word * MULTIPLIER & MASK
        value = (value * MULTIPLIER ^ (word ^ word >> 24) * MULTIPLIER) & MASK
    if length & 3:
        value = (value ^ int.from_bytes(key[words << 2 :], "little")) * MULTIPLIER & MASK
    value = (value ^ value >> 13) * MULTIPLIER & MASK
    return value ^ value >> 15


def test_partitions_of_keys(benchmark, scale):
    candidates = {
        "kafka-python": lambda: [(kafka_python_murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in KEYS],
        "plain Python, four bytes at a time": lambda: [
            (word_murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in KEYS
        ],
        "partition_for_key": lambda: [partition_for_key(key, PARTITIONS) for key in KEYS],
    }
    wanted, plain, ours = (call() for call in candidates.values())
    assert ours == wanted == plain
    compare(
        benchmark,
        scale,
        "partitioner",
        "partitions of 14-byte keys",
        candidates,
        per_call=len(KEYS),
        unit="keys/s",
    )
