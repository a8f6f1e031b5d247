"""Kafka's own measuring program for consumers: bytes to `ConsumerRecord`s in Java, nothing done with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benches.measure import Took, children_cpu
from tests.support.kafka_dist import java, kafka_libs

_FETCH_RATE = 9
"""The column `fetch.nMsg.sec`: records over the time after the group was joined: no start of the JVM."""


def read(bootstrap: str, topic: str, records: int, took: Took, config: Path) -> None:
    """Reads a topic from its start with `ConsumerPerformance`.

    Its rate is the one that the program states itself for fetching. Its processor time is the whole process,
    with the start of the JVM and what it compiles. It sets `check.crcs` to false, as its authors chose.

    Args:
        bootstrap: Kafka's address.
        topic: Kafka topic.
        records: How many to read.
        took: Counts the round.
        config: A file with further options of the consumer.
    """
    command = java(
        kafka_libs(),
        *("-Xms256m", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"),
        "org.apache.kafka.tools.ConsumerPerformance",
        *("--bootstrap-server", bootstrap, "--topic", topic, "--messages", str(records)),
        *("--consumer.config", str(config), "--timeout", "30000", "--hide-header"),
        *("--fetch-size", str(4 << 20)),
    )
    cpu = children_cpu()
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    lines = [line.split(", ") for line in done.stdout.splitlines() if line.count(", ") == _FETCH_RATE]
    assert len(lines) == 1, f"no line of figures in {done.stdout!r} {done.stderr!r}"
    count = int(lines[0][4])
    assert count >= records, f"read {count} of {records}"
    took.add(count, count / float(lines[0][_FETCH_RATE]), children_cpu() - cpu)
