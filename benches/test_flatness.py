"""That memory, and the processor time for a record, do not grow with the number of records.

Both are looked at when 10^4, 10^5, 10^6 and 10^7 records have gone through one process. The end-to-end paths
end, or begin, at servers that keep nothing: rivvend would take 13 minutes for 10^7 records.
"""

import itertools
import subprocess
import sys
import time

import pytest
import yaml
from rivven_kafka._native import RivvenClient

from benches.discard import DiscardServer
from benches.processes import cpu_seconds
from benches.pure import PATHS, rss_bytes
from benches.report import show
from benches.served import serving
from tests.support.connector import sink_file, source_file
from tests.support.topics import EndOffsets, Headers, TopicWriter, create_topic

pytestmark = pytest.mark.integration

PARTITIONS = 4
CHUNK = 10_000
FLAT = 1.1
"""How much of a difference is one of a shared machine."""
MIB = 1 << 20


def marks(scale):
    return [10_000, 20_000] if scale.quick else [10_000, 100_000, 1_000_000, 10_000_000]


def report(title, found):
    """Shows what was found at each mark: (records, processor seconds, bytes of memory)."""
    first = found[0][0]
    steps = list(itertools.pairwise(found))
    # A short run may be over at the first look.
    cost = [
        (
            f"{before[0]:,} .. {after[0]:,}",
            [max(after[1] - before[1], 0.001) / max(after[0] - before[0], 1) * 1e6],
        )
        for before, after in steps
    ]
    memory = [(f"after {records:,}", [rss / MIB]) for records, _, rss in found]
    flat = {(cost[-1][0], cost[-2][0]): FLAT} if len(cost) > 1 else None
    show("flatness", f"{title}, from {first:,} records on", cost, unit="CPU s / million", at_most=flat)
    # The buffers are full by then.
    level = {(memory[-1][0], memory[-2][0]): FLAT}
    show("flatness", f"{title}, memory", memory, unit="MiB", at_most=level)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PATHS)
def test_a_native_path(scale, path):
    arguments = [sys.executable, "-m", "benches.pure", path, *map(str, marks(scale))]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [int(records) for records, *_ in lines] == marks(scale)
    report(path, [(int(records), float(cpu), int(rss)) for records, cpu, rss in lines])


def watch(directory, config, progress, wanted, timeout_s):
    """Runs the command, and looks at it whenever another number of records has come through."""
    path = directory / "connect.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "rivven_kafka.cli", "-c", str(path), "run"]
    found = []
    deadline = time.monotonic() + timeout_s
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            for mark in wanted:
                while (count := progress()) < mark:
                    assert process.poll() is None, (directory / "log").read_text()[-2000:]
                    assert time.monotonic() < deadline, f"stuck at {count}"
                    time.sleep(0.01)
                found.append((count, cpu_seconds(process.pid), rss_bytes(process.pid)))
        finally:
            process.terminate()
    return found


def orders():
    rows: list[tuple[int, bytes | None, bytes | None, Headers]] = [
        (
            -1,
            b"customer-%05d" % (number * 7919 % 5000),
            b'{"order_id": %08d, "customer": "customer-%05d", "amount": %d.%02d, "note": "%s"}'
            % (number, number % 5000, number % 977, number % 100, b"%08x " % (number * 40503) * 9),
            [("trace", b"%d" % number)],
        )
        for number in range(CHUNK)
    ]
    return rows


@pytest.mark.timeout(600)
def test_a_source(kafka, topic_name, tmp_path, scale):
    origin, target, wanted = topic_name(), topic_name(), marks(scale)
    create_topic(kafka.bootstrap, origin, PARTITIONS)
    rows = orders()
    with TopicWriter(
        kafka.bootstrap, origin, PARTITIONS, compression="lz4", batch_size_bytes=262_144
    ) as writer:
        # A bit more, so that the last look finds it at work.
        for chunk in range(wanted[-1] // CHUNK + PARTITIONS):
            writer.write(chunk % PARTITIONS, rows)
    with DiscardServer() as server:
        config = source_file(kafka.bootstrap, server.bootstrap, origin, target, f"g-{target}")
        found = watch(tmp_path, config, lambda: sum(server.received(target, PARTITIONS)), wanted, 240)
    report("Kafka -> a server that keeps nothing", found)


@pytest.mark.timeout(600)
def test_a_sink(kafka, rivven, topic_name, tmp_path, scale):
    origin, target, wanted = topic_name(), topic_name(), marks(scale)
    create_topic(kafka.bootstrap, target, PARTITIONS)
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(origin, PARTITIONS)
    client.close()
    with serving(rivven.bootstrap, origin, wanted[-1] // PARTITIONS + CHUNK, 160) as address:
        options = {"batch_size_bytes": 262_144, "compression": "lz4"}
        config = sink_file(kafka.bootstrap, address, origin, target, f"g-{target}", **options)

        with EndOffsets(kafka.bootstrap, target) as ends:
            found = watch(tmp_path, config, lambda: sum(ends.read().values()), wanted, 240)
    report("made-up records -> Kafka", found)
