"""A migration in miniature: 20,000 orders from Kafka into Rivven and back, compared to the byte.

`make demo` runs it. Both brokers are real, listen on free loopback ports, keep their data in temporary
folders, and are gone at the end, also after Ctrl+C.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rivven_kafka._native import RivvenClient

from tests.support import KafkaBroker, RivvenBroker
from tests.support.digest import topic_digests
from tests.support.topics import EndOffsets, TopicWriter, create_topic

PARTITIONS = 8
CONFIG = Path(__file__).with_name("connect.yaml")
STALLED_S = 60.0


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000, help="number of orders (20000)")
    records = parser.parse_args().records
    # SIGTERM ends the demo as Ctrl+C does, so that the brokers are stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demo(records)
    except KeyboardInterrupt:
        say("interrupted, everything is stopped")
        return 130


def demo(records: int) -> int:
    """Fills, runs both directions, compares, prints the table."""
    say("starting Apache Kafka and rivvend")
    with KafkaBroker() as kafka, RivvenBroker() as rivven:
        for topic in ("orders", "orders-replica"):
            create_topic(kafka.bootstrap, topic, PARTITIONS)
        fill(kafka.bootstrap, records)
        say(f"filled Kafka topic orders: {records} records in {PARTITIONS} partitions")
        addresses = {"KAFKA_BROKERS": kafka.bootstrap, "RIVVEN_SERVER": rivven.bootstrap}
        client = RivvenClient([rivven.bootstrap])

        def in_rivven() -> list[int]:
            count = client.partition_count("orders") or 0
            return [client.offset_bounds("orders", partition)[1] for partition in range(count)]

        with EndOffsets(kafka.bootstrap, "orders-replica") as replica:
            with connector(addresses, RUN_SINK="false"):
                source_rate = watch("Kafka -> Rivven", lambda: sum(in_rivven()), records)
            with connector(addresses, RUN_SOURCE="false"):
                sink_rate = watch("Rivven -> Kafka", lambda: sum(replica.read().values()), records)
        equal = report(kafka.bootstrap, in_rivven(), source_rate, sink_rate)
        client.close()
    return 0 if equal else 1


def fill(bootstrap: str, records: int) -> None:
    """Writes JSON orders with keys and headers."""
    chance = random.Random(20_000)
    rows: dict[int, list[tuple[int, bytes, bytes, list[tuple[str, bytes | None]]]]] = {}
    for number in range(records):
        customer = chance.randrange(5_000)
        order = {
            "order_id": number,
            "customer": f"customer-{customer}",
            "amount": round(chance.uniform(1, 500), 2),
            "currency": chance.choice(["EUR", "USD", "GBP"]),
            "items": [chance.randrange(1_000) for _ in range(chance.randrange(1, 5))],
        }
        headers: list[tuple[str, bytes | None]] = [("trace", b"%016x" % chance.getrandbits(64))]
        key = f"customer-{customer}".encode()
        rows.setdefault(customer % PARTITIONS, []).append((-1, key, json.dumps(order).encode(), headers))
    with TopicWriter(bootstrap, "orders", PARTITIONS) as writer:
        for partition, orders in rows.items():
            writer.write(partition, orders)


@contextmanager
def connector(addresses: dict[str, str], **switches: str) -> Iterator[None]:
    """Runs `rivven-kafka run` on the example's configuration."""
    command = [sys.executable, "-m", "rivven_kafka.cli", "-c", str(CONFIG), "run"]
    log = sys.stderr if "DEMO_LOG" in os.environ else subprocess.DEVNULL
    process = subprocess.Popen(command, env={**os.environ, **addresses, **switches}, stderr=log)
    try:
        yield
        process.terminate()
        if process.wait(60) != 0:
            raise SystemExit("rivven-kafka failed; run again with DEMO_LOG=1 to see its log")
    finally:
        if process.poll() is None:
            process.kill()


def watch(title: str, progress: Callable[[], int], records: int) -> float:
    """Follows the copy to its end; returns records/s from the first record seen to the last."""
    first: tuple[float, int] | None = None
    moved, last_move = 0, time.perf_counter()
    while moved < records:
        count = progress()
        now = time.perf_counter()
        if count > moved:
            moved, last_move = count, now
            first = first or (now, count)
        elif now - last_move > STALLED_S:
            raise SystemExit(f"{title}: no progress for {STALLED_S:.0f} s at {moved} of {records} records")
        bar(title, moved, records)
        time.sleep(0.005)
    assert first is not None
    seconds = time.perf_counter() - first[0]
    # A copy that was over at the first look is at least as fast as the looks are apart.
    rate = (records - first[1] or records) / max(seconds, 0.005)
    say(f"{title}: {records} records, {rate:,.0f} records/s")
    return rate


def report(bootstrap: str, in_rivven: list[int], source_rate: float, sink_rate: float) -> bool:
    """Compares origin and replica, and prints the table."""
    origin, replica = (topic_digests(bootstrap, topic) for topic in ("orders", "orders-replica"))
    print()
    print(f"{'partition':>9}  {'in Kafka':>8}  {'in Rivven':>9}  {'out':>8}  digest of the records")
    for partition, (count, digest) in sorted(origin.items()):
        out, other = replica[partition]
        verdict = f"{digest[:12]} equal" if digest == other else f"{digest[:12]} DIFFERS from {other[:12]}"
        print(f"{partition:>9}  {count:>8}  {in_rivven[partition]:>9}  {out:>8}  {verdict}")
    equal = origin == replica
    total, out = (sum(count for count, _ in digests.values()) for digests in (origin, replica))
    verdict = "equal" if equal else "DIFFERENT"
    print(f"{'all':>9}  {total:>8}  {sum(in_rivven):>9}  {out:>8}  {verdict}")
    print(f"\nKafka -> Rivven {source_rate:>10,.0f} records/s")
    print(f"Rivven -> Kafka {sink_rate:>10,.0f} records/s")
    return equal


def bar(title: str, moved: int, records: int) -> None:
    """Shows progress on a terminal."""
    if sys.stderr.isatty():
        filled = 40 * moved // records
        sys.stderr.write(f"\r{title} [{'#' * filled}{'.' * (40 - filled)}] {moved}/{records}")


def say(text: str) -> None:
    """Tells what happens, in place of a progress bar."""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{start}{text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
