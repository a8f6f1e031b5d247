"""How long a record is on its way, from one broker to a consumer of the other, at 1,000 records a second.

Both topics have 8 partitions. rivvend takes about 1.9 ms for each record and connection, so every partition
has a connection of its own everywhere: in the bridges, in the writer and in the watcher; each is busy for a
quarter of the time. Writer, bridge and watcher are processes of their own. The times of the brokers are part
of it: what one broker alone takes, from a writer to a consumer, is measured in the same run.
"""

import re
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from rivven_kafka._native import RivvenClient

from benches.children import connector, hand_written
from benches.report import show
from benches.watching import in_kafka, in_rivven
from tests.support.topics import create_topic

pytestmark = pytest.mark.integration

PARTITIONS = 8
RATE = 1_000
LINGER_MS = 5
"""The default of the sink; a source has none."""
SENT = re.compile(rb'\\?"sent_ns\\?": ?([0-9]+)')


def latencies(take, system, bootstrap, origin, count):
    """Time of each record from its writing until it was seen (ms), without those of the first second."""
    begin = time.monotonic_ns()
    module = [sys.executable, "-m", "benches.peers.pacing"]
    numbers = map(str, (PARTITIONS, RATE, count))
    writer = subprocess.Popen([*module, system, bootstrap, origin, *numbers])
    found, deadline, seen = [], time.monotonic() + count / RATE + 30, 0
    while seen < count:
        values = take()
        now = time.monotonic_ns()
        for value in values:
            mark = SENT.search(value)
            assert mark is not None
            sent = int(mark[1])
            # What an earlier round has left comes again.
            if sent > begin:
                seen += 1
                found.append((sent, (now - sent) / 1e6))
        assert time.monotonic() < deadline, f"{seen} of {count} came"
    assert writer.wait(10) == 0
    first = min(sent for sent, _ in found)
    return sorted(ms for sent, ms in found if sent > first + 1_000_000_000) or sorted(ms for _, ms in found)


def topics(kafka, rivven, *names):
    client = RivvenClient([rivven.bootstrap])
    for name in names:
        create_topic(kafka.bootstrap, name, PARTITIONS)
        client.create_topic(name, PARTITIONS)
    client.close()


def measured(kafka, rivven, origin_side, target_side, topic_name, log, count, bridge):
    """Latencies (ms) from a broker, through a bridge if there is one, to a broker."""
    origin, target = topic_name(), topic_name()
    topics(kafka, rivven, origin, target)
    if bridge is None:
        target = origin
    watch = (
        in_kafka(kafka, target, PARTITIONS)
        if target_side == "kafka"
        else in_rivven(rivven, target, PARTITIONS)
    )
    bootstrap = (kafka if origin_side == "kafka" else rivven).bootstrap
    with watch as take:
        direction = "source" if origin_side == "kafka" else "sink"
        between = bridge(log, direction, kafka, rivven, origin, target) if bridge else nullcontext()
        with between:
            # Everything has its connections after that.
            latencies(take, origin_side, bootstrap, origin, 2 * PARTITIONS)
            return latencies(take, origin_side, bootstrap, origin, count)


def percentile(samples, share):
    return samples[min(len(samples) - 1, int(len(samples) * share))]


def by_hand(log, direction, kafka, rivven, origin, target):
    return hand_written(log, direction, kafka, rivven, origin, target, PARTITIONS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("direction", ["source", "sink"])
def test_latency(kafka, rivven, topic_name, tmp_path, scale, direction):
    sides = ("kafka", "rivven") if direction == "source" else ("rivven", "kafka")
    count = scale.records(8_000, 800)
    names = {"kafka": "Kafka", "rivven": "rivvend"}
    candidates = [
        *((f"{names[side]} alone", (side, side), None) for side in sides),
        ("by hand", sides, by_hand),
        (direction, sides, connector),
    ]
    found: dict[str, list[list[float]]] = {name: [] for name, *_ in candidates}
    if not scale.quick:
        # A broker that has just started is slow; that is no candidate's fault.
        for _, (origin, target), _ in candidates[:2]:
            measured(kafka, rivven, origin, target, topic_name, tmp_path / "warm.log", count // 4, None)
    for round_number in range(scale.rounds):
        for name, (origin, target), bridge in candidates:
            log = tmp_path / f"{bridge.__name__ if bridge else name}-{round_number}.log"
            arguments = (kafka, rivven, origin, target, topic_name, log, count, bridge)
            found[name].append(measured(*arguments))
    linger = LINGER_MS if direction == "sink" else 0
    limit = 10.0 + linger
    for title, share in (("p50", 0.50), ("p99", 0.99)):
        rows = [(name, [percentile(samples, share) for samples in found[name]]) for name in found]
        both = "one broker after the other, and linger_ms" if linger else "one broker after the other"
        rows.insert(2, (both, [sum(pair) + linger for pair in zip(rows[0][1], rows[1][1], strict=True)]))
        rows.append((f"the limit, {limit:.0f} ms", [limit]))
        targets = {(direction, rows[-1][0]): 1, (direction, "by hand"): 1} if share > 0.9 else None
        where = "Kafka -> Rivven" if direction == "source" else "Rivven -> Kafka"
        show("latency", f"{where}, {RATE} records/s, {title}", rows, unit="ms", at_most=targets)
    assert all(statistics.median(samples) > 0 for rounds in found.values() for samples in rounds)
